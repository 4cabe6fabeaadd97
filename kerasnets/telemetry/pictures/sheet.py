"""The paper that pictures are drawn on. No pyplot, so no global state; no layout engine, which would draw all twice."""

import io
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

INK, SOFT, FAINT, PAPER_GREY = "#1f2933", "#52606d", "#9aa5b1", "#e4e7eb"
ALARM, LINE = "#d6252f", "#31688e"
WIDTH = 680
TEXT, NAMES = 9.0, 8.5
"""Points: TensorBoard shows pictures at half their size until they are clicked."""
_DPI = 100
_CHARACTER = 6.9  # pixels of a letter in labels, a little more than the mean


class Sheet:
    """A white figure whose parts are placed in pixels from its upper left corner."""

    def __init__(self, width: float, height: float, title: str, note: str = "") -> None:
        from matplotlib.figure import Figure

        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="white")
        self.text(14, 22, title, fontsize=13, weight="bold", color=INK)
        self.text(14, 44, note, fontsize=TEXT, color=SOFT)

    def text(self, x: float, y: float, text: str, **style: Any) -> None:
        """Write at (x, y); `$` and the like stand for themselves."""
        settings: dict[str, Any] = {"va": "center", "ha": "left", "parse_math": False, **style}
        self.figure.text(x / self.width, 1 - y / self.height, text, **settings)

    def axes(self, left: float, top: float, width: float, height: float, **settings: Any) -> Any:
        """Add axes whose upper left corner is at (left, top)."""
        bottom = self.height - top - height
        place = (left / self.width, bottom / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(place, **settings)
        axes.tick_params(labelsize=NAMES, color=FAINT, labelcolor=INK, length=3)
        axes.spines[:].set(color=FAINT, linewidth=0.8)
        return axes

    def colours(self, image: Any, left: float, top: float, width: float, label: str) -> Any:
        """Add a horizontal bar that explains the colours of `image`, its label below."""
        axes = self.axes(left, top, width, 10)
        bar = self.figure.colorbar(image, cax=axes, orientation="horizontal")
        bar.outline.set_visible(False)
        bar.minorticks_off()
        bar.set_label(label, fontsize=TEXT, color=INK)
        return bar

    def pixels(self) -> np.ndarray:
        """Return what was drawn, uint8 `[H, W, 3]`."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        canvas = FigureCanvasAgg(self.figure)
        with warnings.catch_warnings():  # a name in a script that the font lacks is drawn as boxes
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            canvas.draw()
        return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])

    def png(self, colormap: str = "") -> bytes:
        """Return a PNG file of 256 colours, a third of the bytes of true colour.

        Args:
            colormap: the one that was drawn with, whose shades are kept; without, the colours most in use are kept.
        """
        from PIL import Image

        picture = Image.fromarray(self.pixels())
        if colormap:
            found = picture.quantize(palette=_palette(colormap), dither=Image.Dither.NONE)
        else:
            found = picture.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        file = io.BytesIO()
        found.save(file, "PNG")
        return file.getvalue()

    def jpeg(self) -> bytes:
        """Return a JPEG file, for sheets of photographs."""
        from PIL import Image

        file = io.BytesIO()
        Image.fromarray(self.pixels()).save(file, "JPEG", quality=60, optimize=True)
        return file.getvalue()


def _palette(colormap: str) -> Any:
    """Return an image whose palette has the shades of a colormap, and those of text and lines on white."""
    import matplotlib
    from matplotlib.colors import to_rgb
    from PIL import Image

    shades = matplotlib.colormaps[colormap](np.linspace(0, 1, 144))[:, :3]
    towards_white = np.linspace(0, 0.88, 27)[:, None]  # not nearer: Pillow would take such a shade for white
    inks = [np.array(to_rgb(ink)) for ink in (INK, LINE, ALARM, FAINT)]
    colours = np.concatenate([np.ones((1, 3)), shades, *(ink + (1 - ink) * towards_white for ink in inks)])
    palette = Image.new("P", (1, 1))
    palette.putpalette((255 * colours).round().astype(np.uint8).tobytes())
    return palette


def short(name: str, longest: int) -> str:
    """Leave out the middle of a long name, whose ends tell names apart; line breaks and tabs become spaces."""
    name = " ".join(name.split())
    kept = longest - 1
    return name if len(name) <= longest else f"{name[: kept - kept // 2]}…{name[len(name) - kept // 2 :]}"


def width_of(labels: Sequence[str]) -> float:
    """Return the pixels that the longest label needs."""
    return _CHARACTER * max(map(len, labels), default=0)
