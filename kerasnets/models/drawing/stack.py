"""Boxes below each other: single layers, Inception modules, blocks with their shortcuts."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from kerasnets.models.anatomy import Block, Inception, Part, Shortcut, Step
from kerasnets.models.drawing.columns import BOX, GAP, Item, is_head, label, tall, times
from kerasnets.models.drawing.shapes import Box, Ground, Line, Page, Shape, Sum, Words

RADIUS, EDGE = 8.0, 9.0
"""Of the circle of a sum; and from a block's ground to what stands on it."""
_LANE = BOX / 2 + 13
"""From the middle of a column to a shortcut without a box."""
_ASIDE = 74.0
"""Width of a projection's box, and of the words at a padded shortcut."""


@dataclass
class Stack:
    """Where a stack was drawn.

    Attributes:
        entry: y at which an arrow reaches its first box.
        exit: y at which the arrow to what follows leaves.
        bottom: y below all of it.
        right: how far it reaches to the right of its middle.
        middles: y of the middle of the box with which a stage ends.
    """

    entry: float = 0.0
    exit: float = 0.0
    bottom: float = 0.0
    right: float = BOX / 2
    middles: dict[str, float] = field(default_factory=dict)


def stack(made: Page, items: Sequence[Item], x: float, y: float, auxiliary: bool = False) -> Stack:
    """Draw items from (x, y) downwards, each joined to the next by an arrow."""
    placed = Stack(right=max(reach(item.part) for item in items))
    for number, item in enumerate(items):
        top = y + EDGE + GAP if isinstance(item.part, Block) else y
        if number:
            made.add(Line(((x, placed.exit), (x, top)), "flow"))
        else:
            placed.entry = top
        if isinstance(item.part, Block):
            placed.exit, y = block(made, item.part, item.count, x, y, placed.right)
        else:
            drawn = box(item.part, x, y, auxiliary)
            made.add(drawn)
            placed.exit = y = y + drawn.height
            placed.middles[item.stage] = drawn.y
        placed.bottom, y = y, y + GAP + 2
    return placed


def reach(part: Part) -> float:
    """Return how far a part reaches to the right of its middle."""
    if not isinstance(part, Block):
        return BOX / 2
    if part.shortcut is None:
        return BOX / 2 + EDGE
    return _LANE + EDGE if part.shortcut.kind == "identity" else BOX / 2 + 13 + _ASIDE + EDGE


def box(part: Step | Inception, x: float, y: float, auxiliary: bool = False) -> Box:
    """Return the box of a layer or module whose upper edge is at y."""
    lines = label(part)
    height = tall(lines)
    return Box(x, y + height / 2, BOX, height, lines, kind(part, auxiliary))


def kind(part: Step | Inception, auxiliary: bool = False) -> str:
    """Return what a box stands for, which decides its colour."""
    if isinstance(part, Inception):
        return "inception"
    if is_head(part):
        return "auxiliary head" if auxiliary else "head"
    if part.kind in ("convolution", "dense"):
        return part.kind
    return "pool" if "pool" in part.kind else "normalisation"


def block(made: Page, part: Block, count: int, x: float, y: float, right: float) -> tuple[float, float]:
    """Draw a block on a ground of its own whose upper edge is at y; return where it is left, and where it ends."""
    shapes: list[Shape] = []
    entry, top = y + EDGE, y + EDGE + GAP
    for number, step in enumerate(part.steps):
        if number:
            shapes.append(Line(((x, top - GAP), (x, top)), "flow"))
        drawn = box(step, x, top)
        shapes.append(drawn)
        if part.after_activation and not number:
            entry = top + drawn.height + 0.35 * GAP
        top += drawn.height + GAP
    plus = top + RADIUS
    bottom = plus + RADIUS + EDGE if part.shortcut or count > 1 else top - GAP + EDGE
    made.add(Ground(x - BOX / 2 - EDGE, y, BOX / 2 + EDGE + right, bottom - y), *shapes)
    if count > 1:
        size = 15 if count < 100 else 12
        made.add(Words(x - BOX / 2, plus, f"\N{MULTIPLICATION SIGN} {count}", size, bold=True))
    if part.shortcut is None:
        made.add(Line(((x, top - GAP), (x, bottom)), "flow", arrow=False))
        return bottom, bottom
    made.add(Line(((x, top - GAP), (x, plus - RADIUS)), "flow"), Sum(x, plus))
    shortcut(made, part.shortcut, x, entry, plus)
    return plus + RADIUS, bottom


def shortcut(made: Page, part: Shortcut, x: float, entry: float, plus: float) -> None:
    """Draw the way around a block's convolutions, from the height at which it starts to the sum."""
    lane = x + (BOX / 2 + 13 + _ASIDE / 2 if part.kind == "projection" else _LANE)
    made.add(Line(((x, entry), (lane, entry), (lane, plus), (x + RADIUS, plus)), part.kind))
    middle = (entry + plus) / 2
    if part.kind == "projection":
        stride = (f"/{part.stride}",) if part.stride > 1 else ()
        lines = (times(f"1x1, {part.channels}"), *stride)
        made.add(Box(lane, middle, _ASIDE, tall(lines), lines, "projection"))
    if part.kind == "padded":
        texts = [f"/{part.stride}"] * (part.stride > 1)
        texts += [f"+ {part.channels} zero", "channels"] if part.channels else []
        for number, text in enumerate(texts):
            made.add(Words(lane + 7, middle + 14 * (number - (len(texts) - 1) / 2), text, 11))
