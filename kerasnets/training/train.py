"""`train(config) -> Run`: the stages of a training run, in order."""

import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import keras
import numpy as np

from kerasnets import environment, models
from kerasnets.config import Config
from kerasnets.console import err, stdout_to_stderr
from kerasnets.data.raw import kept
from kerasnets.doctor import reader
from kerasnets.doctor.diagnose import examine
from kerasnets.doctor.writing import write as write_diagnosis
from kerasnets.errors import CheckFailed, Interrupted
from kerasnets.report import page
from kerasnets.run import Run
from kerasnets.telemetry.projector import write_embeddings
from kerasnets.training.job import Job, assemble
from kerasnets.training.results import finish
from kerasnets.training.saving import save
from kerasnets.training.unreadable import naming_bad_files
from kerasnets.training.watching import Watching, pictures, watch


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
        CheckFailed: a number stopped being finite, and `training.on_nonfinite` is "stop" or ten rollbacks did not help.
        Interrupted: Ctrl-C or SIGTERM; the last weights are saved in the run.
    """
    began = time.perf_counter()
    run, job = start(config, out)
    watching = watch(run, job)
    err.print(f"run {run.path}: {job.images:,} images, {len(job.dataset.class_names)} classes")
    try:
        history = _fit(run, job, watching)
    except (CheckFailed, Interrupted):
        try:
            conclude(run)
        except (OSError, ValueError) as error:  # what stopped the run is what the user has to hear
            err.print(f"no diagnosis or report: {error}", markup=False)
        raise
    save(job.fast.to_plain(), run.last_model_file)
    finish(run, job, watching.best.epoch, len(history.epoch), time.perf_counter() - began)
    _write_embeddings(run, job)
    conclude(run)
    return run


def _fit(run: Run, job: Job, watching: Watching) -> keras.callbacks.History:
    try:
        with sigterm_interrupts(), naming_bad_files(job.config.data, job.dataset), stdout_to_stderr():
            return job.trainer.fit(
                job.batches("train", training=True),
                epochs=job.config.training.epochs,
                shuffle=False,  # the pipeline orders the examples
                steps_per_epoch=job.steps_per_epoch,
                validation_data=job.batches("validation"),
                callbacks=list(watching.callbacks),
                verbose=1 if sys.stderr.isatty() else 2,
            )
    except (KeyboardInterrupt, Interrupted) as stop:
        watching.close()
        save(job.fast.to_plain(), run.last_model_file)
        code = stop.code if isinstance(stop, Interrupted) else 130
        raise Interrupted(f"stopped; the last weights are in {run.last_model_file}", code) from stop
    except BaseException:
        watching.close()
        raise


def _write_embeddings(run: Run, job: Job) -> None:
    """Write where the best weights put some of the validation images, for TensorBoard's projector."""
    split, wanted = job.dataset.validation, job.config.telemetry.embeddings
    order = kept(split, job.skip.get("validation", frozenset()))
    places = np.linspace(0, len(order) - 1, min(wanted, len(order))).astype(int).tolist()  # folders are sorted by class
    if places:
        chosen = [order[place] for place in places]
        batches = job.batches("validation", only=frozenset(chosen))
        model = models.main(models.load(run.model_file))
        names, shown = job.dataset.class_names, pictures(job, places)
        write_embeddings(run.tensorboard / "validation", model, batches, names, shown)


def conclude(run: Run) -> None:
    """Write the doctor's verdicts and the report."""
    evidence = reader.read(run.path, run.config)
    write_diagnosis(run, evidence, examine(evidence).findings)
    if run.config.telemetry.report:
        page.write(run)
