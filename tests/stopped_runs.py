"""Runs that end as if they were killed, in this process, and runs that are killed, in one of their own."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kerasnets.run import Run
from kerasnets.training.checkpoint.callback import Callbacks

Train = Callable[..., Run]
TESTS = Path(__file__).parent


class Crash(Exception):
    """Stands for a kill: nothing more is written."""


def crash(monkeypatch: pytest.MonkeyPatch, batches: int) -> None:
    """Have training end at the beginning of a batch."""
    begin, calls = Callbacks.on_train_batch_begin, 0

    def counted(self: Callbacks, batch: int, logs: Any = None) -> None:
        nonlocal calls
        calls += 1
        if calls > batches:
            raise Crash
        begin(self, batch, logs)

    monkeypatch.setattr(Callbacks, "on_train_batch_begin", counted)


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "kerasnets", "train", *words]


def killed(phase: str, count: int, milliseconds: float, *words: str) -> None:
    """Run the command line until it is killed."""
    driver = [sys.executable, str(TESTS / "killing.py"), phase, str(count), str(milliseconds), "--", "train", *words]
    done = subprocess.run(driver, capture_output=True, text=True, timeout=300, env=environment())
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert f"killed in {phase}" in done.stderr


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}


def crashed(run: Path, words: list[str], batches: int, train_small: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train until training ends as if it were killed."""
    with monkeypatch.context() as patch, pytest.raises(Crash):
        crash(patch, batches)
        train_small(run, words)
