"""How cost grows as a picture: a row of panels for each axis, of images a second, memory and start-up."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kerasnets.benchmark.chart import page
from kerasnets.benchmark.growth.axes import AXES
from kerasnets.benchmark.growth.measure import SLIGHT, Cost, Row, exponent

_MEASURED, _PREDICTED, _FAILED = "#2f6fb0", "#d08a2c", "#b03a2e"
_MARGIN = 1.6
_PANELS: Sequence[tuple[str, str, Callable[[Cost], float]]] = (
    ("training speed", "images/s", lambda cost: cost.images_per_second),
    ("peak memory of the process", "MB", lambda cost: cost.peak / 1e6),
    ("start-up, to the first step", "seconds", lambda cost: cost.start_up),
)


def write(rows: Sequence[Row], path: Path, title: str) -> None:
    """Draw the rows of all axes into a .png or .svg file; both axes of every panel are logarithmic."""
    names = list(dict.fromkeys(row.axis for row in rows))
    with page(path, (11.0, 2.7 * len(names) + 0.5), title) as figure:
        grid = figure.subplots(len(names), len(_PANELS), squeeze=False)
        for name, panels in zip(names, grid, strict=True):
            along = [row for row in rows if row.axis == name]
            for axes, (what, unit, of) in zip(panels, _PANELS, strict=True):
                _panel(axes, along, name, (what, unit), of)


def _panel(axes: Any, rows: Sequence[Row], name: str, about: tuple[str, str], of: Callable[[Cost], float]) -> None:
    what, unit = about
    costs = {row.value: row.cost for row in rows if row.cost is not None}
    values = sorted(costs)
    axes.plot(values, [of(costs[value]) for value in values], "o-", color=_MEASURED, markersize=4, label="measured")
    if unit == "MB":
        predicted = [(costs[value].base + costs[value].predicted) / 1e6 for value in values]
        axes.plot(values, predicted, "x--", color=_PREDICTED, markersize=5, label="predicted")
    elif (fitted := exponent(values, [of(costs[value]) for value in values])) is not None:
        law = f"~ {name}$^{{{fitted:.2f}}}$" if abs(fitted) >= SLIGHT else "hardly changes"
        axes.annotate(law, (0.96, 0.04), xycoords="axes fraction", ha="right", fontsize=8)
    for row in rows:
        if row.failure is not None:
            axes.axvline(row.value, color=_FAILED, linewidth=1, linestyle=":", label=row.failure)
    _scale_along(axes, [row.value for row in rows])
    if costs:
        _scale_up(axes)
    else:
        axes.set_yticks([])
    axes.set_title(what, fontsize=9)
    axes.set_xlabel(f"{AXES[name].label} ({_constant(rows)})", fontsize=8)
    axes.set_ylabel(unit, fontsize=8)
    if unit == "MB" or any(row.failure for row in rows):
        axes.legend(fontsize=7, frameon=False, loc="upper left")


def _constant(rows: Sequence[Row]) -> str:
    """Say what does not grow with the rows of an axis."""
    kinds = (lambda point: point.model, lambda point: f"batch {point.batch}", lambda point: f"{point.size} px")
    words = [{kind(row.point) for row in rows} for kind in kinds]
    return ", ".join(found.pop() for found in words if len(found) == 1)


def _scale_along(axes: Any, values: Sequence[float]) -> None:
    """Make the horizontal scale logarithmic, with a plain number at each value."""
    from matplotlib.ticker import FixedLocator, NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sorted(set(values))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(_plain)
    axes.tick_params(labelsize=7)
    axes.grid(color="#e3e6ea", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _scale_up(axes: Any) -> None:
    """Make the vertical scale logarithmic, with plain numbers at 1, 2 and 5, and room for words."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.set_ylim(low / _MARGIN, high * _MARGIN)  # what hardly changes looks as if it hardly did, too
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(_plain)


def _plain(value: float, _: int | None) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:g}"
