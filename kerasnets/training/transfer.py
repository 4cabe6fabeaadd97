"""What of a network is trained, from when on and at which rate; and the table that says so when training starts."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Self

import keras
from rich.table import Table

from kerasnets.config import Config
from kerasnets.models.specs import MAIN_HEAD
from kerasnets.models.stages import HEAD, Stages
from kerasnets.telemetry.frozen import Frozen
from kerasnets.training.layerwise import Rates
from kerasnets.training.pretrained import STATES, Weights

_ROWS = 24
"""Stages that have a row each; of more, neighbours that are trained alike share one."""


@dataclass(frozen=True)
class Transfer:
    """How the stages of a network are trained.

    Attributes:
        stages: of the network; of a model of the user's own, its layers.
        frozen: those that `model.freeze` freezes.
        thaw_after: epochs; None: they stay frozen.
        multipliers: stage -> what the learning rate is multiplied by; the head's as `head`.
    """

    stages: Stages
    frozen: frozenset[str]
    thaw_after: int | None
    multipliers: dict[str, float]

    @classmethod
    def of(cls, config: Config, net: keras.Model) -> Self:
        """Return what a config says of a network.

        Raises:
            UserError: it names a layer that a model of the user's own has not.
        """
        model, training = config.model, config.training
        layers = (variable.path.partition("/")[0] for layer in net.layers for variable in layer.weights)
        stages = model.stages or Stages.of_layers(layers, MAIN_HEAD)
        rates = stages.rates(training.layer_multipliers or {}, training.layer_decay or 1.0)
        return cls(stages, frozenset(stages.up_to(model.freeze)), model.thaw_after, rates)

    def freeze(self, net: keras.Model, steps_per_epoch: int) -> Frozen:
        """Return which variables of a network are frozen, moving statistics among them, and for how many steps."""
        names = frozenset(v.path for v in net.weights if self.stages.of(v.path) in self.frozen)
        if self.thaw_after is None or not names:
            return Frozen(names)
        return Frozen(names, self.thaw_after * steps_per_epoch)

    def rates(self, net: keras.Model, frozen: Frozen) -> Rates:
        """Return by what the learning rate of each variable of a network is multiplied."""
        return Rates({v.path: self.multipliers[self.stages.of(v.path)] for v in net.trainable_variables}, frozen)

    def words(self, stage: str) -> str:
        """Say how a stage is trained; empty for one that is trained like any network."""
        thaw, multiplier = self.thaw_after, self.multipliers[stage]
        cold = "frozen" if thaw is None else f"frozen for {thaw} epoch{'s' * (thaw > 1)}"
        found = [cold] if stage in self.frozen else []
        if multiplier != 1 and (stage not in self.frozen or thaw is not None):
            found.append(f"rate x {multiplier:.3g}")
        return ", ".join(found)

    def warning(self, config: Config) -> str | None:
        """Say that what is frozen has learnt nothing, where that is so; a model of one's own brings its weights."""
        if not self.frozen or config.model.pretrained is not None or config.model.own:
            return None
        return f"model.freeze={config.model.freeze} without model.pretrained: those layers stay as they are initialised"

    def table(self, net: keras.Model, weights: Weights | None) -> Table | None:
        """Return a row for each stage: its parameters, what became of its tensors, how it is trained.

        None where all begins at its initialisation and is trained alike.
        """
        every = (*self.stages.names, HEAD)
        if weights is None and not any(self.words(stage) for stage in every):
            return None
        shown = Table("stage", box=None, pad_edge=False)
        for column in ("parameters", *(STATES if weights is not None else ())):
            shown.add_column(column, justify="right")
        shown.add_column("")
        for group in _groups([(stage, self.words(stage)) for stage in every]):
            own = [v for v in net.trainable_variables if self.stages.of(v.path) in group]
            cells = self._cells(weights, group) if weights is not None else []
            name = group[0] if len(group) == 1 else f"{group[0]} … {group[-1]}"
            shown.add_row(name, f"{sum(math.prod(v.shape) for v in own):,}", *cells, self.words(group[0]))
        return shown

    def _cells(self, weights: Weights, group: list[str]) -> list[str]:
        """Return how many tensors of some stages were loaded, adapted and left at initialisation."""
        own = [tensor for tensor in weights.loaded.tensors if self.stages.of(tensor.name) in group]
        counts = [sum(tensor.state == state for tensor in own) for state in STATES]
        return [f"{count:,}" if count else "" for count in counts]


def _groups(stages: list[tuple[str, str]]) -> Iterator[list[str]]:
    """Yield the stages that share a row, from (stage, how it is trained)."""
    if len(stages) <= _ROWS:
        yield from ([stage] for stage, _ in stages)
        return
    *body, (head, _) = stages
    for _, group in groupby(body, key=lambda pair: pair[1]):
        yield [stage for stage, _ in group]
    yield [head]
