"""What the network says of held-out images: figures and tables made of predictions.csv."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kerasnets.measures.measure import reliability, scores
from kerasnets.report import scales
from kerasnets.report.headline import share
from kerasnets.report.material import Predictions
from kerasnets.report.picture import BAD, INK, LEGEND, MUTED, PAPER, TRAINING, Picture, picture, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SMALL, MOST = 12, 25
"""Up to so many classes the confusion matrix is as wide as other figures; up to so many it has all of them."""
_WIDE = 680
_LONGEST_NAME = 14
_EXPONENT = 0.45
"""Of the strength of a cell's colour: below 1, so that a confusion of a few in a hundred is seen."""


@dataclass(frozen=True)
class Confusion:
    """One kind of mistake: `count` images of class `true`, a share of them, were taken for `predicted`."""

    true: str
    predicted: str
    count: int
    share: float


def counts(found: Predictions, classes: int) -> np.ndarray:
    """Return int `[K, K]`: rows are the true classes, columns the predicted ones."""
    return np.bincount(found.labels * classes + found.predicted, minlength=classes**2).reshape(classes, classes)


def confusions(matrix: np.ndarray, labels: tuple[str, ...], most: int = 10) -> list[Confusion]:
    """Return the most frequent kinds of mistake."""
    wrong = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [divmod(int(place), len(labels)) for place in order]
    rows = matrix.sum(axis=1)
    return [
        Confusion(labels[true], labels[said], int(wrong[true, said]), wrong[true, said] / rows[true])
        for true, said in pairs
        if wrong[true, said]
    ]


def confusion(found: Predictions, labels: tuple[str, ...]) -> Picture:
    """Draw the confusion matrix; of many classes, the part with those that are confused most."""
    matrix = counts(found, len(labels))
    title, caption = "Confusion matrix", "Images; rows are the true classes. Orange: mistakes."
    shown = np.arange(len(labels))
    if len(labels) > MOST:
        shown = _most_confused(matrix)
        title = f"Confusion matrix of the {len(shown)} classes confused most"
        caption += f" The other {len(labels) - len(shown)} classes are left out."
    part, totals = matrix[np.ix_(shown, shown)], matrix.sum(axis=1)[shown]
    names = [shortened(labels[place], _LONGEST_NAME) for place in shown]
    side = _SMALL < len(shown)
    pairs = confusions(matrix, labels, 3)
    worst = "; ".join(f"{pair.true} taken for {pair.predicted} {pair.count} times" for pair in pairs)
    summary = f"{int(np.trace(matrix)):,} of {matrix.sum():,} images right. {worst or 'No mistakes'}"
    return picture(
        "confusion",
        title,
        lambda axes: _cells(axes, part, totals, names),
        caption=caption,
        summary=summary,
        width=_WIDE if side else 340,
        height=640 if side else 330,
    )


def _most_confused(matrix: np.ndarray) -> np.ndarray:
    """Return the `MOST` classes in which mistakes are most frequent, in their own order."""
    wrong = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-(wrong.sum(axis=0) + wrong.sum(axis=1)), kind="stable")
    return np.sort(order[:MOST])


def _cells(axes: "Axes", matrix: np.ndarray, totals: np.ndarray, names: list[str]) -> None:
    from matplotlib.patches import Rectangle

    size = 9.5 if len(names) <= 10 else 9.0
    for row, column in zip(*np.nonzero(matrix), strict=True):
        strength = (matrix[row, column] / totals[row]) ** _EXPONENT
        colour = TRAINING if row == column else BAD
        axes.add_patch(Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, color=colour, alpha=strength, linewidth=0))
        ink = PAPER if strength > 0.62 else INK
        axes.text(column, row, f"{matrix[row, column]}", ha="center", va="center", color=ink, fontsize=size)
    axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5), xlabel="predicted", ylabel="true")
    turned = 90 if sum(map(len, names)) > 3 * len(names) else 0
    axes.set_xticks(range(len(names)), names, rotation=turned, fontsize=9.5)
    axes.set_yticks(range(len(names)), names, fontsize=9.5)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)


def calibration(found: Predictions) -> Picture:
    """Draw the reliability diagram."""
    bins = reliability(found.confidence, found.right)
    edges = np.linspace(0, 1, len(bins.count) + 1)
    known = bins.count > 0

    def draw(axes: "Axes") -> None:
        width = edges[1]
        weight = np.sqrt(bins.count[known] / bins.count.max())
        for left, height, strength in zip(edges[:-1][known], bins.accuracy[known], weight, strict=True):
            axes.bar(left, height, width * 0.92, align="edge", color=TRAINING, alpha=0.25 + 0.65 * strength)
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (3, 3)), label="perfectly calibrated")
        at, found_there = bins.confidence[known], bins.accuracy[known]
        axes.plot(at, found_there, color=INK, marker="o", markersize=3.5, linewidth=0, label="mean of a bin")
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence", ylabel="share that is right")
        scales.percent(axes.xaxis)
        scales.percent(axes.yaxis)
        axes.legend(ncols=2, **LEGEND)

    confidence, accuracy = float(found.confidence.mean()), float(found.right.mean())
    word = "overconfident" if confidence > accuracy else "underconfident"
    caption = (
        f"Expected calibration error {share(bins.ece)} in 15 bins. On the whole {word}: the mean confidence is "
        f"{share(confidence)}, the accuracy {share(accuracy)}. Stronger bars hold more images."
    )
    return picture("calibration", "Calibration", draw, caption=caption, summary=caption, height=330)


@dataclass(frozen=True)
class ClassRow:
    """A row of the per-class table."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


def per_class(found: Predictions, labels: tuple[str, ...]) -> list[ClassRow]:
    """Return a row for each class, the least f1 first."""
    rows = [
        ClassRow(label, float(v["precision"]), float(v["recall"]), float(v["f1"]), int(v["support"]))
        for label, v in scores(found.labels, found.predicted, labels).items()
    ]
    return sorted(rows, key=lambda row: row.f1)
