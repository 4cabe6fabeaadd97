"""`Rule`: a row of the doctor's table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kerasnets.doctor.evidence import Evidence
from kerasnets.doctor.finding import Finding

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Thresholds = Mapping[str, float]
Draw = Callable[["Axes", Evidence, Finding], Any]


@dataclass(frozen=True)
class Rule:
    """What one kind of sickness looks like.

    Attributes:
        name: of the rule and its findings.
        looks_at: what it looks at, in words.
        thresholds: name -> value; `check` gets them.
        why: why those thresholds.
        needs: parts of the evidence without which the rule cannot say anything; see `Evidence.lacks`.
        check: evidence and thresholds -> finding, or None.
        draw: draws the finding's plot.
        explains: rules whose findings are only consequences of this one, and are left out beside it.
        live: means something while the run is still training.
        live_from: the share of its epochs that has to be over for that: while rates are high, validation swings.
        at_end: looks at how training ended, and so only at runs that are over.
    """

    name: str
    looks_at: str
    thresholds: Thresholds
    why: str
    needs: tuple[str, ...]
    check: Callable[[Evidence, Thresholds], Finding | None]
    draw: Draw
    explains: tuple[str, ...] = ()
    live: bool = False
    live_from: float = 0.0
    at_end: bool = False
