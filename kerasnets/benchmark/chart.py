"""The benchmark of a version as a picture: images a second of each artefact at each batch, and memory."""

from pathlib import Path
from typing import Any

from kerasnets.benchmark.model import KERAS, Result
from kerasnets.errors import UserError

SUFFIXES = (".png", ".svg")
_COLOURS = {True: "#9aa5b1", False: "#2f6fb0"}
"""Of Keras, which the others are compared with, and of the others."""


def check(path: Path) -> None:
    """See that a chart can go there; before anything is measured.

    Raises:
        UserError: another kind of file, or no such directory.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"--chart {path}: a chart is a .png or .svg file")
    if not path.parent.is_dir():
        raise UserError(f"--chart {path}: there is no directory {path.parent}")


def write(result: Result, path: Path, title: str) -> None:
    """Draw a panel of bars for each batch, and one for the memory of each artefact's process."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    batches = sorted({row.batch for row in result.rows})
    names = list(result.artefacts)
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "benchmark"}):
        size = (2.9 * (len(batches) + 1) + 0.8, 0.42 * len(names) + 1.5)
        figure = Figure(figsize=size, layout="constrained", dpi=130)
        FigureCanvasAgg(figure)
        panels = figure.subplots(1, len(batches) + 1, sharey=True, squeeze=False)[0]
        for axes, batch in zip(panels, batches, strict=False):
            rows = {row.form: row for row in result.rows if row.batch == batch}
            values = [rows[name].images_per_second for name in names]
            ratios = [rows[name].ratio for name in names]
            words = [f"{_number(value)}{_times(ratio)}" for value, ratio in zip(values, ratios, strict=True)]
            _bars(axes, names, values, words, f"images/s, batch {batch}")
        peaks = {row.form: row.peak / 1e6 for row in result.rows}
        values = [peaks[name] for name in names]
        _bars(panels[-1], names, values, [_number(value) for value in values], "peak memory, MB")
        panels[0].invert_yaxis()
        figure.suptitle(title, fontsize=11)
        figure.savefig(path, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)


def _bars(axes: Any, names: list[str], values: list[float], words: list[str], title: str) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    colours = [_COLOURS[name == KERAS] for name in names]
    bars = axes.barh(range(len(names)), values, color=colours, height=0.68)
    axes.bar_label(bars, words, padding=3, fontsize=8)
    axes.set_title(title, fontsize=9)
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.set_xlim(0, 1.45 * max(values))
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _number(value) if value else "0"))
    axes.tick_params(axis="x", labelsize=7)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f" ({ratio:.2g}x)" if ratio < 9.5 else f" ({ratio:.0f}x)"
