"""Figures: drawn by matplotlib as SVG, coloured by the page's style sheet, so that they fit light and dark themes.

matplotlib gets colours that only stand for something; in the finished SVG each becomes a CSS variable.
"""

import io
import re
import unicodedata
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, MUTED, GRID, PAPER, SOFT, BAD = (f"#0a000{n}" for n in range(6))
SERIES = tuple(f"#0a001{n}" for n in range(6))
"""Colours of lines: training, validation, others."""
TRAINING, VALIDATION = SERIES[:2]
_VARIABLES = {INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "card", SOFT: "soft", BAD: "bad"}
_VARIABLES |= {colour: f"series-{n}" for n, colour in enumerate(SERIES)}

WIDTH = 340
"""Pixels; a phone shows a figure at this size, one to one."""
LEGEND: dict[str, Any] = {
    **{"loc": "lower left", "bbox_to_anchor": (-0.02, 1), "borderaxespad": 0.3},
    **{"handlelength": 1.1, "columnspacing": 1.1, "handletextpad": 0.5},
}
"""Where legends stand: above the axes, from the left."""
_SVG = "http://www.w3.org/2000/svg"
_XLINK = "{http://www.w3.org/1999/xlink}href"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a class may be called `$x$`
    "text.color": INK,
    "font.size": 10.5,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 10.5,
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.7,
    "lines.solid_capstyle": "round",
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "xtick.minor.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 10.5,
}


@dataclass(frozen=True)
class Picture:
    """A figure of the page.

    Attributes:
        name: Unique on the page; the id of its element.
        title: Short, with the unit.
        caption: How to read it; may be empty.
        svg: The inline drawing.
        width: Its natural width in pixels.
    """

    name: str
    title: str
    caption: str
    svg: Markup
    width: int


def picture(
    name: str,
    title: str,
    draw: Callable[["Axes"], None],
    *,
    caption: str = "",
    summary: str = "",
    width: int = WIDTH,
    height: int = 220,
) -> Picture:
    """Draw a figure.

    Args:
        name: Unique on the page, made of letters, digits and dashes.
        title: Short, with the unit.
        draw: Draws into the axes, in the colours of this module.
        caption: How to read it.
        summary: What is in it, in words and numbers, for readers who cannot see it.
        width: In pixels.
        height: In pixels.
    """
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    text = io.StringIO()
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)  # the browser's fonts draw it
        layout = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02)
        figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout=layout, facecolor="none")
        draw(figure.add_subplot())
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    label = ". ".join(part.rstrip(".") for part in (title, summary or caption) if part)
    return Picture(name, title, caption, Markup(inline(text.getvalue(), name, label)), width)  # noqa: S704  (escaped by ElementTree)


def inline(svg: str, name: str, label: str) -> str:
    """Return matplotlib's SVG as an element of the page: unique ids, the page's fonts and colours, a label."""
    ElementTree.register_namespace("", _SVG)
    root = ElementTree.fromstring(svg)
    for tag in ("metadata", "defs/style"):
        *parents, last = tag.split("/")
        for parent in root.iterfind("/".join(f"{{{_SVG}}}{p}" for p in parents)) if parents else [root]:
            for child in parent.findall(f"{{{_SVG}}}{last}"):
                parent.remove(child)
    view = root.get("viewBox", "")
    root.attrib.clear()
    root.attrib.update({"viewBox": view, "role": "img", "aria-label": label})
    _own_ids(root, name)
    text = ElementTree.tostring(root, encoding="unicode")
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    return re.sub(r"\s*\n\s*", " ", text)


def _own_ids(root: ElementTree.Element, name: str) -> None:
    """Drop ids that nothing refers to, and put the figure's name before the others."""
    for element in root.iter():
        if _XLINK in element.attrib:
            element.set("href", element.attrib.pop(_XLINK))
    values = " ".join(value for element in root.iter() for value in element.attrib.values() if value.find("#") >= 0)
    used = set(re.findall(r"#([A-Za-z_][\w.-]*)", values))
    for element in root.iter():
        found = element.attrib.pop("id", None)
        if found in used:
            element.set("id", f"{name}-{found}")
        for key in ("href", "clip-path"):
            if key in element.attrib:
                element.set(key, re.sub(r"(^|\()#", rf"\1#{name}-", element.attrib[key]))


def plain(text: str) -> str:
    """Return a name that can stand in an SVG file: characters that XML forbids are replaced."""
    return "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cs", "Cn") else c for c in text)


def shortened(text: str, most: int) -> str:
    """Return a name of at most `most` characters, cut in its middle: what tells layers apart is at both ends."""
    if len(text) <= most:
        return plain(text)
    end = (most - 1) // 2
    return plain(f"{text[: most - 1 - end]}…{text[-end:]}")


def legend(names: Sequence[str], most: int) -> list[str]:
    """Return short names; those that are the same when shortened are numbered."""
    short = [shortened(name, most) for name in names]
    return [f"{name} ({n})" if short.count(name) > 1 else name for n, name in enumerate(short, start=1)]
