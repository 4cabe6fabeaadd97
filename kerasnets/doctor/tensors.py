"""Rules on the values of tensors themselves: not finite, very large, all zero, not moving."""

import numpy as np

from kerasnets.doctor import plots
from kerasnets.doctor.evidence import Evidence
from kerasnets.doctor.finding import Finding
from kerasnets.doctor.remedies import clip, initializer, rate, valid
from kerasnets.doctor.rule import Rule, Thresholds
from kerasnets.telemetry.record import ACTIVATION, GRADIENT, UPDATE, WEIGHT


def _nonfinite(evidence: Evidence, at: Thresholds) -> Finding | None:
    found = _noted(evidence) or _seen(evidence)
    if found is None:
        return None
    step, what, layer, more, numbers = found
    return Finding(
        "nonfinite_values",
        f"{what} is the first value that is not finite, at step {step}{more}",
        "Numbers grew until they left the range of the data type, after which every weight becomes NaN. Nearly always "
        "the learning rate is too high for this network; clipping and a warm-up help where only the start is at fault.",
        {"step": step, **numbers},
        valid(evidence.config, rate(evidence.config, 0.1), clip(evidence.config), "model.normalization=batch"),
        "error",
        (layer,) if layer else (),
        step,
    )


_Found = tuple[int, str, str, str, dict[str, float]]  # step, what, layer, what else there is to say, numbers


def _noted(evidence: Evidence) -> _Found | None:
    """Return what the training itself noted, which looks at every step."""
    if not evidence.troubles:
        return None
    first = evidence.troubles[0]
    names = {"gradient_norm": "the norm of the gradient", "loss": "the loss"}
    what = names.get(first.kind) or f"the {first.kind} of {first.layer}"
    back = sum(trouble.action == "rollback" for trouble in evidence.troubles)
    more = f"; training went back to earlier weights {back} time{'s' * (back > 1)}" if back else ""
    return first.step, what, first.layer, more, {"rollbacks": back}


def _seen(evidence: Evidence) -> _Found | None:
    """Return what the curves and samples show."""
    curve_step, what = _first_bad_step(evidence)
    sample = _first_bad_sample(evidence)
    if sample is None:
        return None if curve_step is None else (curve_step, what, "", "", {"tensors": 0})
    more = f"; {sample[3]} sampled tensors have NaN or Inf at step {sample[0]}"
    # A sample that was taken after the loss broke names layers that only caught it.
    if curve_step is not None and curve_step < sample[0]:
        return curve_step, what, "", more, {"tensors": sample[3]}
    return sample[0], f"the {sample[1]} of {sample[2]}", sample[2], more, {"tensors": sample[3]}


def _first_bad_step(evidence: Evidence) -> tuple[int | None, str]:
    if evidence.steps is None:
        bad = np.flatnonzero(~np.isfinite(evidence.history.get("loss", np.empty(0))))
        per_epoch = evidence.layers.steps_per_epoch if evidence.layers else 1
        return (int(bad[0]) + 1) * per_epoch if len(bad) else None, "the loss"
    steps = evidence.steps
    bad_loss = ~np.isfinite(steps.loss)
    # Under float16 gradients overflow now and then; the optimizer skips that step and lowers the loss's scale.
    scaled = evidence.config.training.precision == "float16"
    bad = np.flatnonzero(bad_loss if scaled else bad_loss | ~np.isfinite(steps.gradient_norm))
    if not len(bad):
        return None, ""
    return int(steps.step[bad[0]]), "the loss" if bad_loss[bad[0]] else "the norm of the gradient"


def _first_bad_sample(evidence: Evidence) -> tuple[int, str, str, int] | None:
    """Return step, kind, tensor and how many tensors are concerned, of the first sample that is not all finite."""
    kinds = [WEIGHT, ACTIVATION, GRADIENT, UPDATE]
    if evidence.config.training.precision == "float16":
        kinds = [WEIGHT, ACTIVATION]
    found = []
    for order, kind in enumerate(kinds):
        if evidence.lacks(kind):
            continue
        series = evidence.kinds[kind]
        bad = (series["nan"] + series["inf"]) > 0
        whens = np.flatnonzero(bad.any(axis=1))
        if len(whens):
            places = np.flatnonzero(bad[whens[0]])
            # Activations are computed forwards, gradients backwards: the first to break is the last in depth.
            first = places[-1] if kind == GRADIENT else places[0]
            # A step's weights are sampled after its update, and so come after everything else of the same step.
            rank = {WEIGHT: 3, UPDATE: 2, GRADIENT: 1, ACTIVATION: 0}[kind]
            found.append((int(series.steps[whens[0]]), rank, order, series.names[first]))
    if not found:
        return None
    step, _, order, name = min(found)
    count = sum(
        int(((evidence.kinds[kind]["nan"] + evidence.kinds[kind]["inf"])[evidence.kinds[kind].steps == step] > 0).sum())
        for kind in kinds
        if not evidence.lacks(kind)
    )
    return step, kinds[order], name, count


