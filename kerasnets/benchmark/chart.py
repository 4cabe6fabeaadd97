"""Benchmarks as pictures: bars in panels; of a version, images a second of each artefact at each batch, and memory."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasnets.benchmark.model import KERAS, Result
from kerasnets.errors import UserError

SUFFIXES = (".png", ".svg")
_COLOURS = {True: "#9aa5b1", False: "#2f6fb0"}
"""Of what others are compared with, and of the others."""


def check(path: Path) -> None:
    """See that a chart can go there; before anything is measured.

    Raises:
        UserError: another kind of file, or no such directory.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"--chart {path}: a chart is a .png or .svg file")
    if not path.parent.is_dir():
        raise UserError(f"--chart {path}: there is no directory {path.parent}")


@dataclass(frozen=True)
class Panel:
    """A value of each thing that is compared, and the words beside its bar; None: no bar.

    Attributes:
        logarithmic: For values of different orders of magnitude, of which the largest would hide the others.
    """

    title: str
    values: Sequence[float | None]
    words: Sequence[str]
    logarithmic: bool = False


@dataclass(frozen=True)
class Group:
    """Things that are compared, by name, and panels that show something of each.

    Attributes:
        grey: Those that the others are compared with.
        title: At the left of the panels, where there are several groups.
    """

    names: Sequence[str]
    grey: Collection[str]
    panels: Sequence[Panel]
    title: str = ""


@contextmanager
def page(path: Path, size: tuple[float, float], title: str) -> Iterator[Any]:
    """Yield a figure to draw in, which is written to a .png or .svg file at the end; `size` is in inches.

    The same drawing gives the same bytes; words in .svg files are text.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "benchmark"}):
        figure = Figure(figsize=size, layout="constrained", dpi=130)
        FigureCanvasAgg(figure)
        yield figure
        figure.suptitle(title, fontsize=11)
        figure.savefig(path, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)


def draw(path: Path, title: str, groups: Sequence[Group], *, panel_width: float = 2.9) -> None:
    """Draw a row of panels of bars for each group; all groups have as many panels.

    Args:
        path: A .png or .svg file.
        title: Above all.
        groups: From above.
        panel_width: Inches.
    """
    columns, lines = len(groups[0].panels), [len(group.names) for group in groups]
    size = (panel_width * columns + 0.8, 0.42 * sum(lines) + 0.7 + 0.8 * len(groups))
    with page(path, size, title) as figure:
        grid = figure.subplots(len(groups), columns, sharey="row", squeeze=False, height_ratios=lines)
        for group, row in zip(groups, grid, strict=True):
            for axes, panel in zip(row, group.panels, strict=True):
                _bars(axes, group, panel)
            row[0].invert_yaxis()
            if group.title:
                row[0].set_ylabel(group.title, fontsize=10, fontweight="bold")


def write(result: Result, path: Path, title: str) -> None:
    """Draw a panel of bars for each batch, and one for the memory of each artefact's process."""
    names = list(result.artefacts)
    panels = []
    for batch in sorted({row.batch for row in result.rows}):
        rows = {row.form: row for row in result.rows if row.batch == batch}
        values = [rows[name].images_per_second for name in names]
        words = [f"{number(rows[name].images_per_second)}{times(rows[name].ratio)}" for name in names]
        panels.append(Panel(f"images/s, batch {batch}", values, words))
    peaks = {row.form: row.peak / 1e6 for row in result.rows}
    memory = [peaks[name] for name in names]
    panels.append(Panel("peak memory, MB", memory, [number(value) for value in memory]))
    draw(path, title, [Group(names, {KERAS}, panels)])


def _bars(axes: Any, group: Group, panel: Panel) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    colours = [_COLOURS[name in group.grey] for name in group.names]
    values = [value or 0.0 for value in panel.values]
    bars = axes.barh(range(len(group.names)), values, color=colours, height=0.68)
    axes.bar_label(bars, panel.words, padding=3, fontsize=8)
    axes.set_title(panel.title, fontsize=9)
    axes.set_yticks(range(len(group.names)), group.names, fontsize=9)
    if panel.logarithmic:
        least, most = (pick(value for value in values if value) for pick in (min, max))
        axes.set_xscale("log")
        axes.set_xlim(least / 2, most * (2 * most / least) ** 0.45)  # the room for words is a share of the width
    else:
        axes.set_xlim(0, 1.45 * max(values) or 1)
        axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value) if value else "0"))
    axes.tick_params(axis="x", labelsize=7)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def number(value: float) -> str:
    """Return a number as bars bear it: three digits, or all of those before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def times(ratio: float | None) -> str:
    """Return a ratio as it stands behind a number; nothing where there is none."""
    return "" if ratio is None else f" ({ratio:.2g}x)" if ratio < 9.5 else f" ({ratio:.0f}x)"
