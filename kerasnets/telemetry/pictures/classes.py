"""Pictures of what a classifier takes for what."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kerasnets.telemetry.pictures.sheet import ALARM, INK, NAMES, PAPER_GREY, TEXT, Sheet, short, width_of

CLASSES = 25
"""The most classes of a confusion matrix that are drawn."""
_SHARES = "Blues"
_NAME = 16
_TOP = 62
_GAMMA = 0.4
"""Exponent of the colour scale: below 1, so that a confusion of a few in a hundred is seen."""


def confusion(counts: np.ndarray, names: Sequence[str], title: str = "Confusion matrix") -> bytes:
    """Draw which classes were taken for which, coloured by the share of the true class.

    Args:
        counts: int `[K, K]`, true x predicted. Of more than 25 classes the 25 most confused are drawn.
        names: of the K classes.
        title: what is drawn.
    """
    from matplotlib.colors import PowerNorm

    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shown = most_confused(counts, CLASSES)
    labels = [short(names[place], _NAME) for place in shown]
    room, side = 42 + width_of(labels), float(np.clip(36 * len(shown), 360, 560))
    sheet = Sheet(max(room + side + 24, 560), _TOP + side + room + 64, title, _summary(counts, len(shown)))
    axes = sheet.axes(room, _TOP, side, side)
    axes.set_facecolor(PAPER_GREY)
    part = np.ix_(shown, shown)
    image = axes.imshow(shares[part], cmap=_SHARES, norm=PowerNorm(_GAMMA, 0.0, 1.0), interpolation="nearest")
    _numbers(axes, counts[part], shares[part], side / len(shown))
    axes.set(xticks=[], yticks=[])
    for place, label in enumerate(labels):
        middle = (place + 0.5) * side / len(shown)
        sheet.text(room - 6, _TOP + middle, label, ha="right", fontsize=NAMES, color=INK)
        below = {"ha": "center", "va": "top", "rotation": 90}
        sheet.text(room + middle, _TOP + side + 6, label, fontsize=NAMES, color=INK, **below)
    axis = {"fontsize": TEXT, "color": INK, "weight": "bold"}
    sheet.text(12, _TOP + side / 2, "true", rotation=90, **axis)
    sheet.text(room + side / 2, _TOP + side + room - 10, "predicted", ha="center", **axis)
    bar = sheet.colours(image, room, sheet.height - 52, side, "share of the true class")
    bar.set_ticks([0, 0.01, 0.1, 0.5, 1], labels=["0", "1 %", "10 %", "50 %", "100 %"])
    return sheet.png(_SHARES)


def most_confused(counts: np.ndarray, most: int) -> np.ndarray:
    """Return, in order, the classes with most images that were taken for others or others for them."""
    if len(counts) <= most:
        return np.arange(len(counts))
    wrong = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diagonal(counts)
    return np.sort(np.argsort(-wrong, kind="stable")[:most])


def _summary(counts: np.ndarray, shown: int) -> str:
    total, right = int(counts.sum()), int(np.trace(counts))
    text = f"{right:,} of {total:,} images right ({100 * right / max(total, 1):.2f} %)"
    return text if shown == len(counts) else f"The {shown} most confused of {len(counts):,} classes. In all, {text}"


def _numbers(axes: Any, counts: np.ndarray, shares: np.ndarray, cell: float) -> None:
    """Write the counts into the cells that have any."""
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = "white" if shares[row, column] > 0.2 else INK
        text = _compact(int(counts[row, column]))
        size = min(NAMES, cell / (0.9 * len(text) + 0.6))
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=size)


def _compact(count: int) -> str:
    return str(count) if count < 10_000 else f"{count / 1000:.0f}k"


_ACROSS = 5
_SIDE = 96
"""Pixels of a mistake's picture."""
_GAP, _CAPTION = 18, 46
_LARGEST = 60_000
"""Bytes of a PNG file; beyond that the images are photographs, and JPEG holds them better."""


def mistakes(
    images: Sequence[np.ndarray],
    labels: Sequence[int],
    predicted: Sequence[int],
    probabilities: Sequence[float],
    names: Sequence[str],
    title: str = "Worst mistakes",
) -> bytes:
    """Draw misclassified images, each with its true class, the predicted one and that one's probability.

    Args:
        images: uint8 `[h, w, 1 or 3]` each, the worst first.
        labels: true classes.
        predicted: predicted classes.
        probabilities: of the predicted classes.
        names: of all classes.
        title: what is drawn.
    """
    count = len(images)
    rows = -(-count // _ACROSS)
    width = _ACROSS * (_SIDE + _GAP) + _GAP
    note = "Above: the true class. Below: what it was taken for, and how surely." if count else ""
    sheet = Sheet(width, _TOP + max(rows * (_SIDE + _CAPTION), 90), title, note)
    if not count:
        sheet.text(width / 2, _TOP + 30, "none: every image is classified rightly", ha="center", fontsize=10)
    for place in range(count):
        left = _GAP + place % _ACROSS * (_SIDE + _GAP)
        top = _TOP + 16 + place // _ACROSS * (_SIDE + _CAPTION)
        _thumbnail(sheet, images[place], left, top)
        sheet.text(left, top - 8, short(names[labels[place]], _NAME - 1), fontsize=NAMES, color=INK)
        said = f"{short(names[predicted[place]], _NAME - 6)} {_percent(probabilities[place])}"
        sheet.text(left, top + _SIDE + 9, said, fontsize=NAMES, color=ALARM)
    found = sheet.png()
    return found if len(found) <= _LARGEST else sheet.jpeg()


def _percent(probability: float) -> str:
    return f"{100 * probability:.0f} %" if np.isfinite(probability) else ""


def _thumbnail(sheet: Sheet, image: np.ndarray, left: int, top: int) -> None:
    from PIL import Image

    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).convert("RGB")
    enlarged = max(picture.size) <= _SIDE // 2  # pixels of a small image stay sharp
    scale = _SIDE / max(picture.size)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    pixels = np.asarray(picture.resize(size, Image.Resampling.NEAREST if enlarged else Image.Resampling.LANCZOS))
    sheet.figure.figimage(pixels, left, int(sheet.height) - top - size[1])
