"""The callbacks of a run: what is written, saved and watched while `fit` runs, in the order in which they go."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kerasnets.console import err
from kerasnets.data.raw import kept, picture
from kerasnets.doctor.live import Watch
from kerasnets.run import Run
from kerasnets.telemetry.events import Events
from kerasnets.telemetry.hparams import HParams
from kerasnets.telemetry.pages import ProbePages, ValidationPages
from kerasnets.telemetry.profile import Profile
from kerasnets.telemetry.tensorboard import TensorBoard
from kerasnets.telemetry.writer import ProbeWriter
from kerasnets.training.callbacks import AveragedWeights, BestWeights, EarlyStopping, History, KeepAverage, Timing
from kerasnets.training.job import Job
from kerasnets.training.nonfinite import Rollback, StopOnNonFinite
from kerasnets.training.saving import save


class LiveDoctor(keras.callbacks.Callback):
    """Warns of what the doctor finds while the run goes on, once of each."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def get_state(self) -> dict[str, list[str]]:
        return self._watch.get_state()

    def set_state(self, state: Mapping[str, Sequence[str]]) -> None:
        self._watch.set_state(state)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        for finding in self._watch.check():
            remedy = f"; try {finding.remedy[0]}" if finding.remedy else ""
            err.print(f"doctor: {finding.rule}: {finding.summary}{remedy}", style="yellow", markup=False)


@dataclass(frozen=True)
class Watching:
    """A run's callbacks, and those of them that are asked for something when training has ended."""

    callbacks: tuple[keras.callbacks.Callback, ...]
    timing: Timing
    best: BestWeights
    history: History
    averaged: AveragedWeights | None
    events: Events
    hparams: HParams
    probe: ProbeWriter | None

    def close(self) -> None:
        """Write what is buffered when `fit` did not come to its end."""
        if self.probe is not None:
            self.probe.close()
        self.hparams.close(finished=False)
        for callback in self.callbacks:
            if isinstance(callback, Profile):
                callback.close()
        self.events.close()


def follow(job: Job) -> list[keras.callbacks.Callback]:
    """Return what a worker that writes nothing needs: all that changes weights or may end the run."""
    settings = job.config.training
    found: list[keras.callbacks.Callback] = []
    averaged = AveragedWeights() if settings.ema is not None else None
    found += [averaged] if averaged is not None else []
    found.append(_on_nonfinite(job, lambda _: None))
    if settings.early_stopping is not None:
        found.append(_early_stopping(job))
    return [*found, *([KeepAverage(averaged)] if averaged is not None else [])]


def watch(run: Run, job: Job) -> Watching:
    """Return what watches a run. What writes to the event files goes before the callback that closes them."""
    settings, telemetry = job.config.training, job.config.telemetry
    best = BestWeights(lambda: save(job.fast.to_plain(), run.path / "model.keras"), settings.monitor)
    limit, main_head = telemetry.max_megabytes, job.trainer.main_head.name
    events = Events(run.tensorboard, limit)
    hparams = HParams(events, run.path.name, job.config.model_dump(mode="json", exclude={"telemetry", "export"}))
    board = TensorBoard(events, main_head=main_head, graph=telemetry.graph, config=job.config.dump())
    timing = Timing(job.images)
    found: list[keras.callbacks.Callback] = [timing]
    averaged = AveragedWeights() if settings.ema is not None else None
    found += [averaged] if averaged is not None else []
    found.append(_on_nonfinite(job, lambda found: _note(run, found)))
    probe = None
    if job.probe is not None:
        probe = ProbeWriter(job.probe, run.telemetry, events, max_megabytes=limit, main_head=main_head)
        found += [probe, *([ProbePages(probe)] if telemetry.images else [])]
    history = History(run.path / "history.csv")
    found += [history, *_validation_pages(job, events), hparams]
    if telemetry.profile is not None:
        found.append(Profile(run.tensorboard / "train", *telemetry.profile))
    found += [board, *([LiveDoctor(Watch(run.path, job.config))] if telemetry.doctor else []), best]
    if settings.early_stopping is not None:
        found.append(_early_stopping(job))
    return Watching(tuple(found), timing, best, history, averaged, events, hparams, probe)


def _early_stopping(job: Job) -> EarlyStopping:
    settings = job.config.training
    monitor, mode = f"val_{settings.monitor}", "max" if settings.monitor == "accuracy" else "min"
    return EarlyStopping(monitor=monitor, mode=mode, patience=settings.early_stopping)


def _note(run: Run, found: Sequence[Mapping[str, Any]]) -> None:
    run.telemetry.mkdir(exist_ok=True)
    run.write_json("telemetry/nonfinite.json", {"events": list(found)})


def _on_nonfinite(job: Job, note: Callable[[Sequence[Mapping[str, Any]]], None]) -> keras.callbacks.Callback:
    settings = job.config.training
    if job.rate is not None:
        return Rollback(job.nonfinite, note, job.rate, settings.rollback_factor)
    return StopOnNonFinite(job.nonfinite, note)


def _validation_pages(job: Job, events: Events) -> list[keras.callbacks.Callback]:
    telemetry = job.config.telemetry
    if job.trainer.counts is None:
        return []
    return [
        ValidationPages(
            job.trainer.counts,
            events,
            names=job.dataset.class_names,
            images=lambda places: list(pictures(job, places)),
            draw=telemetry.images,
            pr_curves=telemetry.pr_curves,
        )
    ]


def pictures(job: Job, places: Sequence[int]) -> Iterator[np.ndarray]:
    """Yield the images at places of the validation order as they are before resizing, uint8 `[h, w, 1 or 3]`."""
    split = job.dataset.validation
    order = kept(split, job.skip.get("validation", frozenset()))
    for place in places:
        image = np.asarray(picture(split, order[place]))
        yield image if image.ndim == 3 else image[..., None]