def _exploding(evidence: Evidence, at: Thresholds) -> Finding | None:
    for kind, limit in ((ACTIVATION, at["activation"]), (WEIGHT, at["weight"])):
        if evidence.lacks(kind):
            continue
        series = evidence.kinds[kind]
        size = np.maximum(np.abs(series["min"]), np.abs(series["max"]))
        size = np.where(np.isfinite(size), size, 0)
        large = size > limit
        if not large.any():
            continue
        when = int(np.flatnonzero(large.any(axis=1))[0])
        worst = int(size.max(axis=0).argmax())
        names = tuple(np.array(series.names)[large.any(axis=0)].tolist())
        return Finding(
            "exploding_tensor",
            f"{kind}s reach {size.max():.2g} at {series.names[worst]}; above {limit:g} in {_tensors(names)} from "
            f"step {series.steps[when]} on",
            "Values grow from layer to layer or from step to step without anything to hold them. Float16 ends at "
            "65,504, and long before that the loss is a matter of a few logits.",
            {"largest": float(size.max()), "at_first_sample": float(size[0].max()), "tensors": len(names)},
            valid(
                evidence.config,
                "model.normalization=batch",
                initializer(evidence.config),
                clip(evidence.config),
                rate(evidence.config, 0.1),
            ),
            "warning",
            names,
            int(series.steps[when]),
        )
    return None


def _draw_exploding(axes: "plots.Axes", evidence: Evidence, finding: Finding) -> None:
    kind = ACTIVATION if finding.summary.startswith(ACTIVATION) else WEIGHT
    series = evidence.kinds[kind]
    size = np.maximum(np.abs(series["min"]), np.abs(series["max"]))
    axes.plot(series.steps, np.where(size > 0, size, np.nan), alpha=0.6, linewidth=0.8)
    axes.set_yscale("log")
    axes.set(xlabel="optimizer step", ylabel=f"largest |{kind}| of each tensor")


def _tensors(names: tuple[str, ...]) -> str:
    return "1 tensor" if len(names) == 1 else f"{len(names)} tensors"


def _all_zero(evidence: Evidence, at: Thresholds) -> Finding | None:
    series = evidence.trunk(GRADIENT)
    if len(series.steps) < at["samples"]:
        return None
    recent = series["zeros"][-int(at["samples"]) :]
    sick = (recent >= 1).all(axis=0)
    if not sick.any():
        return None
    names = tuple(np.array(series.names)[sick].tolist())
    return Finding(
        "all_zero",
        f"the gradient of {len(names)} of {len(series.names)} kernels is exactly zero in each of the last "
        f"{len(recent)} samples: {', '.join(names[:6])}",
        "Nothing of the loss depends on these kernels: what follows them is dead, or multiplied by zero. They will "
        "stay as they are however long training goes on.",
        {"kernels": len(names), "of": len(series.names), "samples": len(recent)},
        valid(evidence.config, rate(evidence.config, 0.1), "model.normalization=batch", "model.activation=leaky_relu"),
        "error",
        names,
        int(series.steps[-len(recent)]),
    )


def _unchanged(evidence: Evidence, at: Thresholds) -> Finding | None:
    series = evidence.trunk(UPDATE)
    # The first steps' weights may wait, as behind a gamma of 0; the last steps' rate may be 0 by schedule.
    ratio = series["ratio"][int(at["first_samples"]) :]
    if len(ratio) < at["samples"]:
        return None
    sick = (ratio < at["ratio"]).all(axis=0)
    if not sick.any():
        return None
    names = tuple(np.array(series.names)[sick].tolist())
    return Finding(
        "unchanged_weights",
        f"{len(names)} of {len(series.names)} kernels do not move: their updates are below {at['ratio']:g} of the "
        f"weights in all of {len(ratio)} samples: {', '.join(names[:6])}",
        "The gradient that reaches these kernels is zero or next to it, or the learning rate is. Whatever they were "
        "initialised to is what they will be.",
        {"kernels": len(names), "of": len(series.names), "largest_ratio": float(ratio[:, sick].max())},
        valid(evidence.config, rate(evidence.config, 10), "model.normalization=batch"),
        "warning",
        names,
        int(series.steps[int(at["first_samples"])]),
    )


NONFINITE = Rule(
    "nonfinite_values",
    "loss and norm of the gradient at every step; NaN and Inf of every sampled tensor",
    {},
    "There is no threshold: one NaN or Inf spoils all weights a step later. Float16 is expected to overflow in "
    "gradients, where only the loss, weights and activations count.",
    (),
    _nonfinite,
    plots.over_steps("gradient_norm", log=True),
    explains=("loss_not_decreasing", "underfitting", "uninformative_labels", "stalled_training", "confused_classes"),
    live=True,
)
EXPLODING = Rule(
    "exploding_tensor",
    "largest absolute entry of every activation and weight",
    {"activation": 10000.0, "weight": 1000.0},
    "Healthy networks of the proof stay below 100 in activations and 5 in weights.",
    (WEIGHT,),
    _exploding,
    _draw_exploding,
    live=True,
)
ALL_ZERO = Rule(
    "all_zero",
    "share of exact zeros in the gradient of each kernel, in the last samples",
    {"samples": 3},
    "A gradient that is zero in every entry, again and again, does not happen by chance.",
    (GRADIENT,),
    _all_zero,
    plots.depth(GRADIENT, "zeros", "share of zeros in the gradient", log=False),
    explains=("unchanged_weights", "uninformative_labels", "underfitting"),
    live=True,
)
UNCHANGED = Rule(
    "unchanged_weights",
    "l2 of each kernel's update / l2 of the kernel, in all samples but the first ones",
    {"ratio": 1e-9, "samples": 3, "first_samples": 2},
    "float32 has 7 digits: what is below one part in a thousand million is lost.",
    (UPDATE,),
    _unchanged,
    plots.ratios,
)
