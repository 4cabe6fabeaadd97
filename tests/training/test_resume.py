"""Runs that are stopped, killed or lengthened, and go on."""

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from killing import PHASES, places
from same_runs import differences
from small_runs import SMALL, SMALL_GOOGLENET
from stopped_runs import command, crashed, killed

from kerasnets import config as configs
from kerasnets.errors import Interrupted, UserError
from kerasnets.run import Run
from kerasnets.training import resume as resuming
from kerasnets.training.checkpoint.callback import Callbacks, Interval
from kerasnets.training.checkpoint.store import ARRAYS, Store, read
from kerasnets.training.resume import resume

Train = Callable[..., Run]


@pytest.fixture
def copied(resnet_run: Run, tmp_path: Path) -> Path:
    """A run that is finished, to be changed."""
    shutil.copytree(resnet_run.path, tmp_path / "run")
    return tmp_path / "run"


def test_the_points_at_which_runs_are_killed_exist() -> None:
    assert tuple(places()) == PHASES
    assert all(callable(getattr(owner, name)) for owner, name in places().values())


@pytest.mark.slow
def test_killed_again_and_again_it_ends_as_if_it_had_not_been(resnet_run: Run, tmp_path: Path) -> None:
    """A sample of `make proof-resume`."""
    words = ["digits-resnet20", *SMALL, "training.checkpoint_every=7"]
    run = str(tmp_path / "killed")
    killed("step", 30, 7, *words, "--out", run)
    assert len(Store(Path(run, "checkpoints")).paths()) == 2
    killed("checkpoint", 3, 4, "--resume", run)
    killed("validation", 1, 5, "--resume", run)
    ended = subprocess.run(command("--resume", run), check=True, capture_output=True, text=True, timeout=300)
    assert "going on after epoch" in ended.stderr
    assert differences(resnet_run.path, Path(run)) == []
    again = subprocess.run(command("--resume", run), check=True, capture_output=True, text=True, timeout=60)
    assert f"run {run} is finished: 2 epochs" in again.stderr and "best epoch" in again.stdout


