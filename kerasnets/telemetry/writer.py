"""The probe's samples written down: to TensorBoard's event files, and as tables that `doctor` and `report` read."""

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kerasnets.telemetry import cost
from kerasnets.telemetry.events import Events
from kerasnets.telemetry.observers import Level
from kerasnets.telemetry.probe import RING, Probe
from kerasnets.telemetry.record import (
    ACTIVATION,
    CLIPPED,
    GRADIENT,
    HEAD,
    INPUT,
    STATISTICS,
    UPDATE,
    WEIGHT,
    Recorder,
)
from kerasnets.telemetry.sample import Kind, Sample
from kerasnets.telemetry.stepwise import Stepwise

_TAGS = {GRADIENT: "gradients", CLIPPED: "gradients_clipped", WEIGHT: "weights", UPDATE: "updates"}
_TAGS |= {ACTIVATION: "activations", INPUT: "input"}
_SCALARS = {GRADIENT: "gradient_norm", CLIPPED: "gradient_clipped_norm", WEIGHT: "weight_norm"}
_EXTRAS = {"ratio": "update_ratio", "dead": "dead_units", "dead_epoch": "dead_units_epoch", "saturated": "saturated"}
_STD, _L2, _MIN, _MAX, _NAN, _INF = (STATISTICS.index(name) for name in ("std", "l2", "min", "max", "nan", "inf"))
_STEP_TAGS = ("step/loss", "step/gradient_norm", "step/learning_rate")
_FLUSH = RING // 8


