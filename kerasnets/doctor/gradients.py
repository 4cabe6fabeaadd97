"""Rules on gradients: what reaches the first layers, and how large it is."""

import numpy as np

from kerasnets.doctor import plots
from kerasnets.doctor.evidence import BIASES, Evidence
from kerasnets.doctor.finding import Finding
from kerasnets.doctor.remedies import clip, initializer, rate, valid
from kerasnets.doctor.rule import Rule, Thresholds
from kerasnets.doctor.shape import slope
from kerasnets.telemetry.record import ACTIVATION, GRADIENT


def _decades(values: np.ndarray, at: Thresholds) -> np.ndarray:
    """Return the decades that a size of the gradient loses on its way back to the first layer, `[T]`; NaN: no line."""
    fits = [slope(row[~np.isnan(row)], int(at["least_kernels"])) for row in values]  # NaN: frozen at that step
    return np.array([fit.decades if fit and fit.explained >= at["explained"] else np.nan for fit in fits])


def _alive(evidence: Evidence, steps: np.ndarray, at: Thresholds) -> np.ndarray:
    """Tell at which steps no layer of rectifiers is dead, which would stop gradients for another reason, `[T]`."""
    if evidence.lacks(ACTIVATION):
        return np.ones(len(steps), bool)
    series = evidence.nonlinear()
    dead = np.nan_to_num(series["dead"]).max(axis=1, initial=0.0)
    return np.interp(steps, series.steps, dead) < at["dead"]


def _vanishing(evidence: Evidence, at: Thresholds) -> Finding | None:
    kernels, biases = evidence.trunk(GRADIENT), evidence.trunk(GRADIENT, BIASES)
    alive = _alive(evidence, kernels.steps, at)
    # A kernel's gradient is what arrives times the layer's input: where that shrinks with depth too, only the gradients
    # of biases, which are what arrives and nothing else, show the slope.
    sizes = [kernels["std"], np.hypot(biases["mean"], biases["std"])]
    lost = np.fmax(*(_decades(size, at) for size in sizes))
    known = alive & (np.isfinite(lost) | (kernels["std"] > 0).any(axis=1))
    sick = known & (lost >= at["decades"])
    if not sick.any() or sick.sum() < at["share_of_samples"] * known.sum():
        return None
    when = int(np.flatnonzero(sick)[0])
    pairs = zip((kernels, biases), sizes, strict=True)
    series, size = max(pairs, key=lambda pair: np.nan_to_num(_decades(pair[1], at)[when], nan=-np.inf))
    found = size[when]
    first, last = found[found > 0][0], found[found > 0][-1]
    typical = float(np.median(lost[sick]))
    faint = tuple(name for name, value in zip(series.names, found, strict=True) if value < last / 100)
    return Finding(
        "vanishing_gradient",
        f"the gradient falls by {typical:.1f} powers of ten over {len(series.names)} layers on its way back to the "
        f"first: at step {series.steps[when]} its std is {first:.1e} at {series.names[0]} and {last:.1e} at "
        f"{series.names[-1]}",
        "Every layer multiplies the gradient by a factor below 1, as saturating nonlinearities or an initialisation "
        "that is too small for the activation do. The first layers hardly learn, so the last ones learn on noise.",
        {
            "decades": typical,
            "layers": len(series.names),
            "size_first": float(first),
            "size_last": float(last),
            "share_of_samples": float(sick.sum() / known.sum()),
        },
        _revive(evidence),
        "error",
        faint,
        int(series.steps[when]),
    )


def _revive(evidence: Evidence) -> tuple[str, ...]:
    saturating = evidence.options.get("activation") in ("sigmoid", "tanh", "softsign")
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
    largest = np.argsort(np.nan_to_num(series["std"][when]))[::-1][:3]
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
            "model.initializer=he_normal" if evidence.options.get("initializer") == "normal" else "",
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
    "slope of log10 of the gradient's size over depth, of kernels and of biases, at each sampled step without dead "
    "layers",
    {"decades": 2.0, "explained": 0.5, "least_kernels": 5, "share_of_samples": 0.5, "dead": 0.9},
    "Two powers of ten mean that the first layers move a hundred times slower than the last; normalised and residual "
    "networks of any depth stay within one. Half of the samples, since a network may outgrow it.",
    (GRADIENT,),
    _vanishing,
    plots.depth(GRADIENT, "std", "std of the gradient"),
    explains=(
        *("learning_rate_too_low", "loss_not_decreasing", "underfitting"),
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
