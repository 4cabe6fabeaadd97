"""`train(config) -> Run`: the stages of a training run, in order."""

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

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
from kerasnets.run import Run
from kerasnets.telemetry.projector import write_embeddings
from kerasnets.training import pretrained, splits
from kerasnets.training.callbacks import KeepAverage
from kerasnets.training.checkpoint.callback import Callbacks, Checkpointing, Interval
from kerasnets.training.checkpoint.state import State
from kerasnets.training.checkpoint.store import Saved, Store
from kerasnets.training.cluster import cluster
from kerasnets.training.distribute import naming_lost_workers
from kerasnets.training.exhausted import Guard
from kerasnets.training.explaining import write_overlays
from kerasnets.training.job import Job, assemble
from kerasnets.training.results import finish
from kerasnets.training.saving import save
from kerasnets.training.stopping import StopRequest
from kerasnets.training.storage import naming_lost_storage
from kerasnets.training.transfer import Transfer
from kerasnets.training.unreadable import naming_bad_files
from kerasnets.training.watching import Watching, follow, pictures, watch
from kerasnets.training.workers import SharedStop, StopWithTheChief, Together, alike

_VERBOSE = 1 if sys.stderr.isatty() else 2


def start(config: Config, out: Path | None) -> tuple[Run, Job]:
    """Check config and data, build everything, make the run directory and write what is known before step 1."""
    job, problems = assemble(config, check_files=config.data.skip_corrupt)
    alike(job)
    if not job.distribution.cluster.chief:
        return Run(Path(job.distribution.told("")), job.config), job
    run = Run.create(job.config, out)
    job.distribution.told(str(run.path))
    run.write_json("environment.json", {**environment.describe(), "workers": len(job.distribution.cluster)})
    run.write_labels(job.dataset.class_names)
    run.write_rows(splits.NAME, splits.HEADER, splits.rows(job.dataset))
    if problems:
        run.write_skipped((name, problem.index, str(problem.path), problem.reason) for name, problem in problems)
        err.print(f"left out {len(problems)} unreadable files, listed in {run.path / 'skipped.csv'}")
    job.preprocessing.save(run.path)
    job.found.write(run)
    if job.weights is not None:
        run.write_json(pretrained.NAME, job.weights.document())
    _tell_how_it_begins(job)
    return run, job


def _tell_how_it_begins(job: Job) -> None:
    """Say what the network begins with and how its stages are trained, where that is not as in any run."""
    transfer = Transfer.of(job.config, job.fast.plain)
    if (warning := transfer.warning(job.config)) is not None:
        err.print(warning, style="yellow")
    for line in [] if job.weights is None else [str(job.weights), *job.weights.notes()]:
        err.print(line)
    if (table := transfer.table(job.fast.plain, job.weights)) is not None:
        err.print(table)


def train(config: Config, out: Path | None = None) -> Run:
    """Train `config` into a new run directory (default: the next free `runs/<name>-<n>`) and return it.

    Raises:
        UserError: config or data are wrong, and nothing was trained; or the run directory cannot be written to.
        CheckFailed: a number stopped being finite, and `training.on_nonfinite` is "stop" or ten rollbacks did not help.
        Interrupted: Ctrl-C or SIGTERM, or another worker is lost; all is saved, and `resume` goes on.
    """
    with naming_lost_workers(cluster()):
        run, job = start(config, out)
        with locked(run, job):
            carry_out(Work.of(run, job))
    return run


def locked(run: Run, job: Job) -> contextlib.AbstractContextManager[None]:
    """Keep other processes from training into a run, but for the workers that write nothing."""
    return run.locked() if job.distribution.cluster.chief else contextlib.nullcontext()


@dataclass(frozen=True)
class Work:
    """A run, all that it needs, what watches it, and the state of all these.

    Attributes:
        watching: None on a worker that writes nothing.
        callbacks: what `fit` calls besides what is in every run.
    """

    run: Run
    job: Job
    watching: Watching | None
    callbacks: tuple[keras.callbacks.Callback, ...]
    state: State

    @classmethod
    def of(cls, run: Run, job: Job) -> Self:
        """Return the work of a run whose directory is there."""
        if not job.distribution.cluster.chief:
            found = tuple(follow(job))
            return cls(run, job, None, found, State(job, found, whole=False))
        watching = watch(run, job)
        return cls(run, job, watching, watching.callbacks, State(job, [*watching.callbacks, watching.events]))

    def close(self) -> None:
        """Write what is buffered when `fit` did not come to its end."""
        if self.watching is not None:
            self.watching.close()


