"""The accuracy gate: pairs, intervals, and what is refused."""

import types

import numpy as np
import pytest

from kerasnets.artifacts.formats import FORMATS
from kerasnets.artifacts.gate import Drop, judge, measure
from kerasnets.errors import CheckFailed

FORM = FORMATS["onnx-int8"]


def drop(images: int, lost: int, won: int, allowed: float = 0.5) -> Drop:
    keras = np.ones(images, bool)
    keras[lost : lost + won] = False
    right = keras.copy()
    right[:lost] = False
    right[lost : lost + won] = True
    return measure(right, keras, ["validation"], allowed)


def test_figures_of_pairs() -> None:
    found = drop(2000, 30, 10)
    assert (found.images, found.right_to_wrong, found.wrong_to_right) == (2000, 30, 10)
    assert (found.keras_accuracy, found.accuracy) == (0.995, 0.985)
    assert found.points == pytest.approx(1.0)
    # 2 * P(X <= 10), X binomial with 40 trials and 1/2: 0.0022
    assert found.p_value == pytest.approx(0.00222, abs=1e-5)
    # Bonett and Price: 31/2002 and 11/2002, difference 0.00999, standard error 0.003228
    assert found.interval == pytest.approx((0.3663, 1.6317), abs=1e-3)


def test_no_flip_does_not_prove_that_there_is_none() -> None:
    low, high = drop(359, 0, 0).interval
    assert (low, high) == pytest.approx((-0.768, 0.768), abs=1e-3)
    assert drop(359, 0, 0).p_value == 1.0


def test_the_interval_holds_its_level() -> None:
    draw = np.random.default_rng(0)
    true, inside = 100 * (0.02 - 0.012), 0
    for _ in range(400):
        lost, won, _ = draw.multinomial(1000, [0.02, 0.012, 0.968])
        low, high = drop(1000, lost, won).interval
        inside += low <= true <= high
    assert 0.925 <= inside / 400 <= 0.98


def refused(found: Drop, *, force: bool = False) -> str | None:
    try:
        judge(FORM, found, force=force)
    except CheckFailed as error:
        return str(error)
    return None


def test_a_fall_within_the_limit_passes() -> None:
    assert refused(drop(1000, 5, 0)) is None
    assert refused(drop(3000, 20, 30)) is None


@pytest.mark.parametrize("force", [False, True])
def test_a_fall_beyond_the_limit_is_refused(force: bool) -> None:
    assert refused(drop(1000, 7, 1), force=force) == (
        "onnx-int8: accuracy: falls by 0.60 points (95 % interval -0.02 to 1.22) on 1,000 images of validation: 7 "
        "right answers became wrong, 1 wrong ones right (p = 0.07); export.max_accuracy_drop allows 0.5"
    )
    assert refused(drop(1000, 7, 1, allowed=1.0), force=force) is None


def test_few_images_establish_nothing() -> None:
    assert refused(drop(999, 0, 0)) == (
        "onnx-int8: accuracy: not established: falls by 0.00 points (95 % interval -0.28 to 0.28) on 999 images of "
        "validation: 0 right answers became wrong, 0 wrong ones right (p = 1); 1,000 held-out images are needed, or "
        "--force, which publishes it marked so"
    )
    assert refused(drop(999, 0, 0), force=True) is None
    assert not drop(999, 0, 0).established
    assert drop(1000, 0, 0).established


def test_few_images_are_enough_to_see_a_large_fall() -> None:
    message = refused(drop(300, 60, 0), force=True)
    assert message is not None
    assert message.endswith("export.max_accuracy_drop allows 0.5")


def test_every_format_says_whether_it_is_lossy() -> None:
    assert [name for name, form in FORMATS.items() if form.LOSSY] == ["onnx-int8", "litert-int8"]
    assert isinstance(FORM, types.ModuleType)
