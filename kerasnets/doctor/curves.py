"""Rules on the curve of the training loss over steps."""

import numpy as np

from kerasnets.doctor import plots, updates
from kerasnets.doctor.evidence import Evidence
from kerasnets.doctor.finding import Finding
from kerasnets.doctor.remedies import clip, initializer, longer, rate, unclip, valid
from kerasnets.doctor.rule import Rule, Thresholds
from kerasnets.doctor.shape import Curve, curve, fall
from kerasnets.telemetry.record import UPDATE, Steps


def _steps(evidence: Evidence) -> Steps:
    if evidence.steps is None:
        raise ValueError("the rule needs steps")
    return evidence.steps


def _loss(evidence: Evidence) -> Curve:
    steps = _steps(evidence)
    return curve(steps.step, steps.loss, steps.learning_rate)


def _level(evidence: Evidence) -> float:
    """Return the total loss of a network that has learnt nothing of images."""
    return evidence.chance * evidence.head_weight


def _ratio(evidence: Evidence) -> float:
    """Return the typical update / weight, NaN where updates were not sampled."""
    ratios = np.empty(0) if evidence.lacks(UPDATE) else updates.typical(evidence)
    return float(np.median(ratios)) if len(ratios) else float("nan")


def _not_decreasing(evidence: Evidence, at: Thresholds) -> Finding | None:
    found, level = _loss(evidence), _level(evidence)
    if len(_steps(evidence).step) < at["steps"] or not len(found):
        return None
    lowest = float(found.values.min())
    if lowest < at["share_of_chance"] * level:
        return None
    return Finding(
        "loss_not_decreasing",
        f"the training loss is at best {lowest:.3f} in {len(_steps(evidence).step):,} steps; {level:.3f} is what a "
        "network has that knows how frequent each class is and nothing of images",
        "Nothing that the network does with an image helps its prediction: the gradient does not arrive, steps are of "
        "the wrong size, or labels do not belong to their images. The other findings say which; without any, look at "
        "the labels.",
        {"lowest": lowest, "chance": level, "steps": len(_steps(evidence).step)},
        valid(evidence.config, rate(evidence.config, 0.1), "model.normalization=batch", "data.normalize=dataset"),
        "error",
        (),
        int(found.steps[-1]),
    )


def _too_high(evidence: Evidence, at: Thresholds) -> Finding | None:
    steps, level = _steps(evidence), _level(evidence)
    finite = steps.loss[np.isfinite(steps.loss)]
    if len(steps.loss) < at["steps"] or not np.isfinite(steps.loss[0]):
        return None
    first = float(steps.loss[0])  # before any update
    start = max(first, level)
    found = curve(steps.step, steps.loss, steps.learning_rate, bins=200)
    fallen = np.minimum.accumulate(found.values) < at["fallen"] * level
    before = found.values if not fallen.any() else found.values[: int(fallen.argmax()) + 1]
    peak = float(before.max(initial=0.0))
    broke = len(finite) < len(steps.loss)
    raw = float(finite[: max(10, int(found.steps[len(before) - 1]) if len(before) else 10)].max())
    high = peak >= at["rise"] * start or (raw >= at["spike"] * start and (broke or peak >= start * at["lasting"]))
    ratio = _ratio(evidence)
    end = float(found.values[-1]) if len(found) else float("nan")
    # A loss that starts far above chance is the initialisation's fault, and so is the size of the steps that follow.
    thrown = ratio >= at["ratio"] and end >= at["unlearnt"] * level and start <= at["born"] * level
    if not (high or thrown):
        return None
    said = f"the training loss stays at chance ({level:.3g}) and ends at {end:.3g}"
    if high:
        said = (
            f"the training loss climbs from {first:.3g} to {max(raw, peak):.3g} "
            f"before it ever falls below {at['fallen']:.0%} of chance ({level:.3g}), and ends at {end:.3g}"
        )
    worst = int(np.nanargmax(np.where(np.isfinite(steps.loss), steps.loss, -np.inf)[: max(10, len(finite))]))
    return Finding(
        "learning_rate_too_high",
        said + (f"; an update changes a kernel by {ratio:.1e} of its size" if np.isfinite(ratio) else ""),
        "Steps of this size jump over the valley that the gradient points into and land higher on the other side. The "
        "weights that come of it are larger and the next gradients too, until something saturates, dies or overflows.",
        {"start": first, "peak": max(raw, peak), "end": end, "chance": level, "ratio": ratio},
        valid(
            evidence.config,
            rate(evidence.config, 0.1 if peak < 100 * start else 0.01),
            f"training.warmup_epochs={max(1, evidence.config.training.epochs // 10)}",
            clip(evidence.config),
        ),
        "error",
        (),
        int(steps.step[worst]),
    )


