"""`Evidence`: all that rules look at, of one run, finished or not."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from kerasnets.config import Config
from kerasnets.telemetry.record import ACTIVATION, GRADIENT, INPUT, UPDATE, WEIGHT, Layers, Series, Steps

BIASES = ("bias", "beta")
"""How names of what is added to each channel end: biases, and batch normalisation's."""
LACKS = {
    "history": "a finished epoch in history.csv",
    "validation": "validation results in history.csv",
    "steps": "telemetry/steps.csv",
    "inference_loss": "losses in inference mode",
    GRADIENT: "sampled gradients",
    WEIGHT: "sampled weights",
    UPDATE: "sampled updates",
    ACTIVATION: "sampled activations (telemetry.activations)",
    INPUT: "sampled inputs",
    "counts": "splits.csv",
    "predictions": "predictions.csv, which is written when training ends",
}
"""Parts of the evidence that a rule may need, and what to say where one is missing."""


@dataclass(frozen=True)
class Trouble:
    """A value that is not finite, as telemetry/nonfinite.json has it: the first of all at its step.

    Attributes:
        step: the optimizer step.
        kind: "input", "weight", "activation", "loss", "gradient" or "gradient_norm".
        layer: layer or variable; empty for the loss and the norm.
        action: "stop" or "rollback".
    """

    step: int
    kind: str
    layer: str
    action: str


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of a run.

    Attributes:
        config: the run's own.
        history: column of history.csv -> float64 `[epochs]`.
        layers: what telemetry watched, or None.
        kinds: kind -> sampled statistics.
        steps: curves of every optimizer step, or None.
        counts: class -> number of training images.
        confusion: (class, predicted class) -> number of validation images.
        finished: metrics.json is there.
        idle_seconds: since the run last wrote a number.
        troubles: what the training itself noted of values that are not finite, in order of time.
        damaged: lines of telemetry files that could not be read.
    """

    config: Config
    history: Mapping[str, np.ndarray] = field(default_factory=dict)
    layers: Layers | None = None
    kinds: Mapping[str, Series] = field(default_factory=dict)
    steps: Steps | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    confusion: Mapping[tuple[str, str], int] = field(default_factory=dict)
    finished: bool = False
    idle_seconds: float = 0.0
    troubles: tuple[Trouble, ...] = ()
    damaged: int = 0

    def lacks(self, part: str) -> bool:
        """Tell whether a part of `LACKS` is missing."""
        if part == "history":
            return not self.epochs
        if part == "validation":
            return not self.epochs or "val_loss" not in self.history
        if part == "steps":
            return self.steps is None or not len(self.steps.step)
        if part == "inference_loss":
            return self.steps is None or not np.isfinite(self.steps.inference_loss).any()
        if part in ("counts", "predictions"):
            return not (self.counts if part == "counts" else self.confusion)
        return part not in self.kinds

    @property
    def epochs(self) -> int:
        """Epochs that ended."""
        return len(self.history.get("epoch", ()))

    @property
    def over(self) -> bool:
        """Whether training has ended as it was meant to, or all its epochs are there."""
        return self.finished or self.epochs >= self.config.training.epochs

    @property
    def updates(self) -> int:
        """Optimizer steps so far."""
        if self.steps is not None and len(self.steps.step):
            return int(self.steps.step[-1])
        return self.epochs * -(-sum(self.counts.values()) // self.config.training.batch)

    @property
    def options(self) -> dict[str, Any]:
        """The model's options by the names of our builders; none of a model of the user's own."""
        return {} if self.config.model.own else self.config.model.options

    @cached_property
    def head_weight(self) -> float:
        """Sum of the loss weights of all heads: of GoogLeNet's, 1 and that of its two auxiliary ones."""
        return 1 + 2 * self.options["auxiliary_weight"] if self.options.get("auxiliary") else 1.0

    @cached_property
    def chance(self) -> float:
        """Loss of one head that has learnt how frequent each class is, and nothing of images; ln K when balanced."""
        numbers = np.array([count for count in self.counts.values() if count], float)
        if not len(numbers):
            return math.nan
        if self.config.training.class_weights is not None:
            return math.log(len(numbers))
        shares = numbers / numbers.sum()
        return float(-(shares * np.log(shares)).sum())

    @cached_property
    def loss(self) -> np.ndarray:
        """Training loss of the main head, `[epochs]`."""
        heads = [key.removesuffix("_loss") for key in self.history if key.endswith("_loss") and key != "val_loss"]
        heads = [head for head in heads if f"{head}_accuracy" in self.history]
        return self.history[f"{sorted(heads)[-1]}_loss" if heads else "loss"]

    def trunk(self, kind: str, suffixes: tuple[str, ...] = ("kernel",)) -> Series:
        """Return the statistics of the kernels on the way to the main head, in order of depth."""
        series = self.kinds[kind]
        return select(series, [name.endswith(suffixes) and not name.startswith(self._side) for name in series.names])

    def nonlinear(self) -> Series:
        """Return the statistics of the nonlinearities' outputs on the way to the main head, in order of depth."""
        series, functions = self.kinds[ACTIVATION], self.layers.activations if self.layers else {}
        keep = [functions.get(name) != "linear" and not name.startswith(self._side) for name in series.names]
        return select(series, keep)

    @cached_property
    def _side(self) -> tuple[str, ...]:
        """How names of auxiliary heads' layers begin."""
        return tuple(head for head in self.layers.heads if head != self.layers.main_head) if self.layers else ()


def select(series: Series, keep: list[bool]) -> Series:
    """Return the tensors of a series that are to be kept."""
    places = np.flatnonzero(keep)
    values = {key: value[:, places] for key, value in series.values.items()}
    return Series(series.steps, tuple(series.names[place] for place in places), values)
