"""What differences of probabilities and logits mean."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kerasnets.artifacts.compare import Comparison, logits_difference, margins
from kerasnets.artifacts.feed import Feed
from kerasnets.artifacts.formats import FORMATS
from kerasnets.artifacts.reference import softmax
from kerasnets.errors import CheckFailed

LOGITS = np.array([[1.0, 3.0, -2.0], [10.0, -4.0, 8.0]], np.float32)


def test_logits_are_compared_up_to_a_constant() -> None:
    assert logits_difference(softmax(LOGITS + 7), LOGITS) < 1e-6


def test_the_difference_is_relative_to_the_largest_logit_of_the_image() -> None:
    moved = LOGITS.copy()
    moved[1, 1] += 0.5
    assert logits_difference(softmax(moved), LOGITS) == pytest.approx(0.05, rel=1e-4)


def test_below_one_the_difference_is_absolute() -> None:
    logits = np.array([[0.1, 0.2]], np.float32)
    assert logits_difference(softmax(logits + np.array([[0.03, 0.0]], np.float32)), logits) == pytest.approx(
        0.03, rel=1e-3
    )


def test_probabilities_that_underflow_say_nothing() -> None:
    logits = np.array([[0.0, 90.0, -60.0]], np.float32)
    probabilities = softmax(logits)
    probabilities[0, 2] = 0.0
    assert logits_difference(probabilities, logits) < 1e-6


def test_margins() -> None:
    found = margins(np.array([[0.2, 0.7, 0.1], [0.4, 0.2, 0.4]], np.float32))
    np.testing.assert_allclose(found, [0.5, 0.0], atol=1e-7)


class Answers:
    """Stands for both an artefact and the Keras model: gives fixed arrays, whatever the images."""

    preprocessing = None
    labels = ("a", "b", "c")
    unknown_below: float | None = None

    def __init__(self, array: np.ndarray, unknown: list[bool] | None = None) -> None:
        self.array, self.unknown = array, np.array(unknown)

    def outputs(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return {"probabilities": self.array, "unknown": self.unknown}

    def logits(self, images: np.ndarray, feed: Feed) -> np.ndarray:
        return self.array


IMAGES = np.zeros((2, 4, 4, 3), np.float32)


def comparison(probabilities: np.ndarray, logits: np.ndarray = LOGITS, form: str = "onnx") -> Comparison:
    return Comparison(FORMATS[form], Answers(probabilities), Answers(logits), Feed())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        (softmax(LOGITS)[:1], "onnx: shape: float32[1, 3] came out for x; must be float32[2, 3]"),
        (softmax(LOGITS).astype(np.float64), "onnx: shape: float64[2, 3] came out for x; must be float32[2, 3]"),
        (
            softmax(LOGITS) * np.float32(np.nan),
            "onnx: probabilities: differ from Keras' by nan on x; at most 0.0001 is allowed",
        ),
        (
            softmax(LOGITS) + np.float32(2e-4),
            "onnx: probabilities: differ from Keras' by 0.0002 on x; at most 0.0001 is allowed",
        ),
        (
            softmax(LOGITS) + np.array([0, 0, 9e-5], np.float32),
            "onnx: logits: differ from Keras' by 0.00505 on x; at most 0.001 of the largest is allowed",
        ),
    ],
)
def test_what_is_refused(probabilities: np.ndarray, message: str) -> None:
    with pytest.raises(CheckFailed) as error:
        comparison(probabilities).compare(IMAGES, "x")
    assert str(error.value) == message


def test_top_1_may_differ_only_where_two_classes_are_as_good_as_equal() -> None:
    logits = np.array([[1.0, 1.0001, -2.0], [2.0, 0.0, 1.0]], np.float32)
    swapped = softmax(logits)[:, [1, 0, 2]]
    swapped[1] = softmax(logits)[1]
    found = comparison(swapped, logits)
    found.add(IMAGES, np.array([1, 0]))
    figures = found.finish(FakeRun(None))  # type: ignore[arg-type]
    assert (figures.accuracy, figures.keras_accuracy, figures.close_calls) == (0.5, 1.0, 1)


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        ([[0.5, 0.5, 0.0], [0.5, 0.3, 0.1]], "onnx-int8: probabilities: do not sum to 1 on x; they must"),
        ([[-1.0, 2.0, 0.0], [0.5, 0.3, 0.2]], "onnx-int8: probabilities: fall to -1 on x; none may be below 0"),
        ([[np.nan, 1.0, 0.0], [0.5, 0.3, 0.2]], "onnx-int8: probabilities: do not sum to 1 on x; they must"),
    ],
)
def test_a_lossy_format_answers_with_probabilities(probabilities: list[list[float]], message: str) -> None:
    with pytest.raises(CheckFailed) as error:
        comparison(np.array(probabilities, np.float32), form="onnx-int8").compare(IMAGES, "x")
    assert str(error.value) == message


def test_unknown_is_what_the_probabilities_say() -> None:
    reference = Answers(LOGITS)
    reference.unknown_below = 0.87  # the best ones are 0.876 and 0.881
    for said, passes in (([False, False], True), ([True, False], False)):
        runner = Answers(softmax(LOGITS), said)
        found = Comparison(FORMATS["onnx"], runner, reference, Feed())  # type: ignore[arg-type]
        if passes:
            found.compare(IMAGES, "x")
            continue
        with pytest.raises(CheckFailed) as error:
            found.compare(IMAGES, "x")
        assert str(error.value) == (
            "onnx: unknown: is [True, False] for x; must be where the best probability is below 0.87"
        )


class FakeRun:
    """A run with an accuracy on record."""

    config = SimpleNamespace(export=SimpleNamespace(max_accuracy_drop=0.5))

    def __init__(self, folder: Path | None) -> None:
        self.path = folder or Path("/nonexistent")

    def read_json(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.path / name).read_text())
        return found


@pytest.mark.parametrize(("lead", "recorded", "passes"), [(3.0, 1.0, True), (3.0, 0.5, False), (1e-5, 0.5, True)])
def test_the_recorded_accuracy_may_differ_only_by_close_calls(
    tmp_path: Path, lead: float, recorded: float, passes: bool
) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps({"validation": {"accuracy": recorded}}))
    logits = np.array([[lead, 0.0, -2.0], [0.0, -2.0, 3.0]], np.float32)
    found = comparison(softmax(logits), logits)
    found.add(IMAGES, np.array([0, 2]))
    run = FakeRun(tmp_path)
    if passes:
        assert found.finish(run).recorded_accuracy == recorded  # type: ignore[arg-type]
    else:
        with pytest.raises(CheckFailed) as error:
            found.finish(run)  # type: ignore[arg-type]
        assert str(error.value) == ("onnx: accuracy: 1.0000 of the validation images right; metrics.json says 0.5000")


@pytest.mark.parametrize(
    ("lead", "recorded", "passes"),
    [(3.0, 1.0, True), (3.0, 0.5, False), (1e-4, 0.5, True), (0.05, 0.5, False)],
    ids=["the same", "another", "a close call of Keras", "a close call of 8 bits alone"],
)
def test_with_a_lossy_format_keras_is_held_to_the_recorded_accuracy(
    tmp_path: Path, lead: float, recorded: float, passes: bool
) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps({"validation": {"accuracy": recorded}}))
    logits = np.array([[lead, 0.0, -2.0], [0.0, -2.0, 3.0]], np.float32)
    found = comparison(softmax(logits), logits, "onnx-int8")
    found.add(IMAGES, np.array([0, 2]))
    run = FakeRun(tmp_path)
    if passes:
        assert found.finish(run, force=True).recorded_accuracy == recorded  # type: ignore[arg-type]
    else:
        with pytest.raises(CheckFailed) as error:
            found.finish(run, force=True)  # type: ignore[arg-type]
        assert str(error.value) == (
            "onnx-int8: accuracy: Keras gets 1.0000 of the validation images right; metrics.json says 0.5000"
        )
