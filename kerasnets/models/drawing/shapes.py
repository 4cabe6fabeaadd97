"""What pictures are made of: boxes, lines, words, at places in pixels from the upper left corner."""

from dataclasses import dataclass, field

INK, MUTED, PAPER, GROUND, EDGE = "#1f2933", "#52606d", "#ffffff", "#f1f4f7", "#cbd2d9"
FILLS = {
    "image": "#ffffff",
    "convolution": "#cfe3f7",
    "projection": "#f9d9a8",
    "pool": "#d8d3ee",
    "normalisation": "#e4e7eb",
    "dense": "#cdeac0",
    "inception": "#bfe3e0",
    "head": "#a5d68f",
    "auxiliary head": "#f6c4cf",
}
"""Colours of boxes, all light: the words in them are dark."""
LINES = {
    "flow": (INK, 1.2, "-"),
    "identity": (INK, 1.8, "-"),
    "projection": ("#b45f06", 1.8, "-"),
    "padded": ("#8a1c4a", 1.8, (0, (4, 2.5))),
    "auxiliary": ("#8a1c4a", 1.2, "-"),
}
"""Colour, width and dashes of lines: kinds differ in more than colour."""
SIZE = 12.0
"""Pixels of the words in boxes."""


@dataclass(frozen=True)
class Box:
    """A rounded box around its middle (x, y) with lines of words, the first bold where there are several."""

    x: float
    y: float
    width: float
    height: float
    words: tuple[str, ...]
    kind: str


@dataclass(frozen=True)
class Ground:
    """The light ground of what belongs together; (x, y) is its upper left corner."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Line:
    """A line through points, with an arrow's head at its end or not."""

    points: tuple[tuple[float, float], ...]
    kind: str
    arrow: bool = True


@dataclass(frozen=True)
class Words:
    """Words at the left of, in the middle of, or at the right of (x, y): `left`, `center`, `right`."""

    x: float
    y: float
    text: str
    size: float = SIZE
    bold: bool = False
    colour: str = INK
    align: str = "left"


@dataclass(frozen=True)
class Sum:
    """The circle with a plus in which a shortcut ends."""

    x: float
    y: float


Shape = Box | Ground | Line | Words | Sum


@dataclass
class Page:
    """Shapes, in the order in which they are drawn, and the size of the page."""

    title: str
    description: str
    shapes: list[Shape] = field(default_factory=list)
    width: float = 0
    height: float = 0

    def add(self, *shapes: Shape) -> None:
        """Put shapes on top of those that are there; grounds below all others."""
        for shape in shapes:
            self.shapes.insert(0 if isinstance(shape, Ground) else len(self.shapes), shape)


def length(text: str, size: float = SIZE) -> float:
    """Return about how wide words are in pixels, rather more than less."""
    return 0.58 * size * len(text)


def wrapped(text: str, width: float, size: float = SIZE) -> tuple[str, ...]:
    """Break words into lines of at most `width` pixels, where there are spaces."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and length(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return tuple(lines)
