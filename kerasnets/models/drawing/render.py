"""A page as an SVG or PNG file, by matplotlib, imported when one is made. The same page gives the same bytes."""

import io
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from kerasnets.models.drawing.shapes import (
    EDGE,
    FILLS,
    GROUND,
    INK,
    LINES,
    PAPER,
    SIZE,
    Box,
    Ground,
    Line,
    Page,
    Shape,
    Sum,
    Words,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = ("svg", "png")
_STYLE: Any = {
    "svg.fonttype": "none",  # words stay words
    "svg.hashsalt": "kerasnets",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "Helvetica"],
    "text.parse_math": False,
}
_SVG = "http://www.w3.org/2000/svg"
_SHARPNESS = 2
"""Pixels of a PNG file for each of the page."""


def render(page: Page, kind: str) -> bytes:
    """Return the file's content; `kind` is one of FORMATS."""
    import matplotlib
    from matplotlib.figure import Figure

    file = io.BytesIO()
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(page.width / 72, page.height / 72), dpi=72, facecolor=PAPER)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, page.width), ylim=(page.height, 0))
        axes.set_axis_off()
        for order, shape in enumerate(page.shapes):
            _draw(axes, shape, order)
        metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Title": page.title, "Software": None}
        figure.savefig(file, format=kind, dpi=72 if kind == "svg" else 72 * _SHARPNESS, metadata=metadata)
    return _described(file.getvalue(), page) if kind == "svg" else file.getvalue()


def _described(svg: bytes, page: Page) -> bytes:
    """Give an SVG file a title and a description, which are read out, in place of matplotlib's metadata."""
    ElementTree.register_namespace("", _SVG)
    root = ElementTree.fromstring(svg)
    for metadata in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(metadata)
    for place, (tag, text) in enumerate((("title", page.title), ("desc", page.description))):
        element = ElementTree.Element(f"{{{_SVG}}}{tag}", {"id": f"kerasnets-{tag}"})
        element.text = text
        root.insert(place, element)
    root.set("role", "img")
    root.set("aria-labelledby", "kerasnets-title kerasnets-desc")
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _draw(axes: "Axes", shape: Shape, order: int) -> None:
    from matplotlib.patches import Circle

    if isinstance(shape, Box):
        corner = (shape.x - shape.width / 2, shape.y - shape.height / 2)
        _rectangle(axes, corner, shape.width, shape.height, 4, order, facecolor=FILLS[shape.kind], edgecolor=INK)
        for number, text in enumerate(shape.words):
            y = shape.y + 15 * (number - (len(shape.words) - 1) / 2)
            _write(axes, Words(shape.x, y, text, SIZE, bold=_bold(shape, number), align="center"), order)
    elif isinstance(shape, Ground):
        corner = (shape.x, shape.y)
        _rectangle(axes, corner, shape.width, shape.height, 7, order, facecolor=GROUND, edgecolor=EDGE)
    elif isinstance(shape, Line):
        _line(axes, shape, order)
    elif isinstance(shape, Sum):
        axes.add_patch(Circle((shape.x, shape.y), 8, facecolor=PAPER, edgecolor=INK, linewidth=1.2, zorder=order))
        for x, y in ((4.5, 0), (0, 4.5)):
            ends = [shape.x - x, shape.x + x], [shape.y - y, shape.y + y]
            axes.plot(*ends, color=INK, linewidth=1.2, zorder=order)
    else:
        _write(axes, shape, order)


def _rectangle(
    axes: "Axes", corner: tuple[float, float], width: float, height: float, rounding: float, order: int, **colours: str
) -> None:
    from matplotlib.patches import FancyBboxPatch

    style = f"round,pad=0,rounding_size={rounding}"
    patch = FancyBboxPatch(corner, width, height, style, zorder=order, linewidth=0.8, **colours)  # type: ignore[arg-type]
    axes.add_patch(patch)


def _bold(box: Box, line: int) -> bool:
    """Return whether a line names what the box is."""
    return line == 0 and box.kind in ("inception", "head", "auxiliary head") and len(box.words) > 1


def _line(axes: "Axes", line: Line, order: int) -> None:
    colour, width, dashes = LINES[line.kind]
    xs, ys = zip(*line.points, strict=True)
    axes.plot(xs, ys, color=colour, linewidth=width, linestyle=dashes, solid_joinstyle="round", zorder=order)
    if line.arrow:
        (x0, y0), (x1, y1) = line.points[-2:]
        size = max(abs(x1 - x0), abs(y1 - y0)) or 1
        along, across = ((x1 - x0) / size, (y1 - y0) / size), ((y1 - y0) / size, (x1 - x0) / size)
        base = x1 - 7 * along[0], y1 - 7 * along[1]
        corners = [(base[0] + side * across[0], base[1] + side * across[1]) for side in (-3.5, 3.5)]
        axes.fill(*zip((x1, y1), *corners, strict=True), color=colour, linewidth=0, zorder=order)


def _write(axes: "Axes", words: Words, order: int) -> None:
    weight = "bold" if words.bold else "normal"
    settings: dict[str, Any] = {"ha": words.align, "va": "center_baseline", "fontsize": words.size}
    axes.text(words.x, words.y, words.text, color=words.colour, weight=weight, zorder=order, **settings)
