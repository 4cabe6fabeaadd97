"""What telemetry costs: its share of the time, as far as one run can tell, and the size that it may reach."""

import math
import statistics
from collections.abc import Mapping
from typing import Any

import numpy as np

MEGABYTE = 1e6
SAMPLES = 7 / 8
"""Share of the event files' limit that samples may take; the rest is for pages and the epochs' scalars."""


def interval(every: int, used: int, limit: float) -> int | None:
    """Return the steps between two samples when `used` of `limit` bytes are written; None: no histograms any more.

    The interval doubles when half of the samples' part of the limit is used, when half of what was left then is used,
    and so on.
    """
    left = 1 - used / (limit * SAMPLES)
    if left < 1 / 32:
        return None
    return every * 2 ** max(0, math.floor(-math.log2(left)))


class Clock:
    """Compares the steps that were sampled with those around them.

    A timer around callbacks would miss what the graph does; the difference of whole steps has both. What every step
    pays (the gradient's norm, three numbers kept) is not in it: `kerasnets benchmark telemetry` measures all.

    Attributes:
        setup: seconds, once a run, until the graphs of sampled steps were made.
    """

    def __init__(self) -> None:
        self._plain: list[float] = []
        self._sampled: list[float] = []
        self.setup = 0.0

    def first(self, seconds: float, sampled: bool) -> None:
        """Count a step that made its graph."""
        self.setup += seconds if sampled else 0.0

    def step(self, seconds: float, touched: bool) -> None:
        """Count a step; `touched`: it was sampled, or follows one and so waited for its writing."""
        (self._sampled if touched else self._plain).append(seconds)

    def get_state(self) -> dict[str, Any]:
        """Return what was counted."""
        return {"plain": np.array(self._plain), "sampled": np.array(self._sampled), "setup": self.setup}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `get_state` returned."""
        self._plain, self._sampled = state["plain"].tolist(), state["sampled"].tolist()
        self.setup = state["setup"]

    @property
    def share(self) -> float | None:
        """Share of the training time that telemetry took, but for its setup; None where there is nothing to compare."""
        if not self._plain or not self._sampled:
            return None
        usual = statistics.median(self._plain)
        extra = sum(self._sampled) - usual * len(self._sampled)
        return max(0.0, extra) / (sum(self._plain) + sum(self._sampled))
