"""The page: columns side by side, joined by the way that the image takes, with title and legend."""

from collections.abc import Sequence
from typing import Any

from kerasnets.models import anatomy, receptive_field
from kerasnets.models.anatomy import Block, Inception, Stage
from kerasnets.models.drawing.columns import BOX, GAP, Column, columns, items, tall, times
from kerasnets.models.drawing.inside import inception
from kerasnets.models.drawing.legend import legend
from kerasnets.models.drawing.shapes import MUTED, Box, Line, Page, Words, length
from kerasnets.models.drawing.stack import EDGE, Stack, stack
from kerasnets.models.receptive_field import Field
from kerasnets.models.table import words

MARGIN, BETWEEN = 28.0, 36.0
"""Pixels around the page, and between columns."""
_HEADING = 64.0
"""Height of a column's heading."""


def page(model: Any, title: str, notes: Sequence[str]) -> Page:
    """Lay out a model.

    Args:
        model: that `models.build` or `complexity.outline` made.
        title: stands on top, and is the file's title.
        notes: sentences under it.
    """
    stages, fields = anatomy.stages(model), receptive_field.fields(model)
    made = Page(title, _description(title, notes, stages))
    made.add(Words(MARGIN, MARGIN + 6, title, 19, bold=True))
    made.add(*(Words(MARGIN, MARGIN + 34 + 18 * n, note, 12, colour=MUTED) for n, note in enumerate(notes)))
    seen = {stage.name: fields[stage.layers[-1].name] for stage in stages}
    bottom = _columns(made, columns(stages), model.input_shape[1:], seen, MARGIN + 50 + 18 * len(notes))
    modules = [part for stage in stages for part in stage.parts if isinstance(part, Inception)]
    if modules:
        bottom = inception(made, modules, MARGIN, bottom + 40)
    made.width = max(made.width, MARGIN + max(length(note) for note in (*notes, title * 2))) + MARGIN
    made.height = legend(made, MARGIN, bottom + 40) + MARGIN
    return made


def _description(title: str, notes: Sequence[str], stages: Sequence[Stage]) -> str:
    """Say in words what is in the picture."""
    rows = (f"{stage.name}: {words(stage.parts)}, output {'x'.join(map(str, stage.output_shape))}" for stage in stages)
    return ". ".join([title, *(note.rstrip(".") for note in notes), *rows]) + "."


def _columns(
    made: Page, found: Sequence[Column], image: tuple[int, ...], seen: dict[str, Field | None], top: float
) -> float:
    """Draw the columns and what joins them; return where the longest one ends."""
    left, start, lowest = MARGIN, top + _HEADING, top
    arriving = _image(made, image, left + EDGE + BOX / 2, start)
    for number, column in enumerate(found):
        x = left + EDGE + BOX / 2
        _heading(made, column, seen, left + EDGE, top)
        placed = stack(made, column.items, x, start if number else arriving[0][1] + GAP)
        turn = (left - BETWEEN / 2, start - GAP)
        turns = ((turn[0], arriving[-1][1]), turn, (x, turn[1])) if number else ()
        made.add(Line((*arriving, *turns, (x, placed.entry)), "flow"))
        right, bottom = _beside(made, column, placed, x)
        arriving = ((x, placed.exit), (x, bottom + GAP))
        lowest, left = max(lowest, bottom + GAP), right + BETWEEN
    made.width = left - BETWEEN
    return lowest


def _image(made: Page, shape: tuple[int, ...], x: float, y: float) -> tuple[tuple[float, float], ...]:
    """Draw the image; return where it is left."""
    lines = ("image", times("x".join(map(str, shape))))
    made.add(Box(x, y + tall(lines) / 2, BOX, tall(lines), lines, "image"))
    return ((x, y + tall(lines)),)


def _heading(made: Page, column: Column, seen: dict[str, Field | None], left: float, top: float) -> None:
    """Write a column's name, its output and what that sees, of its last stage of blocks where there is one."""
    blocks = [stage for stage in column.stages if any(isinstance(part, Block | Inception) for part in stage.parts)]
    stage = (blocks or column.stages)[-1]
    field = seen[stage.name]
    sees = f"receptive field {field.size}" if field else "sees the whole image"
    made.add(
        Words(left, top, column.heading, 14, bold=True),
        Words(left, top + 18, times("x".join(map(str, stage.output_shape))), 12),
        Words(left, top + 35, sees, 11, colour=MUTED),
    )


def _beside(made: Page, column: Column, placed: Stack, x: float) -> tuple[float, float]:
    """Draw the auxiliary heads beside a column; return how far right and how low it now reaches."""
    right, bottom = x + placed.right, placed.bottom
    for stage in reversed(column.auxiliaries):  # what branches off last stands nearest: no line crosses a head
        branch, middle = placed.middles[stage.source], right + 30 + BOX / 2
        drawn = stack(made, list(items(stage)), middle, branch + 2 * GAP, auxiliary=True)
        made.add(Line(((x + BOX / 2, branch), (middle, branch), (middle, drawn.entry)), "auxiliary"))
        right, bottom = middle + BOX / 2, max(bottom, drawn.bottom)
    return right, bottom
