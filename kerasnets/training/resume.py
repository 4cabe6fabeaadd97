"""`resume(run) -> Run`: a run goes on bit for bit where it was, or says why it cannot."""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kerasnets import config as configs
from kerasnets import environment
from kerasnets.config import Config, Training, differences
from kerasnets.console import err
from kerasnets.data import sources
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.durable import replacing
from kerasnets.errors import UserError
from kerasnets.run import Run
from kerasnets.training import distribute, runtime, splits
from kerasnets.training.checkpoint.store import BEST, Damaged, Saved, Store, link
from kerasnets.training.cluster import Cluster, cluster
from kerasnets.training.distribute import naming_lost_workers
from kerasnets.training.job import Job, network, prepare
from kerasnets.training.train import Work, carry_out
from kerasnets.training.workers import alike

MAY_CHANGE = (
    *("training.epochs", "training.early_stopping", "training.checkpoint_every", "training.max_memory"),
    *("data.path", "data.workers", "data.cache", "data.cache_dir", "data.tfds_dir"),
    *("telemetry.doctor", "telemetry.report", "telemetry.embeddings"),
    "export.",
)
"""Keys, and sections with a dot at the end, that decide nothing of what is trained."""
EXTENSIBLE = ("constant", "step")
"""Schedules whose rate at a step does not depend on the number of epochs."""


def resume(path: Path | str, words: Sequence[str] = ()) -> Run:
    """Go on with the run at `path`, with dotted `key=value` words laid over its config.

    A run that is finished is returned as it is, unless `training.epochs` asks for more of them.

    Raises:
        UserError: there is no such run, another process trains into it, its data are not the same, a key may not
            change, its schedule does not allow more epochs, or none of its checkpoints can be used.
        CheckFailed, Interrupted: as `train`.
    """
    run = Run.open(path)
    run.keep_inside()
    workers = cluster() if run.config.training.strategy == "multi_worker" else Cluster()
    with naming_lost_workers(workers), run.locked() if workers.chief else contextlib.nullcontext():
        config = _changed(run, words)
        if run.finished and not _more_wanted(run.config.training, config.training):
            err.print(f"run {run.path} is finished: {config.training.epochs} epochs", highlight=False)
            return run
        _tell_other_versions(run, workers)
        work = Work.of(run, _rebuilt(run, config))
        found = _newest(work)
        if found is not None:
            _check_epochs(run, config, found[1])
        elif config.model.pretrained is not None:
            raise UserError(
                f"run {run.path} ended before its first checkpoint, which has what model.pretrained gave; train anew: "
                f"kerasnets train {run.path / 'config.yaml'}"
            )
        saved = found[1] if found is not None else None
        alike(work.job, saved)
        patience_changed = config.training.early_stopping != run.config.training.early_stopping
        if workers.chief:
            run.write_config(config)
            saved = _taken_up(run, found)
        if saved is not None and patience_changed:
            saved = replace(saved, values={**saved.values, "stopped": False})
        carry_out(work, saved)
    return run


def _changed(run: Run, words: Sequence[str]) -> Config:
    """Return the run's config with words laid over it; only keys that decide nothing may differ."""
    config = configs.override(run.config, words)
    changes = differences.between([run.config, config])
    refused = [change for change in changes if not change.key.startswith(MAY_CHANGE)]
    if refused:
        listed = ", ".join(f"{change.key} ({' -> '.join(change.values)})" for change in refused)
        allowed = ", ".join(key.rstrip(".") for key in MAY_CHANGE)
        raise UserError(f"run {run.path} cannot go on with another {listed}; only these may change: {allowed}")
    return config


def _more_wanted(was: Training, now: Training) -> bool:
    return (was.epochs, was.early_stopping) != (now.epochs, now.early_stopping)


