"""Rules on activations and on the network's input."""

import numpy as np

from kerasnets.doctor import plots
from kerasnets.doctor.evidence import Evidence
from kerasnets.doctor.finding import Finding
from kerasnets.doctor.remedies import initializer, rate, valid
from kerasnets.doctor.rule import Rule, Thresholds
from kerasnets.doctor.shape import slope
from kerasnets.telemetry.record import ACTIVATION, INPUT

_NAMED = 12  # layers that a sentence names


def _names(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _dead(evidence: Evidence, at: Thresholds) -> Finding | None:
    series = evidence.nonlinear()
    # Over an epoch's samples a channel has had more chances to fire; the first samples of an epoch see few batches.
    shares = np.where(np.isnan(series["dead_epoch"]), series["dead"], series["dead_epoch"])
    recent = shares[-int(at["samples"]) :]
    if not np.isfinite(recent).any():
        return None
    level = np.nanmin(np.where(np.isfinite(recent).any(axis=0), recent, 0.0), axis=0)
    rectifiers = np.isfinite(shares).any(axis=0)
    sick = level >= at["share"]
    mean = float(level[rectifiers].mean())
    if not sick.any() or (mean < at["mean_share"] and sick.sum() < at["layers"]):
        return None
    names = tuple(np.array(series.names)[sick].tolist())
    when = int(np.flatnonzero((shares[:, sick] >= at["share"]).any(axis=1))[0])
    step, early = int(series.steps[when]), float(np.nanmean(shares[0][rectifiers]))
    cause, words = _why_dead(early >= mean / 2, int(series.steps[0]), rate(evidence.config, 0.1))
    return Finding(
        "dead_relu",
        f"{sick.sum()} of {rectifiers.sum()} ReLU layers have {at['share']:.0%} or more of their channels at zero on "
        f"every image: {_names(names)}; {mean:.0%} of all layers' channels on average, {early:.0%} at step "
        f"{series.steps[0]}",
        cause + "A channel at zero has no gradient and cannot come back by itself.",
        {"layers": int(sick.sum()), "mean_share": mean, "largest_share": float(level.max()), "share_at_start": early},
        valid(evidence.config, *words, "model.normalization=batch", "model.activation=leaky_relu"),
        "error" if mean >= 0.5 else "warning",
        names,
        step,
    )


def _draw_share(statistic: str, of: str) -> plots.Draw:
    """Return what draws a share of each nonlinearity, as it was at the last sample."""

    def draw(axes: "plots.Axes", evidence: Evidence, finding: Finding) -> None:
        series = evidence.nonlinear()
        values = dict(zip(series.names, series[statistic][-1].tolist(), strict=True))
        plots.bars(axes, values, finding.layers, f"share of {of} at step {series.steps[-1]}")

    return draw


def _saturated(evidence: Evidence, at: Thresholds) -> Finding | None:
    series = evidence.nonlinear()
    shares = series["saturated"]
    known = np.isfinite(shares).any(axis=0)
    if not known.any():
        return None
    level = np.median(np.nan_to_num(shares[-int(at["samples"]) :]), axis=0)
    sick = level >= at["share"]
    if sick.sum() < max(1.0, at["share_of_layers"] * known.sum()):
        return None
    names = tuple(np.array(series.names)[sick].tolist())
    when = int(np.flatnonzero((shares[:, sick] >= at["share"]).any(axis=1))[0])
    kind = evidence.options.get("activation", "nonlinear")
    return Finding(
        "saturated_activation",
        f"{sick.sum()} of {known.sum()} {kind} layers have {at['share']:.0%} or more of "
        f"their outputs where the slope is below 5 % of its greatest: {_names(names)}; at most {level.max():.0%}",
        "The sums that go into these nonlinearities are too large: the weights started too large, or large steps made "
        "them so. On the flat ends the gradient is next to nothing, and the layers before them stop learning.",
        {"layers": int(sick.sum()), "largest_share": float(level.max()), "share_at_start": float(np.nanmax(shares[0]))},
        valid(
            evidence.config,
            initializer(evidence.config),
            "model.normalization=batch",
            rate(evidence.config, 0.1),
            "model.activation=relu",
        ),
        "error" if sick.sum() == known.sum() else "warning",
        names,
        int(series.steps[when]),
    )


def _why_dead(early: bool, first: int, lower: str) -> tuple[str, tuple[str, ...]]:
    """Return the cause in words and what to try.

    Args:
        early: whether they were dead in the first sample.
        first: step of that.
        lower: the word that lowers the rate.
    """
    if not early:
        cause = "They fired at first and died while training: a large step pushed their biases below what any image "
        return f"{cause}reaches. ", (lower,)
    if first == 1:
        cause = "They are dead from the first step, so the biases or the input, and not training, hold them below "
        return f"{cause}zero. ", ("model.bias=0",)
    cause = f"They are dead at step {first}, so the biases, the input or the updates before it hold them below zero. "
    return cause, ("model.bias=0", lower)


def _initialization(evidence: Evidence, at: Thresholds) -> Finding | None:
    series = evidence.nonlinear()
    std = series["std"][0].astype(float)
    if np.nan_to_num(series["dead"][0]).max(initial=0.0) >= at["dead"] or evidence.config.model.pretrained is not None:
        return None
    found = slope(std, int(at["least_layers"]))
    if found is None or found.explained < at["explained"] or abs(found.decades) < at["decades"]:
        return None
    shrinks = found.decades < 0  # `decades` counts from the last layer back
    alive = std[std > 0]
    means = {
        True: "Each layer gives back less than it gets, as with an initialisation that is too small for the "
        "activation. The last layers hardly see the image, and the first hardly get a gradient.",
        False: "Each layer gives back more than it gets, as with weights that start too large. "
        "The logits start far from zero, and the first steps are spent on bringing them back.",
    }
    return Finding(
        "poor_initialization",
        f"at step {series.steps[0]} the std of the activations {'shrinks' if shrinks else 'grows'} by "
        f"{abs(found.decades):.1f} powers of ten over {len(std)} layers, from {alive[0]:.2g} to {alive[-1]:.2g}",
        means[shrinks],
        {"decades": -found.decades, "layers": len(std), "std_first": float(alive[0]), "std_last": float(alive[-1])},
        valid(evidence.config, initializer(evidence.config), "model.normalization=batch"),
        "warning",
        tuple(np.array(series.names)[_far(std)].tolist()),
        int(series.steps[0]),
    )


def _far(std: np.ndarray) -> np.ndarray:
    """Tell which activations differ from the first by more than a power of ten."""
    with np.errstate(divide="ignore"):
        return np.abs(np.log10(std) - np.log10(std[std > 0][0])) > 1


_AS_TRAINED = ("caffe", "pretrained")
"""Normalisations that may leave pixels on a scale of tens, which pretrained weights were made for."""


def _input(evidence: Evidence, at: Thresholds) -> Finding | None:
    series = evidence.kinds[INPUT]
    mean, std = float(np.median(series["mean"])), float(np.median(series["std"]))
    as_trained = evidence.config.model.pretrained is not None and evidence.config.data.normalize in _AS_TRAINED
    if (abs(mean) <= at["mean"] and at["least_std"] <= std <= at["std"]) or as_trained:
        return None
    return Finding(
        "unnormalized_input",
        f"the network's input has mean {mean:.3g} and std {std:.3g}; it should be near 0 and 1",
        "The pixels reach the network on a scale that its initialisation was not made for. Its first activations and "
        "gradients are too large or too small by the same factor, so that no learning rate fits all layers.",
        {"mean": mean, "std": std},
        valid(evidence.config, "data.normalize=dataset", "data.normalize=unit"),
        "warning",
        (),
        int(series.steps[0]),
    )


def _draw_input(axes: "plots.Axes", evidence: Evidence, finding: Finding) -> None:
    series = evidence.kinds[INPUT]
    for statistic in ("min", "mean", "std", "max"):
        axes.plot(series.steps, series[statistic][:, 0], marker=".", label=statistic)
    axes.axhspan(-1, 1, color="grey", alpha=0.15, label="-1..1")
    axes.set(xlabel="optimizer step", ylabel="input")
    axes.legend(fontsize="small")


DEAD = Rule(
    "dead_relu",
    "share of ReLU channels that were zero on all images of all batches sampled since the epoch began",
    {"share": 0.5, "layers": 2, "mean_share": 0.3, "samples": 2},
    "A few dead channels are usual, and one layer may keep more than half; half of the channels in two layers, or a "
    "third of all, is capacity that is lost. SageMaker Debugger's DeadRelu takes half of one layer too.",
    (ACTIVATION,),
    _dead,
    _draw_share("dead_epoch", "dead channels"),
    explains=(
        *("all_zero", "unchanged_weights", "loss_not_decreasing", "underfitting"),
        *("uninformative_labels", "learning_rate_too_low", "update_ratio_too_small", "confused_classes"),
    ),
    live=True,
)
SATURATED = Rule(
    "saturated_activation",
    "share of outputs of sigmoid, tanh and softsign where the slope is below 5 % of its greatest",
    {"share": 0.5, "share_of_layers": 0.25, "samples": 5},
    "With a sensible initialisation a few per cent are saturated. Above half, most of a layer's gradient is lost.",
    (ACTIVATION,),
    _saturated,
    _draw_share("saturated", "saturated outputs"),
    explains=("underfitting", "uninformative_labels", "confused_classes", "loss_not_decreasing"),
    live=True,
)
INITIALIZATION = Rule(
    "poor_initialization",
    "slope of log10 of the std of each activation over depth, at the first sampled step",
    {"decades": 2.0, "explained": 0.5, "least_layers": 5, "dead": 0.9},
    "An initialisation that fits the activation keeps the std within one power of ten over 30 layers and more. "
    "Pretrained weights are none.",
    (ACTIVATION,),
    _initialization,
    plots.depth(ACTIVATION, "std", "std of the activation", nonlinear=True),
    explains=("exploding_tensor",),
    live=True,
)
UNNORMALIZED = Rule(
    "unnormalized_input",
    "mean and std of the batch as the network gets it",
    {"mean": 3.0, "least_std": 0.05, "std": 4.0},
    "Every normalisation on offer gives a mean within ±2.2 and a std of 0.1 to 1.3; raw pixels have tens of both. "
    "Pretrained weights may want such (`data.normalize` caffe, pretrained).",
    (INPUT,),
    _input,
    _draw_input,
    explains=(
        *("exploding_tensor", "exploding_gradient", "poor_initialization", "update_ratio_too_small"),
        *("update_ratio_too_large", "learning_rate_too_low", "learning_rate_too_high"),
    ),
    live=True,
)