class ProbeWriter(Stepwise):
    """Writes what a probe sees while `fit` runs.

    Args:
        probe: an observer of the model that is trained.
        directory: gets `statistics.csv`, `steps.csv`, `layers.json` and `cost.json` (see `kerasnets.telemetry.record`).
        events: event files; default: `<directory>/tensorboard`.
        max_megabytes: size of the event files that is not exceeded: the interval of samples doubles as it nears, and a
            sample that would not fit goes to the tables alone.
        main_head: name of the output that is served; default: the last.
    """

    def __init__(
        self,
        probe: Probe,
        directory: Path | str,
        events: Events | None = None,
        *,
        max_megabytes: float = 50.0,
        main_head: str | None = None,
    ) -> None:
        super().__init__()
        self.probe = probe
        self._directory = Path(directory)
        self.events = events or Events(self._directory / "tensorboard")
        self._limit = max_megabytes * cost.MEGABYTE
        self._main_head = main_head
        self._first_every = probe.every
        self._clock = cost.Clock()
        self._traced: set[Level] = set()
        self._touched = False
        self._kept = 0
        self._latest = (0, 0.0, 0.0, 0.0)
        self._begun = False
        self.last: Sample | None = None

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        if self._begun:  # a second `fit` goes on in the same record
            return
        self._begun = True
        self._kept = self.step
        layers = self.probe.layers(int(self.params.get("steps") or 0), self._main_head)
        self._recorder = Recorder(self._directory, layers, anew=self.step == 0)

    def get_state(self) -> dict[str, Any]:
        """Return what a run that is resumed needs beside what is in the files and in the probe."""
        latest = {"latest": np.array(self._latest), "touched": self._touched}
        return {"kept": self._kept, **latest, "clock": self._clock.get_state()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `get_state` returned."""
        self._kept, self._touched = state["kept"], state["touched"]
        step, *values = state["latest"].tolist()
        self._latest = (int(step), *values)
        self._clock.set_state(state["clock"])

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        super().on_epoch_begin(epoch)
        self.probe.forget_epoch()
        self._since = time.perf_counter()

    def on_steps_end(self, steps: range) -> None:
        now = time.perf_counter()
        due = [step for step in steps if self.probe.due(step)]
        self._time(now - self._since, self.probe.level(steps))
        self._since = now
        if due:
            self.last = self.probe.sample()
            self._keep_steps()
            self._write(self.last)
        elif self.step - self._kept >= _FLUSH:
            self._keep_steps()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._keep_steps()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        self.close()

    def close(self) -> None:
        """Write what is left, and the cost. Safe to call twice, and before training began."""
        if not self._begun:
            return
        self._keep_steps()
        self.events.flush()
        document = {
            **{"schema": 1, "share": self._clock.share, "setup_seconds": self._clock.setup},
            **{"megabytes": self.megabytes, "every": self.probe.every},
        }
        (self._directory / "cost.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")

    @property
    def megabytes(self) -> float:
        """Size of the event files."""
        return self.events.bytes / cost.MEGABYTE

    @property
    def share(self) -> float | None:
        """Share of the training time that samples took; None in a run too short to tell."""
        return self._clock.share

    def _time(self, seconds: float, level: Level) -> None:
        """Count an execution; the first of each level traces its graph, which happens once."""
        if level not in self._traced:
            self._traced.add(level)
            self._clock.first(seconds, level is not Level.STEP)
        else:
            self._clock.step(seconds, self._touched or level is not Level.STEP)
        self._touched = level is not Level.STEP

    def _keep_steps(self) -> None:
        """Read the steps since the last time from the device and append them."""
        last = self.last
        inference = {last.step: last.inference_loss} if last is not None else {}
        rows = self.probe.steps(self._kept + 1, self.step)
        self._recorder.steps([(*row, inference.get(row[0])) for row in rows])
        self._kept = self.step
        if rows:
            self._latest = rows[-1]

    def _write(self, sample: Sample) -> None:
        for kind, seen in sample.kinds.items():
            self._recorder.statistics(sample.step, kind, _rows(seen))
        values = [self.events.scalar(tag, value) for tag, value in (scalars(sample) | self._step_scalars()).items()]
        for kind, seen in sample.kinds.items():
            values += _histograms(self.events, kind, seen)
        if self.events.bytes + sum(value.ByteSize() for value in values) <= self._limit * cost.SAMPLES:
            self.events.write(sample.step, values)
        wanted = cost.interval(self._first_every, self.events.bytes, self._limit)
        if wanted is None:
            self.probe.pause_histograms()
        elif wanted != self.probe.every:
            self.probe.every = wanted

    def _step_scalars(self) -> dict[str, float]:
        """Return the curves' values at the step that was sampled."""
        if self.last is None or self._latest[0] != self.last.step:
            return {}
        values = dict(zip(_STEP_TAGS, self._latest[1:], strict=True))
        return {tag: value for tag, value in values.items() if math.isfinite(value)}


def _rows(kind: Kind) -> list[tuple[str, dict[str, float]]]:
    """Return (name, statistic or extra -> value), without what was not measured."""
    rows = []
    for place, (name, moments) in enumerate(zip(kind.names, kind.moments.tolist(), strict=True)):
        if math.isnan(moments[_NAN]):  # how many entries are NaN is a number wherever somebody looked
            continue
        extras = {extra: float(values[place]) for extra, values in kind.extras.items()}
        known = {extra: value for extra, value in extras.items() if not math.isnan(value)}
        rows.append((name, dict(zip(STATISTICS, moments, strict=True)) | known))
    return rows


def scalars(sample: Sample) -> dict[str, float]:
    """Return tag -> value: norms, update ratios, spread of activations, dead and saturated shares, NaN and Inf."""
    found: dict[str, float] = {}
    for kind, seen in sample.kinds.items():
        for name, moments in zip(seen.names, seen.moments, strict=True):
            if kind in _SCALARS or kind.startswith(HEAD):
                group = _SCALARS.get(kind) or f"gradient_norm_{kind.removeprefix(HEAD)}"
                found[f"{group}/{name}"] = float(moments[_L2])
            elif kind != UPDATE:
                found[f"{_TAGS[kind]}_std/{name}"] = float(moments[_STD])
            if moments[_NAN] + moments[_INF] > 0:
                found[f"nonfinite_{kind.replace(':', '_')}/{name}"] = float(moments[_NAN] + moments[_INF])
        for extra, group in _EXTRAS.items():
            values = seen.extras.get(extra, ())
            found |= {f"{group}/{n}": float(v) for n, v in zip(seen.names, values, strict=False) if np.isfinite(v)}
    if sample.inference_loss is not None:
        found["step/inference_loss"] = sample.inference_loss
    return {tag: value for tag, value in found.items() if np.isfinite(value)}


def _histograms(events: Events, kind: str, seen: Kind) -> list[Any]:
    """Return the histograms of tensors that have finite entries; a non-finite value would corrupt TensorBoard's."""
    if seen.counts is None:
        return []
    return [
        events.histogram(f"{_TAGS[kind]}/{name}", float(moments[_MIN]), float(moments[_MAX]), counts)
        for name, moments, counts in zip(seen.names, seen.moments, seen.counts, strict=True)
        if counts.sum() > 0
    ]