def _too_low(evidence: Evidence, at: Thresholds) -> Finding | None:
    found, level, ratio = _loss(evidence), _level(evidence), _ratio(evidence)
    if len(found) < at["bins"]:
        return None
    start, end = float(found.values[:2].mean()), float(found.values[-3:].mean())
    if end < at["unlearnt"] * level:
        return None
    early, late = fall(found, 0, 0.5), fall(found, 0.5, 1)
    straight = early > 0 and late >= at["straight"] * early and start - end >= at["least_fall"] * level
    slow = not np.isfinite(ratio) or ratio < at["ratio_beside"]
    if not (straight and slow or ratio < at["ratio"]):
        return None
    seen = f"; an update changes a kernel by {ratio:.1e} of its size, 1e-3 is usual" if np.isfinite(ratio) else ""
    return Finding(
        "learning_rate_too_low",
        f"the training loss creeps from {start:.3f} to {end:.3f} (chance: {level:.3f}) and falls in the second half of "
        f"the run at {late / early if early > 0 else 0:.0%} of the pace of the first" + seen,
        "A loss that still falls along a straight line when training ends has not come near any minimum. The steps are "
        "too small for the number of them.",
        {"start": start, "end": end, "chance": level, "pace": late / early if early > 0 else 0.0, "ratio": ratio},
        valid(
            evidence.config,
            *(unclip(evidence.config) or (rate(evidence.config, 100 if ratio < 1e-5 else 10),)),
            longer(evidence.config),
        ),
        "error",
        (),
        int(found.steps[-1]),
    )


def _plateau(evidence: Evidence, at: Thresholds) -> Finding | None:
    found, level = _loss(evidence), _level(evidence)
    if len(found) < at["bins"]:
        return None
    below = np.flatnonzero(found.values < at["leaves"] * level)
    if not len(below):
        return None
    leaves = int(below[0])
    flat = np.flatnonzero(found.values[:leaves] <= at["flat"] * level)
    if not len(flat):
        return None
    first = int(flat[0])
    effort, steps = found.effort[leaves] - found.effort[first], int(found.steps[leaves] - found.steps[first])
    if effort < at["share_of_effort"] or steps < at["steps"]:
        return None
    fallen = np.flatnonzero(found.values < at["fallen"] * level)
    if not len(fallen) or found.effort[int(fallen[0])] - found.effort[leaves] > effort * at["sudden"]:
        return None
    down = int(found.steps[int(fallen[0])])
    return Finding(
        "plateau_then_fall",
        f"the training loss stays at chance ({level:.3f}) for {steps:,} steps, then falls below "
        f"{at['fallen']:.0%} of it by step {down}",
        "The weights start where the network's output hardly depends on its input, a saddle that it leaves only when "
        "some weights have grown. An initialisation that keeps the size of activations spares it that time.",
        {"plateau_steps": steps, "share_of_run": float(effort), "fallen_at": down, "chance": level},
        valid(
            evidence.config,
            initializer(evidence.config),
            "model.normalization=batch",
            "model.activation=relu",
            rate(evidence.config, 3),
        ),
        "warning",
        (),
        int(found.steps[leaves]),
    )