@pytest.mark.slow
@pytest.mark.parametrize("batches", [3, 47])
def test_a_resnet_that_crashed_goes_on_bit_for_bit(
    batches: int, resnet_run: Run, tmp_path: Path, train_small: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    crashed(run, [*SMALL, "training.checkpoint_every=5"], batches, train_small, monkeypatch)
    if batches == 3:
        assert not Store(run / "checkpoints").paths()
    resume(run)
    assert differences(resnet_run.path, run) == []


@pytest.mark.variant
def test_a_googlenet_with_dropout_goes_on_bit_for_bit(
    tmp_path: Path, train_small: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*SMALL_GOOGLENET, "training.checkpoint_every=7", "telemetry.every=0"]  # its probe is a matter of minutes
    train_small(tmp_path / "whole", words)
    crashed(tmp_path / "run", words, 9, train_small, monkeypatch)
    resume(tmp_path / "run")
    assert differences(tmp_path / "whole", tmp_path / "run") == []


@pytest.mark.variant
def test_all_that_can_remember_something_goes_on_bit_for_bit(
    tmp_path: Path, train_small: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*SMALL, "training.ema=0.9", "training.optimizer=adamw", "training.nesterov=false", "telemetry.every=20"]
    words += ["training.on_nonfinite=rollback", "training.early_stopping=2", "data.augment.mixup=0.2"]
    words += ["training.precision=bfloat16", "training.clip_global_norm=1", "training.checkpoint_every=7"]
    train_small(tmp_path / "whole", words)
    crashed(tmp_path / "run", words, 60, train_small, monkeypatch)
    resume(tmp_path / "run")
    assert differences(tmp_path / "whole", tmp_path / "run") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("phase", "number", "code"),
    [
        ("step", signal.SIGINT, 130),
        pytest.param("validation", signal.SIGTERM, 143, marks=pytest.mark.variant),
    ],
)
def test_a_run_that_was_asked_to_stop_goes_on_bit_for_bit(
    phase: str,
    number: int,
    code: int,
    resnet_run: Run,
    tmp_path: Path,
    train_small: Train,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    owner, name = places()[phase]
    method, calls = getattr(owner, name), 0

    def counted(self: Callbacks, batch: int, logs: Any = None) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            os.kill(os.getpid(), number)
        method(self, batch, logs)

    run = tmp_path / "run"
    with (
        monkeypatch.context() as patch,
        pytest.raises(Interrupted, match=f"to go on: kerasnets train --resume {run}") as stop,
    ):
        patch.setattr(owner, name, counted)
        train_small(run, SMALL)
    assert stop.value.code == code
    assert "saving after this step; once more stops at once" in capsys.readouterr().err
    resume(run)
    assert differences(resnet_run.path, run) == []


@pytest.mark.slow
def test_more_epochs_end_as_a_run_that_was_longer_from_the_start(tmp_path: Path, train_small: Train) -> None:
    words = [*SMALL, "training.schedule=step", "training.step_epochs=1.5", "training.ema=0.9", "telemetry.every=0"]
    train_small(tmp_path / "long", [*words, "training.epochs=3"])
    train_small(tmp_path / "short", words)
    run = resume(tmp_path / "short", ["training.epochs=3"])
    assert run.config.training.epochs == Run.open(run.path).config.training.epochs == 3
    found = differences(tmp_path / "long", tmp_path / "short")
    assert [name for name in found if "pictures/" not in name and "pr_curve/" not in name] == []  # epoch 2 was the last


@pytest.mark.slow
def test_a_run_that_stopped_early_goes_on_when_it_may_wait_for_longer(tmp_path: Path, train_small: Train) -> None:
    slow = ["training.learning_rate=1e-9", "training.schedule=constant", "training.epochs=9", "telemetry.every=0"]
    run = train_small(tmp_path / "run", [*SMALL, *slow, "training.early_stopping=1"])
    done = run.read_json("metrics.json")["epochs"]
    assert done < 9
    with pytest.raises(
        UserError, match=f"stopped early after epoch {done}; to go on give training.early_stopping=none"
    ):
        resume(run.path, ["training.epochs=11"])
    assert resume(run.path, ["training.early_stopping=none"]).read_json("metrics.json")["epochs"] == 9


def test_what_may_not_change_is_named(copied: Path) -> None:
    words = ["training.learning_rate=0.3", "model.shortcut=B", "export.static_shape=true"]
    with pytest.raises(UserError) as error:
        resume(copied, words)
    assert "cannot go on with another model.shortcut (A -> B), training.learning_rate (0.05 -> 0.3); only " in str(
        error.value
    )
    assert "training.epochs, training.early_stopping" in str(error.value)


def test_a_schedule_over_all_epochs_has_no_more_of_them(copied: Path) -> None:
    before = (copied / "config.yaml").read_bytes()
    with pytest.raises(
        UserError, match="schedule 'one_cycle' spreads its rates over all epochs, so with 5 instead of 2"
    ):
        resume(copied, ["training.epochs=5"])
    with pytest.raises(UserError, match="training.epochs=1: run .* has done 2 epochs already"):
        resume(copied, ["training.epochs=1"])
    assert (copied / "config.yaml").read_bytes() == before and Run.open(copied).finished


def test_a_run_in_use_is_refused(copied: Path) -> None:
    with Run.open(copied).locked(), pytest.raises(UserError, match=f"run {copied} is in use: another process trains"):
        resume(copied)
    assert resume(copied).finished
    assert not Run.open(copied).in_use


def test_no_such_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        resume(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["splits.csv", "environment.json", "preprocessing.json"])
def test_a_run_that_stopped_before_training_began(name: str, copied: Path) -> None:
    (copied / "metrics.json").unlink()
    (copied / name).unlink()
    with pytest.raises(UserError, match=name):
        resume(copied)


def test_other_data_are_refused(copied: Path) -> None:
    (copied / "metrics.json").unlink()
    rows = (copied / "splits.csv").read_text().splitlines(keepends=True)
    (copied / "splits.csv").write_text("".join(rows[:5] + rows[6:]))
    with pytest.raises(
        UserError, match="the data are not those of run .*: in the train split digits/.* was next, now it"
    ):
        resume(copied)


def test_other_pixels_are_refused(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (copied / "metrics.json").unlink()
    monkeypatch.setattr("kerasnets.training.checkpoint.state.fingerprint", lambda dataset: "other")
    with pytest.raises(UserError, match="same names, but other pixels or file sizes"):
        resume(copied)


def test_another_version_is_told(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (copied / "metrics.json").unlink()
    text = (copied / "environment.json").read_text()
    now = Run.open(copied).read_json("environment.json")["versions"]["keras"]
    (copied / "environment.json").write_text(text.replace(f'"keras": "{now}"', '"keras": "3.0.0"'))
    monkeypatch.setattr(resuming, "carry_out", lambda work, saved: None)
    resume(copied)
    assert f"not bit for bit: the run began with another keras 3.0.0 -> {now}" in capsys.readouterr().err


def test_a_table_that_lost_lines_makes_an_earlier_checkpoint_be_used(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (copied / "metrics.json").unlink()
    lines = (copied / "history.csv").read_bytes().splitlines(keepends=True)
    checkpoints = Store(copied / "checkpoints")
    newest = read(checkpoints.paths()[-1])
    files = {**newest.values["files"], "history.csv": len(b"".join(lines[:2]))}
    checkpoints.write(
        replace(newest, epoch=1, step=45, values={**newest.values, "files": files}), copied / "model.keras"
    )
    (copied / "history.csv").write_bytes(b"".join(lines[:2]))
    went_on: list[Any] = []
    monkeypatch.setattr(resuming, "carry_out", lambda work, saved: went_on.append(saved))
    resume(copied)
    assert [saved.epoch for saved in went_on] == [1]
    assert "history.csv of the run is shorter than it was then; going on from epoch-0001" in capsys.readouterr().err
    (copied / "history.csv").unlink()
    with pytest.raises(UserError, match=f"run {copied} cannot go on: checkpoint epoch-0001-step-.* history.csv"):
        resume(copied)


def test_a_checkpoint_of_another_network_is_damaged(copied: Path) -> None:
    (copied / "metrics.json").unlink()
    (copied / "config.yaml").write_text((copied / "config.yaml").read_text().replace("shortcut: A", "shortcut: B"))
    with pytest.raises(UserError, match="it has other variables than the network: net/"):
        resume(copied)


@pytest.mark.slow
def test_a_file_that_may_not_grow_stops_the_run_and_leaves_its_checkpoint(tmp_path: Path) -> None:
    """As a full disk does: here the limit on a file's size, which needs no other disk."""
    run = tmp_path / "run"
    words = command("digits-resnet20", *SMALL, "training.epochs=40", "--out", str(run))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (900_000, 900_000))

    done = subprocess.run(words, capture_output=True, text=True, timeout=300, preexec_fn=limit)
    assert done.returncode == 2, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith(
        f"Error: run {run} cannot be written to: a file may not grow any more; the last checkpoint is "
    )
    assert last.endswith(f"; when that is mended: kerasnets train --resume {run}")
    newest = Store(run / "checkpoints").paths()[-1]
    assert newest.name in last and (newest / ARRAYS).is_file()


@pytest.mark.slow
def test_a_run_directory_that_vanishes_is_named(
    tmp_path: Path, train_small: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, begin = tmp_path / "run", Callbacks.on_test_begin

    def vanish(self: Callbacks, logs: Any = None) -> None:
        shutil.rmtree(run, ignore_errors=True)
        begin(self, logs)

    monkeypatch.setattr(Callbacks, "on_test_begin", vanish)
    with pytest.raises(UserError, match=f"run {run} cannot be written to: .*there is no checkpoint yet"):
        train_small(run, SMALL)


@pytest.mark.parametrize(
    ("text", "steps", "seconds"),
    [("500", 500, None), ("500 steps", 500, None), ("10min", None, 600), ("1 minute", None, 60)],
)
def test_interval(text: str, steps: int | None, seconds: int | None) -> None:
    interval = Interval.parse(
        configs.load("digits-resnet20", [f"training.checkpoint_every={text}"]).training.checkpoint_every
    )
    assert interval.passed(steps or 0, seconds or 0)
    assert not interval.passed((steps or 1) - 1, (seconds or 1) - 1)


@pytest.mark.parametrize("text", ["0", "ten minutes", "1.5", "10 s", "-3"])
def test_an_interval_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="training.checkpoint_every"):
        configs.load("digits-resnet20", [f"training.checkpoint_every={text}"])
