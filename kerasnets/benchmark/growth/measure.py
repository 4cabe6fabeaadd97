"""Measures the points of axes, each in a process of its own, and fits power laws to what comes back."""

import json
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kerasnets.artifacts.process import Ended
from kerasnets.benchmark import children
from kerasnets.benchmark.growth import worker
from kerasnets.benchmark.growth.axes import AXES, Point
from kerasnets.console import err, progress
from kerasnets.errors import CheckFailed

SLIGHT = 0.05
"""Exponent up to which something is said hardly to change."""
_LONGEST = 200
"""Letters of a failure."""


@dataclass(frozen=True)
class Cost:
    """What a point costs.

    Attributes:
        precision: what layers computed in.
        images_per_second: of the median step.
        start_up: seconds from the start of the process to the end of the first step.
        base: bytes that the process held before the network was built.
        peak: the most bytes that it held.
        predicted: by how many bytes it was to grow from base to peak.
    """

    precision: str
    images_per_second: float
    start_up: float
    base: int
    peak: int
    predicted: int

    @property
    def grown(self) -> int:
        """Return by how many bytes it did grow."""
        return self.peak - self.base

    @property
    def error(self) -> float:
        """Return how far the prediction is off: 0.1 for ten per cent too much."""
        return self.predicted / self.grown - 1


@dataclass(frozen=True)
class Row:
    """A value of an axis and what it costs, or why that is not known."""

    axis: str
    value: float
    point: Point
    cost: Cost | None
    failure: str | None = None

    def document(self) -> dict[str, Any]:
        """Return what JSON says of it."""
        cost = {**asdict(self.cost), "prediction_error": self.cost.error} if self.cost else {}
        return {"axis": self.axis, "value": self.value, **asdict(self.point), **cost, "failure": self.failure}


@dataclass(frozen=True)
class Law:
    """How something grows along an axis: as value^exponent, fitted in logarithms."""

    axis: str
    what: str
    exponent: float

    def words(self) -> str:
        """Return a sentence without its end."""
        if abs(self.exponent) < SLIGHT:
            return f"{self.what} hardly changes with {self.axis}"
        return f"{self.what} {'falls' if self.exponent < 0 else 'grows'} as {self.axis}^{self.exponent:.2f}"


QUANTITIES = {
    "speed, in images/s,": lambda cost: cost.images_per_second,
    "memory above TensorFlow's own": lambda cost: float(cost.grown),
    "start-up": lambda cost: cost.start_up,
}


def measure(points: Mapping[str, Sequence[Point]], precision: str, timeout: float) -> list[Row]:
    """Measure each point once, also one that is on several axes; the axes' rows follow each other.

    Args:
        points: of each axis.
        precision: what layers compute in, or auto, which is settled beforehand on the first point, for all.
        timeout: seconds that a point may take.

    Raises:
        CheckFailed: nothing could be measured.
    """
    known: dict[Point, tuple[Cost | None, str | None]] = {}
    rows = []
    with progress("points", total=len({point for along in points.values() for point in along})) as advance:
        for axis, along in points.items():
            for point in along:
                if point not in known:
                    if precision == "auto":
                        precision = _settled(point, timeout)
                    known[point] = ask(point, precision, timeout)
                    advance()
                    _say(point, *known[point])
                rows.append(Row(axis, AXES[axis].where(point), point, *known[point]))
    if all(row.cost is None for row in rows):
        reasons = dict.fromkeys(str(row.failure) for row in rows)
        raise CheckFailed(f"{rows[0].point.model}: nothing could be measured; {'; '.join(reasons)}")
    return rows


def _settled(point: Point, timeout: float) -> str:
    """Return what auto finds for a point, still auto where it fails.

    That process is measured no further: what it tried is in its memory and in its start-up.
    """
    cost, _ = ask(point, "auto", timeout)
    return "auto" if cost is None else cost.precision


def _say(point: Point, cost: Cost | None, failure: str | None) -> None:
    words = failure if cost is None else f"{cost.images_per_second:,.1f} images/s, {cost.peak / 1e6:,.0f} MB"
    width = "" if point.width == 1 else f", width {point.width:g}"
    err.print(f"{point.model}, batch {point.batch}, {point.size} px{width}: {words}", highlight=False)


def ask(point: Point, precision: str, timeout: float) -> tuple[Cost | None, str | None]:
    """Measure a point in a fresh process; return its cost, or None and why there is none."""
    task = json.dumps({"point": asdict(point), "precision": precision, "began": time.time()})
    child = children.start(point.model, worker.__name__, task, timeout=timeout)
    try:
        found, _ = child.receive("to measure it")
    except Ended as ended:
        return None, children.why(ended).splitlines()[-1].strip()[:_LONGEST]
    except CheckFailed:
        return None, f"took more than {timeout:g} s"
    finally:
        child.close()
    return (None, found["error"][:_LONGEST]) if "error" in found else (Cost(**found["cost"]), None)


def laws(rows: Sequence[Row]) -> list[Law]:
    """Return how speed, memory and start-up grow along each axis that has at least two values with a cost."""
    found = []
    for axis in dict.fromkeys(row.axis for row in rows):
        known = [(row.value, row.cost) for row in rows if row.axis == axis and row.cost is not None]
        for what, of in QUANTITIES.items():
            fitted = exponent([value for value, _ in known], [of(cost) for _, cost in known])
            if fitted is not None:
                found.append(Law(axis, what, fitted))
    return found


def exponent(values: Sequence[float], results: Sequence[float]) -> float | None:
    """Return the b of results = a * values^b, by least squares of logarithms; None with fewer than two values."""
    if len(set(values)) < 2:
        return None
    x, y = ([math.log(number) for number in numbers] for numbers in (values, results))
    return statistics.linear_regression(x, y).slope
