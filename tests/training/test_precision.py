"""`training.precision=auto`: what is chosen of which speeds, and that a run knows it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from proofs import precision as proof
from small_runs import QUIET, SMALL

from kerasnets import config as configs
from kerasnets.run import Run
from kerasnets.training import precision
from kerasnets.training.distribute import Distribution


@pytest.mark.parametrize(
    ("faster", "chosen"),
    [
        ({"bfloat16": 2.5}, "bfloat16"),
        ({"bfloat16": 1.15}, "bfloat16"),
        ({"bfloat16": 1.14}, "float32"),
        ({"bfloat16": 0.3}, "float32"),
        ({"bfloat16": 1.9, "float16": 2.0}, "bfloat16"),
        ({"bfloat16": 0.9, "float16": 1.6}, "float16"),
        ({"bfloat16": 0.9, "float16": 1.0}, "float32"),
    ],
)
def test_what_pays_is_chosen(faster: dict[str, float], chosen: str) -> None:
    choice = precision.decide(faster)
    assert choice.precision == chosen
    assert all(f"{name} is {speed:.2f} x" in choice.reason for name, speed in faster.items())


@pytest.mark.slow
def test_a_run_says_what_it_took_and_why(
    tmp_path: Path,
    train_small: Callable[[Path, list[str]], Run],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = precision.speeds()
    assert set(found) >= {"bfloat16"} and min(found.values()) > 0
    monkeypatch.setattr(precision, "speeds", lambda: {"bfloat16": 1.5})
    run = train_small(tmp_path / "run", [*SMALL, *QUIET, "training.precision=auto", "training.epochs=1"])
    assert run.config.training.precision == "bfloat16"
    said = "training.precision: bfloat16: bfloat16 is 1.50 x as fast as float32 here"
    assert said in capsys.readouterr().err


def test_what_is_given_is_left_alone() -> None:
    config = configs.load("digits-resnet20", ["training.precision=float16"])
    assert precision.settle(config, Distribution()) is config


@pytest.mark.slow
def test_bfloat16_learns_what_stock_keras_learns_in_float32() -> None:
    """A sample of `make proof-precision`."""
    found = {arm: proof.train(arm, 0, 5, "digits-resnet20", ())["accuracy"] for arm in proof.ARMS}
    assert min(found.values()) > 0.9
    assert found["fast"] == pytest.approx(found["stock"], abs=0.05)
