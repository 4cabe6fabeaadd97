"""Rules on the size of updates beside the weights that they change."""

import numpy as np

from kerasnets.doctor import plots
from kerasnets.doctor.evidence import Evidence
from kerasnets.doctor.finding import Finding
from kerasnets.doctor.remedies import clip, rate, unclip, valid
from kerasnets.doctor.rule import Rule, Thresholds
from kerasnets.telemetry.record import UPDATE

WARMED = 0.3
"""Share of the peak learning rate from which on updates are judged."""


def steady(evidence: Evidence) -> np.ndarray:
    """Tell at which samples of the updates the learning rate is at work, `[T]`: neither warming up nor at the end."""
    series = evidence.kinds[UPDATE]
    if evidence.steps is None:
        return np.ones(len(series.steps), bool)
    rates = np.interp(series.steps, evidence.steps.step, evidence.steps.learning_rate)
    return rates >= WARMED * float(np.nanmax(evidence.steps.learning_rate))


def typical(evidence: Evidence) -> np.ndarray:
    """Return the median over kernels of update / weight at each such sample, `[T']`; non-finite ones left out."""
    series = evidence.trunk(UPDATE)
    ratio = series["ratio"][steady(evidence)]
    ratio = ratio[np.isfinite(ratio).any(axis=1)]
    return np.nanmedian(ratio, axis=1) if len(ratio) else np.empty(0)


def _too_small(evidence: Evidence, at: Thresholds) -> Finding | None:
    ratios = typical(evidence)
    if len(ratios) < at["samples"] or np.median(ratios) >= at["ratio"]:
        return None
    value = float(np.median(ratios))
    return Finding(
        "update_ratio_too_small",
        f"an update changes a kernel by {value:.1e} of its size (median of all kernels in {len(ratios)} samples); "
        "about 1e-3 is usual",
        "The learning rate is too low for the size of weights and gradients, or clipping leaves next to nothing of the "
        "gradient. At this pace the weights need a hundred times as many steps.",
        {"ratio": value, "samples": len(ratios), "learning_rate": evidence.config.training.rate},
        valid(
            evidence.config,
            *(unclip(evidence.config) or (rate(evidence.config, min(1000.0, max(10.0, 1e-3 / max(value, 1e-30)))),)),
        ),
        "warning",
        (),
        int(evidence.kinds[UPDATE].steps[steady(evidence)][0]),
    )


def _too_large(evidence: Evidence, at: Thresholds) -> Finding | None:
    ratios = typical(evidence)
    if len(ratios) < at["samples"] or np.median(ratios) <= at["ratio"]:
        return None
    value = float(np.median(ratios))
    return Finding(
        "update_ratio_too_large",
        f"an update changes a kernel by {value:.1e} of its size (median of all kernels in {len(ratios)} samples); "
        "about 1e-3 is usual",
        "The learning rate is too high for the size of weights and gradients. Every step throws away a good part of "
        "what the steps before have learnt.",
        {"ratio": value, "samples": len(ratios), "learning_rate": evidence.config.training.rate},
        valid(evidence.config, rate(evidence.config, 0.1), clip(evidence.config)),
        "warning",
        (),
        int(evidence.kinds[UPDATE].steps[steady(evidence)][0]),
    )


TOO_SMALL = Rule(
    "update_ratio_too_small",
    "l2 of each kernel's update / l2 of the kernel, where the learning rate is at least 30 % of its peak; the median",
    {"ratio": 5e-5, "samples": 3},
    "1e-3 is the rule of thumb, and fine-tuning goes down to 1e-4. Below 5e-5, 10,000 steps move a weight by half at "
    "most.",
    (UPDATE,),
    _too_small,
    plots.ratios,
    explains=("underfitting", "unchanged_weights", "confused_classes"),
    live=True,
)
TOO_LARGE = Rule(
    "update_ratio_too_large",
    "l2 of each kernel's update / l2 of the kernel, where the learning rate is at least 30 % of its peak; the median",
    {"ratio": 0.15, "samples": 3},
    "Normalised networks take ratios up to 0.05 at rates that train well; from 0.15 on a kernel is new every few "
    "steps.",
    (UPDATE,),
    _too_large,
    plots.ratios,
    explains=("confused_classes",),
    live=True,
)
