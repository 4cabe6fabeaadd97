"""Rules on gradients: what reaches the first layers, and how large it is."""

import numpy as np

from kerasnets.doctor import plots
from kerasnets.doctor.evidence import Evidence
from kerasnets.doctor.finding import Finding
from kerasnets.doctor.remedies import clip, initializer, rate, valid
from kerasnets.doctor.rule import Rule, Thresholds
from kerasnets.doctor.shape import slope
from kerasnets.telemetry.record import GRADIENT


def _decades(std: np.ndarray, at: Thresholds) -> np.ndarray:
    """Return the decades that the gradient's std loses on its way back to the first layer, `[T]`; NaN: no line."""
    fits = [slope(row, int(at["least_kernels"])) for row in std]
    return np.array([fit.decades if fit and fit.explained >= at["explained"] else np.nan for fit in fits])


def _vanishing(evidence: Evidence, at: Thresholds) -> Finding | None:
    series = evidence.trunk(GRADIENT)
    lost = _decades(series["std"], at)
    sick = lost >= at["decades"]
    if sick.mean() < at["share_of_samples"]:
        return None
    when = int(np.flatnonzero(sick)[0])
    std = series["std"][when]
    reached = std > 0
    first, last = std[reached][0], std[reached][-1]
    typical = float(np.median(lost[sick]))
    faint = tuple(name for name, value in zip(series.names, std, strict=True) if value < last / 100)
    return Finding(
        "vanishing_gradient",
        f"the gradient's std falls by {typical:.1f} powers of ten over {len(series.names)} kernels on its way back "
        f"to the first; at step {series.steps[when]} it is {first:.1e} at {series.names[0]} "
        f"and {last:.1e} at {series.names[-1]}",
        "Every layer multiplies the gradient by a factor below 1, as saturating nonlinearities or an initialisation "
        "that is too small for the activation do. The first layers hardly learn, so the last ones learn on noise.",
        {
            "decades": typical,
            "kernels": len(series.names),
            "std_first": float(first),
            "std_last": float(last),
            "share_of_samples": float(sick.mean()),
        },
        _revive(evidence),
        "error",
        faint,
        int(series.steps[when]),
    )


def _revive(evidence: Evidence) -> tuple[str, ...]:
    saturating = evidence.options["activation"] in ("sigmoid", "tanh", "softsign")
    activation = ("model.activation=relu", "model.initializer=he_normal") if saturating else ()
    return valid(
        evidence.config, "model.normalization=batch", *activation, initializer(evidence.config), "model.residual=true"
    )


def _exploding(evidence: Evidence, at: Thresholds) -> Finding | None:
    series = evidence.trunk(GRADIENT)
    gained = -_decades(series["std"], at)
    norms = np.sqrt(np.nansum(series["l2"].astype(float) ** 2, axis=1))
    sick = (gained >= at["decades"]) & (norms >= at["norm_beside"]) | (norms >= at["norm"])
    if sick.mean() < at["share_of_samples"]:
        return None
    when = int(np.flatnonzero(sick)[0])
    step = int(series.steps[when])
    largest = np.argsort(series["std"][when])[::-1][:3]
    names = tuple(series.names[place] for place in sorted(largest))
    growth = float(np.nanmedian(gained[sick])) if np.isfinite(gained[sick]).any() else 0.0
    return Finding(
        "exploding_gradient",
        f"the norm of the gradient is {norms[when]:.3g} at step {step} (at most {norms.max():.3g}), and its std grows "
        f"by {growth:.1f} powers of ten on its way back to the first of {len(series.names)} kernels",
        "Every layer multiplies the gradient by a factor above 1, as weights that start too large do. One step then "
        "throws the first layers far away, whatever they had learnt.",
        {
            "norm": float(norms[when]),
            "largest_norm": float(norms.max()),
            "decades": growth,
            "share": float(sick.mean()),
        },
        valid(
            evidence.config,
            "model.normalization=batch",
            "model.initializer=he_normal" if evidence.options["initializer"] == "normal" else "",
            initializer(evidence.config),
            clip(evidence.config),
            rate(evidence.config, 0.1),
        ),
        "error",
        names,
        step,
    )


VANISHING = Rule(
    "vanishing_gradient",
    "slope of log10 of the std of the gradient of each kernel over depth, at each sampled step",
    {"decades": 2.0, "explained": 0.5, "least_kernels": 5, "share_of_samples": 0.5},
    "Two powers of ten mean that the first layers move a hundred times slower than the last; normalised and residual "
    "networks of any depth stay within one. Half of the samples, since a network may outgrow it.",
    (GRADIENT,),
    _vanishing,
    plots.depth(GRADIENT, "std", "std of the gradient"),
    explains=(
        *("learning_rate_too_low", "loss_not_decreasing", "plateau_then_fall", "underfitting"),
        *("uninformative_labels", "update_ratio_too_small", "unchanged_weights", "confused_classes"),
    ),
    live=True,
)
EXPLODING = Rule(
    "exploding_gradient",
    "norm of the gradient, and the slope of log10 of its std over depth, at each sampled step",
    {
        "norm": 1000.0,
        "decades": 3.0,
        "norm_beside": 50.0,
        "explained": 0.5,
        "least_kernels": 5,
        "share_of_samples": 0.2,
    },
    "The cross-entropy's gradient has a norm of 1 to 30 in healthy networks of all kinds here, and its std grows by up "
    "to two powers of ten over depth in those with batch normalisation and no shortcuts.",
    (GRADIENT,),
    _exploding,
    plots.depth(GRADIENT, "std", "std of the gradient"),
    explains=("update_ratio_too_large", "exploding_tensor", "uninformative_labels", "underfitting", "confused_classes"),
    live=True,
)