def carry_out(work: Work, saved: Saved | None = None) -> None:
    """Train, from the start or from a checkpoint on, and write all that belongs to a run that is finished."""
    run, job, watching = work.run, work.job, work.watching
    err.print(f"run {run.path}: {job.images:,} images, {len(job.dataset.class_names)} classes", highlight=False)
    guard = Guard(job)
    if watching is None:
        with guard.watching():
            _fit(work, saved, guard)
        return
    with naming_lost_storage(run), guard.watching():
        try:
            _fit(work, saved, guard)
        except (CheckFailed, Interrupted):
            try:
                conclude(run)
            except (OSError, ValueError) as error:  # what stopped the run is what the user has to hear
                err.print(f"no diagnosis or report: {error}", markup=False)
            raise
        guard.stage = "evaluation"
        save(job.fast.to_plain(), run.last_model_file)
        finish(run, job, watching.best.epoch, watching.history.epochs, watching.timing.total)
        _look(run, job)
        conclude(run)
        Store(run.checkpoints).forget(but=1)


def _fit(work: Work, saved: Saved | None, guard: Guard) -> None:
    run, job, cluster = work.run, work.job, work.job.distribution.cluster
    stop = StopRequest() if job.trainer.flags is None else SharedStop(job.trainer.flags)
    epochs = job.config.training.epochs
    callbacks = _callbacks(work, stop, saved, guard)
    try:
        with (
            stop.listening(),
            naming_bad_files(job.config.data, job.dataset),
            stdout_to_stderr(),
            naming_lost_workers(cluster),
        ):
            if saved is not None and saved.done(epochs):
                callbacks.on_train_begin()
                callbacks.on_train_end()
            else:
                _run_epochs(job, callbacks, saved)
    except Interrupted as stopped:
        work.close()
        if cluster.chief:
            save(job.fast.to_plain(), run.last_model_file)
        where = " on every worker" if len(cluster) > 1 else ""
        words = f"{stopped}; to go on{where}: kerasnets train --resume {run.path}"
        raise Interrupted(words, stopped.code) from stopped
    except BaseException:
        work.close()
        raise


def _callbacks(work: Work, stop: StopRequest, saved: Saved | None, guard: Guard) -> Callbacks:
    """Return all callbacks, in order. The variables get a checkpoint's values first: some callbacks look at them."""
    job, watching, trainer = work.job, work.watching, work.job.trainer
    if saved is not None:
        work.state.put_variables(saved)
        trainer.steps_done = saved.step
    found = [guard, *work.callbacks]
    if isinstance(stop, SharedStop):
        found.insert(0, Together(stop, job.distribution, job.probe))
    if watching is not None:
        every = Interval.parse(job.config.training.checkpoint_every)
        begins = saved is None and job.weights is not None
        found.append(Checkpointing(work.run, work.state, every, stop, watching.events.flush, at_start=begins))
        if watching.averaged is not None:
            found.append(KeepAverage(watching.averaged))
    elif isinstance(stop, SharedStop):
        found.append(StopWithTheChief(stop))
    shown = watching is not None
    settings = {"epochs": job.config.training.epochs, "steps": job.steps_per_epoch, "verbose": _VERBOSE * shown}
    return Callbacks(found, work.state, saved, add_history=True, add_progbar=shown, model=trainer, **settings)


def _run_epochs(job: Job, callbacks: Callbacks, saved: Saved | None) -> None:
    held_out, held_out_steps = job.validation_feed()
    job.trainer.fit(
        job.training_feed(start_step=saved.step if saved is not None else 0),
        initial_epoch=saved.epoch if saved is not None else 0,
        epochs=job.config.training.epochs,
        shuffle=False,  # the pipeline orders the examples
        steps_per_epoch=job.steps_per_epoch,
        validation_data=held_out,
        validation_steps=held_out_steps,
        callbacks=callbacks,
        verbose=_VERBOSE * job.distribution.cluster.chief,
    )


def _look(run: Run, job: Job) -> None:
    """Write what the best weights make of some images, as far as it is wanted."""
    telemetry = job.config.telemetry
    if not (telemetry.embeddings or telemetry.report):
        return
    best = models.main(models.load(run.model_file))
    _write_embeddings(run, job, best)
    if telemetry.report:
        write_overlays(run, job, best)


def _write_embeddings(run: Run, job: Job, model: keras.Model) -> None:
    """Write where the best weights put some of the validation images, for TensorBoard's projector."""
    split, wanted = job.dataset.validation, job.config.telemetry.embeddings
    order = kept(split, job.skip.get("validation", frozenset()))
    places = np.linspace(0, len(order) - 1, min(wanted, len(order))).astype(int).tolist()  # folders are sorted by class
    if places:
        chosen = [order[place] for place in places]
        batches = job.batches("validation", only=frozenset(chosen))
        names, shown = job.dataset.class_names, pictures(job, places)
        write_embeddings(run.tensorboard / "validation", model, batches, names, shown)


def conclude(run: Run) -> None:
    """Write the doctor's verdicts and the report."""
    evidence = reader.read(run.path, run.config)
    write_diagnosis(run, evidence, examine(evidence).findings)
    if run.config.telemetry.report:
        from kerasnets.report import page  # here, as no step waits for it

        page.write(run)
