"""An explanation as a picture: the image, the heat over it, and the best classes as bars."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from kerasnets.gradcam import overlay
from kerasnets.inference.explain import Explanation

_INK, _SOFT, _TRACK, _BAR, _OTHER = "#15181d", "#59626f", "#e8ebf0", "#e25044", "#9aa5b1"
_SIDE = 400
"""Pixels of a panel's longer side."""
_MARGIN, _GAP, _TOP, _BARS, _LEGEND = 28, 22, 92, 270, 44
_LONGEST = 30
_WIDEST = 16
"""Pixels of a letter of the heading."""
_DPI = 100


def draw(found: Explanation, note: str) -> bytes:
    """Return a PNG file: image, overlay and bars side by side, under the class that is explained.

    Args:
        found: What to draw.
        note: Whence it comes, in small letters: model and layer.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    tall, wide = found.image.shape[:2]
    scale = _SIDE / max(tall, wide)
    height, width = max(round(tall * scale), 60), max(round(wide * scale), 60)
    panel = max(height, 220)
    total = (2 * _MARGIN + 2 * width + 2 * _GAP + _BARS, _TOP + panel + _LEGEND)
    figure = Figure(figsize=(total[0] / _DPI, total[1] / _DPI), dpi=_DPI, facecolor="white")
    sheet = _Sheet(figure, *total)
    heading = _short(found.heading, max(_LONGEST, total[0] // _WIDEST - 11))
    sheet.text(_MARGIN, 34, f"{heading}  {found.probability:.1%}", fontsize=17, weight="bold", color=_INK)
    sheet.text(_MARGIN, 64, note, fontsize=9.5, color=_SOFT)
    over = overlay.lay_over(overlay.sized(found.image, height, width), overlay.sized_heat(found.heat, height, width))
    for place, pixels in enumerate((overlay.sized(found.image, height, width), over)):
        axes = sheet.axes(_MARGIN + place * (width + _GAP), _TOP, width, height)
        axes.imshow(pixels, interpolation="nearest", aspect="auto")
        axes.set_axis_off()
    _legend(sheet, _MARGIN + width + _GAP, _TOP + height + 12, width, found.label)
    _bars(sheet, _MARGIN + 2 * (width + _GAP), found.classes, found.label)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None}, pil_kwargs={"optimize": True})
    return buffer.getvalue()


class _Sheet:
    """A figure whose parts are placed in pixels from its upper left corner."""

    def __init__(self, figure: Any, width: int, height: int) -> None:
        self._figure, self._width, self._height = figure, width, height

    def text(self, x: float, y: float, text: str, **style: Any) -> None:
        settings = {"va": "center", "ha": "left", "parse_math": False, **style}
        self._figure.text(x / self._width, 1 - y / self._height, text, **settings)

    def axes(self, left: float, top: float, width: float, height: float) -> Any:
        bottom = self._height - top - height
        place = (left / self._width, bottom / self._height, width / self._width, height / self._height)
        return self._figure.add_axes(place)


def _legend(sheet: _Sheet, left: float, top: float, width: int, label: str) -> None:
    """Draw what the colours mean: a strip from no evidence to the most."""
    strip = min(90, width // 3)
    ramp = np.tile(np.linspace(0, 1, strip, dtype=np.float32), (8, 1))
    axes = sheet.axes(left, top, strip, 8)
    axes.imshow(overlay.lay_over(np.full((8, strip, 1), 128, np.uint8), ramp), aspect="auto")
    axes.set_axis_off()
    words = f"evidence for {_short(label, 18)}" if width > 250 else "evidence"
    sheet.text(left + strip + 8, top + 4, words, fontsize=8.5, color=_SOFT)


def _bars(sheet: _Sheet, left: float, classes: Sequence[tuple[str, float]], label: str) -> None:
    for place, (name, probability) in enumerate(classes):
        top = _TOP + 8 + 42 * place
        strong = {"color": _INK, "weight": "bold"} if name == label else {"color": _INK}
        sheet.text(left, top, _short(name, 24), fontsize=10.5, **strong)
        sheet.text(left + _BARS, top, f"{probability:.1%}", fontsize=10, color=_SOFT, ha="right")
        axes = sheet.axes(left, top + 13, _BARS, 8)
        axes.barh([0], [1], color=_TRACK, height=2)
        axes.barh([0], [probability], color=_BAR if name == label else _OTHER, height=2)
        axes.set(xlim=(0, 1), ylim=(-0.5, 0.5))
        axes.set_axis_off()


def _short(name: str, longest: int = _LONGEST) -> str:
    words = " ".join(name.split())
    return words if len(words) <= longest else f"{words[: longest - 1]}…"
