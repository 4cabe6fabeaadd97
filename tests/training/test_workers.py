"""Several workers: two processes on loopback are one process; one of them killed, both go on."""

import csv
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from workers import TOGETHER, apart, ended, start

from kerasnets.run import Run
from kerasnets.training.distribute import LOST

Train = Callable[[Path, list[str]], Run]


@pytest.mark.slow
def test_two_workers_are_one_process_also_when_one_is_killed_and_both_resume(
    tmp_path: Path, train_small: Train
) -> None:
    single = train_small(tmp_path / "one", [*TOGETHER[1:], "training.threads=0"])  # as other tests of this process
    run = tmp_path / "two"
    chief, killed = ended(start(2, [*TOGETHER, "training.checkpoint_every=5 steps", "--out", str(run)], (1, 12)))
    assert (chief.code, killed.code) == (LOST, -9), chief.err + killed.err
    last = chief.err.strip().splitlines()[-1]
    assert last.startswith("Interrupted: lost worker 1 (127.0.0.1:")
    assert last.endswith(f"; to go on on every worker: kerasnets train --resume {run}")
    before = set(tmp_path.iterdir())
    chief, other = ended(start(2, ["--resume", str(run)]))
    assert (chief.code, other.code) == (0, 0), chief.err + other.err
    assert "going on after epoch 0, batch 10 (step 10)" in chief.err
    assert other.out == f"worker 1 of 2 is done; worker 0 writes the run {run}\n"
    assert set(tmp_path.iterdir()) == before  # the worker that is not chief wrote nowhere
    assert apart(single.path, run) < 1e-5
    _same_tables(single.path, run)


def _same_tables(one: Path, two: Path) -> None:
    for name in ("history.csv", "telemetry/steps.csv"):
        rows = [list(csv.DictReader((path / name).read_text().splitlines())) for path in (one, two)]
        assert len(rows[0]) == len(rows[1]) > 0
        for was, now in zip(*rows, strict=True):
            for key in ("loss", "accuracy", "val_loss", "val_accuracy", "gradient_norm", "learning_rate"):
                if key in was:
                    assert float(now[key]) == pytest.approx(float(was[key]), rel=1e-4, abs=1e-6), (name, key)
    assert len(list((two / "tensorboard/train").glob("events*"))) <= 2  # a resumed run's, of the chief alone


MIRRORED = """
import sys
from kerasnets.console import import_tensorflow
import_tensorflow()
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from kerasnets.cli import main
main()
"""


@pytest.mark.variant
def test_two_devices_are_one_also_where_one_has_no_image(tmp_path: Path, train_small: Train) -> None:
    words = [*TOGETHER, "training.batch_size=479", "training.epochs=5", "training.learning_rate=0.01"]
    single = train_small(tmp_path / "one", [*words[1:], "training.threads=0"])  # last batches are of one image
    command = [sys.executable, "-c", MIRRORED, "train", *words, "training.strategy=mirrored"]
    done = subprocess.run([*command, "--out", str(tmp_path / "two")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "2 devices train together; batch normalisation takes the whole batch's statistics" in done.stderr
    assert apart(single.path, tmp_path / "two") < 1e-5
    _same_tables(single.path, tmp_path / "two")
