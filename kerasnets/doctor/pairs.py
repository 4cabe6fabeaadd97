"""Rules that compare two runs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasnets.config import Config
from kerasnets.doctor.evidence import Evidence
from kerasnets.doctor.finding import Finding
from kerasnets.doctor.plots import Draw
from kerasnets.doctor.remedies import rate, valid
from kerasnets.doctor.rule import Thresholds


@dataclass(frozen=True)
class PairRule:
    """As `Rule`, for two runs."""

    name: str
    looks_at: str
    thresholds: Thresholds
    why: str
    check: Callable[[Evidence, Evidence, Thresholds], Finding | None]
    draw: Callable[[Evidence], Draw]


_BESIDE: Any = {
    **{"name": True, "seed": True, "telemetry": True, "export": True},
    **{"data": {"workers", "cache", "cache_dir", "tfds_dir"}, "training": {"threads"}},
}
"""Keys in which two runs may differ and still be compared."""


def depth(config: Config) -> int | None:
    """Return the layers with weights of a residual or plain network, None for other models."""
    options = config.model.options
    if config.model.own or "blocks" not in options:
        return None
    return sum(options["blocks"]) * (3 if options["block"] == "bottleneck" else 2) + 2


def siblings(first: Config, second: Config) -> bool:
    """Tell whether two runs differ in depth, and in nothing that decides what can be learnt."""
    one, two = (config.model_dump(exclude=_BESIDE) for config in (first, second))
    for config in (one, two):
        config["model"] = {key: value for key, value in config["model"].items() if key not in ("name", "blocks")}
    return one == two and depth(first) not in (None, depth(second))


def _degradation(shallow: Evidence, deep: Evidence, at: Thresholds) -> Finding | None:
    if not siblings(shallow.config, deep.config) or not (shallow.epochs and deep.epochs):
        return None
    swapped = (depth(shallow.config) or 0) > (depth(deep.config) or 0)
    if swapped:
        shallow, deep = deep, shallow
    epochs = min(shallow.epochs, deep.epochs)
    last = slice(max(0, epochs - int(at["last"])), epochs)
    losses = [float(run.loss[last].mean()) for run in (shallow, deep)]
    errors = [1 - float(run.history["accuracy"][last].mean()) for run in (shallow, deep)]
    if not (losses[1] - losses[0] >= at["loss"] and losses[1] >= at["factor"] * losses[0] and errors[1] > errors[0]):
        return None
    depths = [depth(run.config) or 0 for run in (shallow, deep)]
    return Finding(
        "degradation",
        f"of the {'first' if swapped else 'second'} run, the deeper one: after {epochs} epochs the training error is "
        f"{errors[1]:.1%} with {depths[1]} layers and {errors[0]:.1%} with "
        f"{depths[0]}; the training loss {losses[1]:.3f} and {losses[0]:.3f}",
        "The deeper network could copy the shallower one and leave its other layers at the identity, but training does "
        "not find that. It is no overfitting, since the training error itself is higher; shortcuts are the cure (He et "
        "al. 2015).",
        {
            **{"layers": depths[1], "layers_of_other": depths[0], "training_error": errors[1]},
            **{"training_error_of_other": errors[0], "loss": losses[1], "loss_of_other": losses[0]},
        },
        valid(deep.config, "model.residual=true", "model.normalization=batch", rate(deep.config, 0.3)),
        "error",
    )


def _identical(first: Evidence, second: Evidence, at: Thresholds) -> Finding | None:
    epochs = min(first.epochs, second.epochs)
    if epochs < at["epochs"] or not np.array_equal(first.loss[:epochs], second.loss[:epochs]):
        return None
    return Finding(
        "identical_runs",
        f"both runs have exactly the same training loss in each of {epochs} epochs",
        "Seed and config are the same in all that matters, so the second run shows nothing that the first did not. "
        "What was meant to differ did not reach training.",
        {"epochs": epochs},
        valid(second.config, f"seed={second.config.seed + 1}"),
    )


def _both(other: Evidence) -> Draw:
    def draw(axes: object, evidence: Evidence, finding: Finding) -> None:
        from matplotlib.axes import Axes

        if not isinstance(axes, Axes):
            raise TypeError("axes")
        for run in (evidence, other):
            label = f"{depth(run.config) or run.config.name} layers"
            axes.plot(run.history["epoch"], run.loss, marker=".", label=label)
        axes.set(xlabel="epoch", ylabel="training loss")
        axes.legend(fontsize="small")

    return draw


DEGRADATION = PairRule(
    "degradation",
    "training error and loss of two runs that differ in depth alone",
    {"loss": 0.05, "factor": 1.1, "last": 2},
    "Two seeds of a network differ by a hundredth or two in training loss.",
    _degradation,
    _both,
)
IDENTICAL = PairRule(
    "identical_runs",
    "training loss of two runs, epoch by epoch",
    {"epochs": 2},
    "Equal to the last digit in every epoch is no chance.",
    _identical,
    _both,
)
PAIR_RULES = (DEGRADATION, IDENTICAL)