def _tell_other_versions(run: Run, workers: Cluster) -> None:
    """Say what differs from where the run began, as far as it can change the last bits of a sum."""
    before, now = run.read_json("environment.json"), environment.describe()
    names = ("tensorflow", "keras", "numpy")
    pairs = {name: (before["versions"].get(name), now["versions"][name]) for name in names}
    pairs["CPU"] = (before["cpu"]["model"], now["cpu"]["model"])
    pairs["number of workers"] = (before.get("workers", 1), len(workers))
    changed = [f"{name} {was} -> {then}" for name, (was, then) in pairs.items() if was != then]
    if changed:
        err.print(f"not bit for bit: the run began with another {', '.join(changed)}", markup=False, highlight=False)


def _rebuilt(run: Run, config: Config) -> Job:
    """Return the job of a run as it was: its data, checked, its preprocessing, its skipped files."""
    try:
        dataset = sources.load(config.data, seed=config.seed)
    except UserError as error:
        where = run.read_json("environment.json")["working_directory"]
        raise UserError(f"{error} (the run began in {where}; data.path=… may be given anew)") from error
    splits.check(run, dataset)
    runtime.prepare(config.seed, config.training.threads)
    distribution = distribute.start(config.training.strategy)
    skip = {name: run.skipped(name) for name in dataset.splits}
    plain = network(config, dataset)  # whose weights, pretrained or not, are those of a checkpoint in a moment
    return prepare(config, dataset, skip, Preprocessing.load(run.path), distribution, plain)


def _newest(work: Work) -> tuple[Path, Saved] | None:
    """Return the newest checkpoint that can be used, or None where the run has none yet."""

    def usable(saved: Saved) -> None:
        work.state.check(saved)
        if (name := work.run.too_short(saved.values["files"])) is not None:
            raise Damaged(f"{name} of the run is shorter than it was then")

    try:
        found = Store(work.run.checkpoints).newest(usable, lambda words: err.print(words, markup=False))
    except Damaged as error:
        raise UserError(f"run {work.run.path} cannot go on: {error}") from error
    if found is not None and found[1].values["data"] != work.state.data:
        raise UserError(f"the images are not those of run {work.run.path}: same names, but other pixels or file sizes")
    return found


def _check_epochs(run: Run, config: Config, saved: Saved) -> None:
    was, now = run.config.training, config.training
    if now.epochs < saved.epoch + bool(saved.batch):
        raise UserError(f"training.epochs={now.epochs}: run {run.path} has done {saved.epoch} epochs already")
    if now.epochs != was.epochs and now.schedule not in EXTENSIBLE:
        raise UserError(
            f"training.epochs: schedule '{now.schedule}' spreads its rates over all epochs, so with {now.epochs} "
            f"instead of {was.epochs} every step that is done would have had another; train anew, or take a schedule "
            f"that can go on: {', '.join(EXTENSIBLE)}"
        )
    if saved.values["stopped"] and now.epochs != was.epochs and now.early_stopping == was.early_stopping:
        raise UserError(
            f"run {run.path} stopped early after epoch {saved.epoch}; to go on give training.early_stopping=none too, "
            f"or more than {was.early_stopping}"
        )


def _taken_up(run: Run, found: tuple[Path, Saved] | None) -> Saved | None:
    """Bring the run directory to where the checkpoint was written and return that; say where it goes on."""
    store = Store(run.checkpoints)
    store.clear(but=found[0] if found is not None else None)
    best = run.path / BEST
    if found is None:
        run.rewind({})
        best.unlink(missing_ok=True)
        err.print("there is no checkpoint yet: training begins anew")
        return None
    path, saved = found
    run.rewind(saved.values["files"])
    if (path / BEST).is_file():
        with replacing(best) as aside:
            link(path / BEST, aside)
    else:
        best.unlink(missing_ok=True)
    within = f", batch {saved.batch}" if saved.batch else ""
    err.print(f"going on after epoch {saved.epoch}{within} (step {saved.step:,})", highlight=False)
    return saved
