"""Which stages stand in which column of the picture, and how tall things are."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from kerasnets.models.anatomy import Block, Inception, Part, Stage, Step
from kerasnets.models.drawing.shapes import wrapped
from kerasnets.models.specs import HEADS, MAIN_HEAD

BOX = 120.0
"""Width of a box."""
GAP = 14.0
"""Between a box and the next: room for an arrow."""
PADDING = 8.0
"""Within a box, left and right together."""


@dataclass(frozen=True)
class Item:
    """Equal parts in a row, drawn once.

    Attributes:
        part: the first of them.
        first, last: their numbers in the stage, from 1.
        stage: the stage that ends with it, or "".
    """

    part: Part
    first: int
    last: int
    stage: str

    @property
    def count(self) -> int:
        """Return how many parts there are."""
        return self.last - self.first + 1


@dataclass
class Column:
    """What stands below each other, under a heading."""

    heading: str
    items: list[Item] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    auxiliaries: list[Stage] = field(default_factory=list)


def columns(stages: Sequence[Stage]) -> list[Column]:
    """Return the columns: stem, a column for each stage of blocks or group of Inception modules, head.

    Auxiliary heads stand beside the column that they hang on.
    """
    heads = [stage for stage in stages if stage.name.startswith("softmax")]
    trunk = [stage for stage in stages if stage not in heads[:-1]]
    found = [Column("stem" if any(isinstance(part, Block | Inception) for part in _parts(trunk)) else "features")]
    for stage in trunk:
        heading = _heading(stage, found[-1].heading)
        if heading != found[-1].heading:
            found.append(Column(heading))
        found[-1].stages.append(stage)
        found[-1].items += items(stage)
    for stage in heads[:-1]:
        home = next(column for column in found if any(one.name == stage.source for one in column.stages))
        home.auxiliaries.append(stage)
    return found


def _parts(stages: Sequence[Stage]) -> Iterable[Part]:
    return (part for stage in stages for part in stage.parts)


def _heading(stage: Stage, current: str) -> str:
    """Return the heading of the column in which a stage stands. What follows the features is the head."""
    if any(isinstance(part, Inception) for part in stage.parts):
        return f"inception {stage.name.removeprefix('inception_')[0]}"
    if any(isinstance(part, Block) for part in stage.parts):
        return stage.name
    return "head" if len(stage.output_shape) == 1 or stage.name == "post" else current


def items(stage: Stage) -> Iterable[Item]:
    """Yield a stage's parts, equal neighbours together. Flattening has no box: it computes nothing."""
    number = 0
    parts = [part for part in stage.parts if not (isinstance(part, Step) and part.kind == "flatten")]
    for part, same in groupby(parts):
        first, number = number + 1, number + len(list(same))
        yield Item(part, first, number, stage.name if number == len(parts) else "")


def label(part: Step | Inception, width: float = BOX - PADDING) -> tuple[str, ...]:
    """Return the lines in a box: `7x7, 64, /2`, as the papers' figures write it."""
    if isinstance(part, Inception):
        return part.name.replace("_", " "), f"{part.channels} channels"
    text = part.words().replace("stride ", "/")
    if is_head(part):
        return part.name, f"{part.channels} classes"
    return wrapped(times(text), width)


def is_head(part: Step) -> bool:
    """Return whether a layer gives a head's logits."""
    return part.kind == "dense" and part.name in (MAIN_HEAD, *HEADS)


def times(text: str) -> str:
    """Write `3x3` with the sign that pictures have room for."""
    letters = [
        "\N{MULTIPLICATION SIGN}" if letter == "x" and before.isdigit() and after.isdigit() else letter
        for before, letter, after in zip(f" {text}", text, f"{text[1:]} ", strict=False)
    ]
    return "".join(letters)


def tall(lines: Sequence[str]) -> float:
    """Return the height of a box with so many lines."""
    return 13.0 + 15.0 * len(lines)
