"""The shape of numbers over depth and over time."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Slope:
    """A straight line through log10 of positive values over depth.

    Attributes:
        decades: by how many powers of ten the line falls from the last layer to the first (negative: it grows).
        explained: share of the variance that the line explains.
    """

    decades: float
    explained: float


def slope(values: np.ndarray, least: int) -> Slope | None:
    """Fit log10 of `values` `[L]` over depth; zeros and NaN are left out; None where fewer than `least` are left."""
    place = np.flatnonzero(np.isfinite(values) & (values > 0))
    if len(place) < least:
        return None
    depth, logs = place.astype(float), np.log10(values[place].astype(float))
    depth -= depth.mean()
    rise = float((depth * (logs - logs.mean())).sum() / (depth**2).sum())
    spread = float(((logs - logs.mean()) ** 2).sum())
    explained = rise**2 * float((depth**2).sum()) / spread if spread > 0 else 0.0
    return Slope(rise * (len(values) - 1), explained)


@dataclass(frozen=True)
class Curve:
    """A noisy curve in few points: the median of each of B equal stretches.

    Attributes:
        steps: `[B]`, middle step of each stretch.
        values: `[B]`.
        effort: `[B]`, the sum of learning rates up to each stretch's middle, as a share of the whole run's: progress
            at a constant slope in it is what gradient descent with small steps does, whatever the schedule.
    """

    steps: np.ndarray
    values: np.ndarray
    effort: np.ndarray

    def __len__(self) -> int:
        return len(self.values)


def curve(steps: np.ndarray, values: np.ndarray, rates: np.ndarray, bins: int = 60, least: int = 5) -> Curve:
    """Return the curve of the finite ones of `values` `[S]`, in `bins` stretches of at least `least` steps."""
    finite = np.isfinite(values)
    steps, values, rates = steps[finite], values[finite], rates[finite]
    if not len(values):
        return Curve(np.empty(0), np.empty(0), np.empty(0))
    whole = np.cumsum(rates)
    pieces = np.array_split(np.arange(len(values)), max(1, min(bins, len(values) // least)))
    middle = np.array([piece[len(piece) // 2] for piece in pieces])
    medians = np.array([np.median(values[piece]) for piece in pieces])
    return Curve(steps[middle], medians, whole[middle] / max(whole[-1], 1e-30))


def fall(found: Curve, first: float, last: float) -> float:
    """Return how much a curve falls per unit of effort, by a straight line, where effort is in `[first, last]`."""
    inside = (found.effort >= first) & (found.effort <= last)
    if inside.sum() < 2 or np.ptp(found.effort[inside]) == 0:
        return 0.0
    return float(-np.polyfit(found.effort[inside], found.values[inside], 1)[0])
