"""The accuracy gate of int8 formats: how far accuracy falls on held-out images, image by image.

An int8 artefact and the Keras model answer for the same images, so they are compared in pairs: an image that both get
right, or both wrong, says nothing about the difference.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from kerasnets.artifacts.formats import Format
from kerasnets.errors import CheckFailed

LEAST_IMAGES = 1000
"""With fewer a fall by half a point, the default limit, is five images or less: nothing can be said."""
_LEVEL = 0.95


@dataclass(frozen=True)
class Drop:
    """How far an artefact's accuracy is below the Keras model's."""

    images: int
    splits: list[str]
    """Where the images are from: validation, and test where validation alone is too small."""
    accuracy: float
    keras_accuracy: float
    points: float
    """Keras' accuracy minus the artefact's, in percentage points; below 0 where it rises."""
    interval: tuple[float, float]
    """95 % confidence interval of `points`."""
    right_to_wrong: int
    """Images that Keras gets right and the artefact wrong."""
    wrong_to_right: int
    p_value: float
    """That so uneven counts, or more, come about if both are equally good: McNemar's exact test, two-sided."""
    allowed: float
    """`export.max_accuracy_drop`."""
    established: bool
    """Whether there were enough images."""


def measure(right: np.ndarray, keras_right: np.ndarray, splits: Sequence[str], allowed: float) -> Drop:
    """Compare which of N images, bool `[N]`, the artefact and Keras get right."""
    images = len(right)
    lost, won = int((keras_right & ~right).sum()), int((right & ~keras_right).sum())
    p_value = stats.binomtest(lost, lost + won).pvalue if lost + won else 1.0
    return Drop(
        images=images,
        splits=list(splits),
        accuracy=float(right.mean()),
        keras_accuracy=float(keras_right.mean()),
        points=100 * (lost - won) / images,
        interval=_interval(lost, won, images),
        right_to_wrong=lost,
        wrong_to_right=won,
        p_value=float(p_value),
        allowed=allowed,
        established=images >= LEAST_IMAGES,
    )


def _interval(lost: int, won: int, images: int) -> tuple[float, float]:
    """Return the interval of a difference of paired proportions, in points, by Bonett and Price (2012, eq. 8).

    Wald's with one image added to each of the two counts, which keeps its level also when both are 0.
    """
    worse, better = (lost + 1) / (images + 2), (won + 1) / (images + 2)
    spread = math.sqrt((worse + better - (worse - better) ** 2) / (images + 2))
    reach = float(stats.norm.ppf((1 + _LEVEL) / 2)) * spread
    return 100 * max(worse - better - reach, -1.0), 100 * min(worse - better + reach, 1.0)


def judge(form: Format, drop: Drop, *, force: bool) -> None:
    """Let an artefact pass or not; `force` lets one pass of which too few images say nothing for sure.

    Raises:
        CheckFailed: accuracy falls by more than is allowed, or that is not established.
    """
    limit = f"export.max_accuracy_drop allows {drop.allowed:g}"
    if drop.established and drop.points > drop.allowed:
        raise CheckFailed(f"{form.NAME}: accuracy: {words(drop)}; {limit}")
    if not drop.established and drop.interval[0] > drop.allowed:  # few images are enough to see that
        raise CheckFailed(f"{form.NAME}: accuracy: {words(drop)}; {limit}")
    if not drop.established and not force:
        raise CheckFailed(
            f"{form.NAME}: accuracy: not established: {words(drop)}; {LEAST_IMAGES:,} held-out images are needed, "
            "or --force, which publishes it marked so"
        )


def words(drop: Drop) -> str:
    """Say what was measured."""
    low, high = drop.interval
    return (
        f"falls by {drop.points:.2f} points (95 % interval {low:.2f} to {high:.2f}) on {drop.images:,} images of "
        f"{' and '.join(drop.splits)}: {drop.right_to_wrong} right answers became wrong, {drop.wrong_to_right} wrong "
        f"ones right (p = {drop.p_value:.2g})"
    )
