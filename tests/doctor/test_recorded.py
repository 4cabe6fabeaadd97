"""The doctor on numbers of runs that were really trained: recorded ones, and among the slow tests fresh ones."""

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from small_runs import QUIET, SMALL

import kerasnets
from kerasnets.doctor.live import Watch
from kerasnets.errors import CheckFailed
from kerasnets.run import Run

RECORDED = sorted((Path(__file__).parent / "recorded").glob("*/*"))


def test_there_are_sick_and_healthy_ones() -> None:
    assert len([path for path in RECORDED if path.parent.name == "healthy"]) == 2
    assert len(RECORDED) == 6


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name)
def test_recorded_runs(path: Path) -> None:
    rules = [finding.rule for finding in kerasnets.diagnose(path)]
    if path.parent.name == "healthy":
        assert rules == []
    else:
        assert path.parent.name in rules[:2]


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name)
def test_nothing_is_said_of_healthy_ones_while_they_train(path: Path, tmp_path: Path) -> None:
    run = Run.open(path)
    shutil.copytree(path, tmp_path / "run")
    (tmp_path / "run" / "metrics.json").unlink(missing_ok=True)
    watch = Watch(tmp_path / "run", run.config)
    heard = [finding.rule for finding in (*watch.check(), *watch.check())]
    if path.parent.name == "healthy":
        assert heard == []
    elif path.parent.name != "learning_rate_too_low":  # which only the end of a run shows
        assert path.parent.name in heard


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "rules"),
    [
        (["training.epochs=6"], []),
        pytest.param(
            ["model.normalization=none", "model.bias=-3", "training.epochs=3"], ["dead_relu"], marks=pytest.mark.variant
        ),
        pytest.param(["data.normalize=none"], ["unnormalized_input"], marks=pytest.mark.variant),
        (["training.learning_rate=20", "training.epochs=3"], ["learning_rate_too_high"]),
    ],
    ids=["healthy", "bias", "raw pixels", "rate"],
)
def test_runs_trained_now(
    tmp_path: Path, train_small: Callable[[Path, list[str]], Run], words: list[str], rules: list[str]
) -> None:
    with contextlib.suppress(CheckFailed):  # the last one stops at NaN
        train_small(tmp_path / "run", [*SMALL, *QUIET, "telemetry.every=100", *words])
    assert [finding.rule for finding in kerasnets.diagnose(tmp_path / "run")][:1] == rules
