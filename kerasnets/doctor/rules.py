"""The doctor's table: every rule on one run, root causes before what they bring about."""

from kerasnets.doctor import (
    activations,
    batch_norm,
    classes,
    curves,
    generalization,
    gradients,
    progress,
    tensors,
    updates,
)
from kerasnets.doctor.rule import Rule

RULES: tuple[Rule, ...] = (
    activations.UNNORMALIZED,
    curves.TOO_HIGH,
    activations.SATURATED,
    gradients.VANISHING,
    activations.INITIALIZATION,
    gradients.EXPLODING,
    curves.DIVERGENCE,
    activations.DEAD,
    tensors.NONFINITE,
    tensors.EXPLODING,
    curves.TOO_LOW,
    updates.TOO_LARGE,
    updates.TOO_SMALL,
    tensors.ALL_ZERO,
    tensors.UNCHANGED,
    batch_norm.GAP,
    generalization.UNINFORMATIVE,
    curves.PLATEAU,
    curves.NOT_DECREASING,
    generalization.OVERFITTING,
    generalization.OVERTRAINING,
    generalization.UNDERFITTING,
    classes.IMBALANCE,
    classes.CONFUSED,
    progress.STALLED,
)
"""Findings come in this order, and a rule may explain only those after it: the first finding is the likeliest root."""
