"""What the probe saw at a step, as the host has it. Imports no TensorFlow."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from kerasnets.telemetry.record import STATISTICS


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind's statistics at one step.

    Attributes:
        names: L tensors, in order of depth.
        moments: float32 `[L, 8]`, in the order of `record.STATISTICS`.
        counts: float32 `[L, BUCKETS]`: histograms from min to max; None where none were taken.
        extras: extra -> float32 `[L]`, NaN where it does not apply.
    """

    names: tuple[str, ...]
    moments: np.ndarray
    counts: np.ndarray | None
    extras: dict[str, np.ndarray]

    def without(self, names: frozenset[str]) -> Self:
        """Leave out the numbers of some tensors; all samples keep the same rows."""
        gone = np.isin(self.names, list(names))
        counts = self.counts if self.counts is None else np.where(gone[:, None], 0, self.counts)
        extras = {name: np.where(gone, np.nan, values) for name, values in self.extras.items()}
        return replace(
            self, moments=np.where(gone[:, None], np.float32(np.nan), self.moments), counts=counts, extras=extras
        )

    def reached(self) -> Self:
        """Leave out the rows of variables that a head's gradient does not reach."""
        l2, bad = self.moments[:, STATISTICS.index("l2")], self.moments[:, STATISTICS.index("nan") :].sum(axis=1)
        keep = np.flatnonzero((l2 > 0) | (bad > 0))
        return replace(
            self, names=tuple(self.names[place] for place in keep), moments=self.moments[keep], counts=None, extras={}
        )


@dataclass(frozen=True, eq=False)
class Sample:
    """What the probe saw at one step: kind -> statistics; layer -> share of the epoch's samples, `[C]`, in which each
    channel was dead; and the loss of the same batch and weights in inference mode, where it was measured."""

    step: int
    kinds: dict[str, Kind]
    dead: dict[str, np.ndarray]
    inference_loss: float | None