def _divergence(evidence: Evidence, at: Thresholds) -> Finding | None:
    found, level = _loss(evidence), _level(evidence)
    steps = _steps(evidence)
    if len(found) < at["bins"]:
        return None
    best = int(found.values.argmin())
    lowest, end = float(found.values[best]), float(np.median(found.values[-3:]))
    stopped = any(trouble.action == "stop" for trouble in evidence.troubles)  # before the step could be written
    broke = stopped or not np.isfinite(steps.loss[-1])
    # What rises in the last stretches alone may be one bad batch; NaN is not.
    lasted = len(found) - best > at["lasting"]
    if lowest > at["fallen"] * level or not (broke or lasted):
        return None
    climbs = end >= at["rise"] * lowest and end - lowest >= at["rise_of_chance"] * level
    forgets = lowest <= at["learnt"] * level and end >= at["forgotten"] * level
    if not (broke or climbs or forgets):
        return None
    return Finding(
        "divergence",
        f"the training loss falls to {lowest:.3g} by step {int(found.steps[best])} and then climbs to "
        + ("NaN" if broke else f"{end:.3g}"),
        "Training went well until steps became too large for the slope they met, often where a schedule reaches its "
        "peak or weights have grown. What was learnt until then is lost, but for the best weights that were saved.",
        {"lowest": lowest, "end": float("nan") if broke else end, "chance": level},
        valid(evidence.config, rate(evidence.config, 0.3), clip(evidence.config)),
        "error",
        (),
        int(found.steps[best]),
    )


NOT_DECREASING = Rule(
    "loss_not_decreasing",
    "medians of the training loss in 60 stretches of the run, beside the loss at chance",
    {"share_of_chance": 0.95, "steps": 100},
    "The loss at chance is the entropy of the classes' frequencies, reached without looking at images; 5 % below it is "
    "the least that counts as learning.",
    ("steps", "counts"),
    _not_decreasing,
    plots.over_steps(),
    explains=("underfitting", "confused_classes"),
    at_end=True,
)
TOO_HIGH = Rule(
    "learning_rate_too_high",
    "how far the training loss climbs before it first falls; update / weight where the loss stays at chance",
    {
        **{"rise": 2.0, "spike": 10.0, "lasting": 1.3, "fallen": 0.7, "steps": 5},
        **{"ratio": 0.15, "unlearnt": 0.8, "born": 10.0},
    },
    "Rates that train well let the loss rise by half at most before it falls (medians of five steps and more).",
    ("steps", "counts"),
    _too_high,
    plots.over_steps(),
    explains=(
        *("update_ratio_too_large", "loss_not_decreasing", "exploding_tensor", "exploding_gradient", "divergence"),
        *("vanishing_gradient", "all_zero", "unchanged_weights", "underfitting", "uninformative_labels"),
        *("batch_normalization_gap", "plateau_then_fall", "confused_classes", "update_ratio_too_small"),
        *("learning_rate_too_low", "saturated_activation"),
    ),
    live=True,
)
TOO_LOW = Rule(
    "learning_rate_too_low",
    "how straight the training loss falls over the sum of learning rates, and update / weight",
    {
        **{"unlearnt": 0.5, "straight": 0.5, "least_fall": 0.02, "bins": 10},
        **{"ratio": 5e-5, "ratio_beside": 5e-4},
    },
    "Learning slows down as it nears what a network can do; at half the first half's pace in the second half, and "
    "above half of chance, it has hardly begun. Small updates must bear that out.",
    ("steps", "counts"),
    _too_low,
    plots.over_steps(),
    explains=(
        *("underfitting", "loss_not_decreasing", "uninformative_labels"),
        *("unchanged_weights", "confused_classes", "plateau_then_fall"),
    ),
    at_end=True,
)
PLATEAU = Rule(
    "plateau_then_fall",
    "how long the training loss stays at chance before it falls, in steps weighted by their learning rate",
    {
        **{"leaves": 0.93, "flat": 1.1, "fallen": 0.7, "share_of_effort": 0.12, "steps": 50},
        **{"sudden": 1.0, "bins": 20},
    },
    "Healthy runs leave chance within a tenth of their steps, warm-up not counted.",
    ("steps", "counts"),
    _plateau,
    plots.over_steps(),
)
DIVERGENCE = Rule(
    "divergence",
    "the lowest of the training loss's medians, and the last ones",
    {
        **{"fallen": 0.8, "rise": 2.0, "rise_of_chance": 0.2, "lasting": 4, "bins": 10},
        **{"learnt": 0.7, "forgotten": 0.95},
    },
    "Noise between stretches of a run is a few per cent; twice the lowest loss, and a fifth of chance above it, is "
    "not, nor is being back at chance.",
    ("steps", "counts"),
    _divergence,
    plots.over_steps(),
    explains=("underfitting", "uninformative_labels", "confused_classes"),
    live=True,
)
