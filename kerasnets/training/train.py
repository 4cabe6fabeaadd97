"""`train(config) -> Run`: the stages of a training run, in order."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

import keras

from kerasnets import environment
from kerasnets.config import Config
from kerasnets.console import err, stdout_to_stderr
from kerasnets.errors import Interrupted
from kerasnets.run import Run
from kerasnets.telemetry.events import Events
from kerasnets.telemetry.tensorboard import TensorBoard
from kerasnets.telemetry.writer import ProbeWriter
from kerasnets.training.callbacks import BestWeights, History, StopOnNonFinite, Timing
from kerasnets.training.job import Job, assemble
from kerasnets.training.results import finish
from kerasnets.training.unreadable import naming_bad_files


def start(config: Config, out: Path | None) -> tuple[Run, Job]:
    """Check config and data, build everything, make the run directory and write what is known before step 1."""
    job, problems = assemble(config, check_files=config.data.skip_corrupt)
    dataset = job.dataset
    run = Run.create(job.config, out)
    run.write_json("environment.json", environment.describe())
    run.write_labels(dataset.class_names)
    rows = (
        (name, dataset.class_names[label], example)
        for name, split in dataset.splits.items()
        for label, example in zip(split.labels, split.ids, strict=True)
    )
    run.write_rows("splits.csv", ("split", "label", "id"), rows)
    if problems:
        run.write_skipped((name, problem.index, str(problem.path), problem.reason) for name, problem in problems)
        err.print(f"left out {len(problems)} unreadable files, listed in {run.path / 'skipped.csv'}")
    job.preprocessing.save(run.path)
    return run, job


def save(model: keras.Model, path: Path) -> None:
    """Write a .keras file whole or not at all."""
    aside = path.with_name(f".{path.name}.tmp.keras")
    model.save(aside)
    os.replace(aside, path)


def callbacks(run: Run, job: Job) -> tuple[list[keras.callbacks.Callback], BestWeights]:
    """Return the callbacks of a run in their order, and the one that knows the best epoch."""
    settings, telemetry = job.config.training, job.config.telemetry
    best = BestWeights(lambda: save(job.fast.to_plain(), run.path / "model.keras"), settings.monitor)
    events, main_head = Events(run.tensorboard), job.trainer.main_head.name
    board = TensorBoard(events, main_head=main_head, graph=telemetry.graph, config=job.config.dump())
    found: list[keras.callbacks.Callback] = [Timing(job.images)]
    if settings.ema is not None:
        found.append(keras.callbacks.SwapEMAWeights(swap_on_epoch=True))
    if job.probe is not None:
        limit = telemetry.max_megabytes
        found.append(ProbeWriter(job.probe, run.telemetry, events, max_megabytes=limit, main_head=main_head))
    found += [History(run.path / "history.csv"), board, StopOnNonFinite(), best]
    if settings.early_stopping is not None:
        monitor, mode = f"val_{settings.monitor}", "max" if settings.monitor == "accuracy" else "min"
        found.append(keras.callbacks.EarlyStopping(monitor=monitor, mode=mode, patience=settings.early_stopping))
    return found, best


@contextlib.contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Have SIGTERM raise `Interrupted` in the main thread, so that the run is saved before the process ends."""

    def handler(number: int, frame: FrameType | None) -> None:
        raise Interrupted("SIGTERM", 128 + number)

    try:
        before = signal.signal(signal.SIGTERM, handler)
    except ValueError:  # not the main thread, where Python allows no handlers
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def train(config: Config, out: Path | None = None) -> Run:
    """Train `config` into a new run directory (default: the next free `runs/<name>-<n>`) and return it.

    Raises:
        UserError: config or data are wrong; nothing was trained.
        CheckFailed: the loss stopped being finite.
        Interrupted: Ctrl-C or SIGTERM; the last weights are saved in the run.
    """
    began = time.perf_counter()
    run, job = start(config, out)
    wanted, best = callbacks(run, job)
    err.print(f"run {run.path}: {job.images:,} images, {len(job.dataset.class_names)} classes")
    history = _fit(run, job, wanted)
    save(job.fast.to_plain(), run.last_model_file)
    finish(run, job, best.epoch, len(history.epoch), time.perf_counter() - began)
    return run


def _fit(run: Run, job: Job, wanted: Sequence[keras.callbacks.Callback]) -> keras.callbacks.History:
    try:
        with sigterm_interrupts(), naming_bad_files(job.config.data, job.dataset), stdout_to_stderr():
            return job.trainer.fit(
                job.batches("train", training=True),
                epochs=job.config.training.epochs,
                shuffle=False,  # the pipeline orders the examples
                steps_per_epoch=job.steps_per_epoch,
                validation_data=job.batches("validation"),
                callbacks=list(wanted),
                verbose=1 if sys.stderr.isatty() else 2,
            )
    except (KeyboardInterrupt, Interrupted) as stop:
        save(job.fast.to_plain(), run.last_model_file)
        code = stop.code if isinstance(stop, Interrupted) else 130
        raise Interrupted(f"stopped; the last weights are in {run.last_model_file}", code) from stop
