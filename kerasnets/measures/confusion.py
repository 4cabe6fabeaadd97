"""The confusion matrix as a picture and as a table."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasnets.data.cells import cells

if TYPE_CHECKING:
    from kerasnets.measures.measure import Measures

_NUMBERED = 25
"""Up to so many classes each cell shows its count."""
_NAMED = 80
"""Up to so many classes each row and column shows its name."""
_LONGEST_NAME = 24
_GAMMA = 0.4
"""Exponent of the colour scale: below 1, so that a confusion of a few in a hundred is seen."""


def write_csv(measures: "Measures", path: Path) -> None:
    """Write the counts: a row for each true class, a column for each predicted one."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(cells("true \\ predicted", *measures.labels))
        writer.writerows(
            cells(label, *row) for label, row in zip(measures.labels, measures.confusion.tolist(), strict=True)
        )


def draw(labels: Sequence[str], counts: np.ndarray, path: Path, title: str) -> None:
    """Draw a matrix int `[K, K]` as PNG, each row coloured by its shares: rare classes are as readable as common."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    classes = len(labels)
    side = float(np.clip(2.6 + 0.34 * classes, 4.5, 12.0))
    figure = Figure(figsize=(side * 1.12, side), layout="constrained", dpi=100 if classes <= _NUMBERED else 150)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    smoothing = "nearest" if classes <= _NAMED else "auto"
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(_GAMMA, 0.0, 1.0), interpolation=smoothing)
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_title(title, fontsize=11)
    _ticks(axes, labels)
    if classes <= _NUMBERED:
        _numbers(axes, counts, shares)
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the true class")
    canvas.print_png(path)


def _ticks(axes: Any, labels: Sequence[str]) -> None:
    if len(labels) > _NAMED:  # names would overlap: matplotlib numbers the classes instead
        return
    names = [label if len(label) <= _LONGEST_NAME else f"{label[: _LONGEST_NAME - 1]}…" for label in labels]
    size = 9 if len(labels) <= _NUMBERED else 6
    turned = {"rotation": 90} if sum(map(len, names)) > 4 * _NUMBERED or len(names) > _NUMBERED else {}
    axes.set_xticks(range(len(names)), names, fontsize=size, parse_math=False, **turned)
    axes.set_yticks(range(len(names)), names, fontsize=size, parse_math=False)


def _numbers(axes: Any, counts: np.ndarray, shares: np.ndarray) -> None:
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = "white" if shares[row, column] > 0.2 else "black"
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour, fontsize=8)
