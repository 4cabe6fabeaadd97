"""What is inside an Inception module, drawn once, with the numbers of each in a table beside it."""

from collections.abc import Sequence

from kerasnets.models.anatomy import Inception, Step
from kerasnets.models.drawing.columns import GAP, tall, times
from kerasnets.models.drawing.shapes import MUTED, Box, Line, Page, Words, wrapped
from kerasnets.models.drawing.stack import kind

_BRANCH, _BETWEEN = 92.0, 16.0
_COLUMN, _ROW = 62.0, 20.0


def inception(made: Page, modules: Sequence[Inception], left: float, top: float) -> float:
    """Draw a module from (left, top), and the table to its right; return where they end."""
    made.add(Words(left, top, "Inside an Inception module", 14, bold=True))
    middle = left + 2 * _BRANCH + 1.5 * _BETWEEN
    before = Box(middle, top + 36, 150, 28, ("output before it",), "image")
    made.add(before)
    upper, deepest = before.y + 14 + 2.2 * GAP, max(len(branch) for branch in modules[0].branches)
    lower = upper + deepest * (tall(("", "")) + GAP) + 1.2 * GAP
    for number, branch in enumerate(modules[0].branches):
        x = left + _BRANCH / 2 + number * (_BRANCH + _BETWEEN)
        _branch(made, branch, x, (middle, before.y + 14), upper, lower)
    made.add(Box(middle, lower + 14, 2 * (middle - left), 28, ("concatenated channels",), "inception"))
    table = _numbers(made, modules, 2 * middle - left + 44, top)
    return max(lower + 28, table)


def _branch(
    made: Page, branch: Sequence[Step], x: float, source: tuple[float, float], upper: float, lower: float
) -> None:
    """Draw a branch from the module's input to the bar in which the branches end."""
    turn, y = source[1] + GAP, upper
    made.add(Line((source, (source[0], turn), (x, turn), (x, y)), "flow"))
    for number, step in enumerate(branch):
        if number:
            made.add(Line(((x, y - GAP), (x, y)), "flow"))
        lines = _label(step)
        made.add(Box(x, y + tall(lines) / 2, _BRANCH, tall(lines), lines, kind(step)))
        y += tall(lines) + GAP
    made.add(Line(((x, y - GAP), (x, lower)), "flow"))


def _label(step: Step) -> tuple[str, ...]:
    """Return what a box says; how many channels is in the table."""
    if step.kind != "convolution":
        return wrapped(times(step.words()), 76)
    what = "reduce" if step.name.endswith("_reduce") else "projection" if step.name.endswith("_proj") else ""
    return (times(step.window), what) if what else (times(step.window),)


def _numbers(made: Page, modules: Sequence[Inception], left: float, top: float) -> float:
    """Write the six numbers of each module, as GoogLeNet's table 1 does; return where the table ends."""
    one, three, five = (times(window) for window in modules[0].windows)
    headings = ((one, ""), (three, "reduce"), (three, ""), (five, "reduce"), (five, ""), ("pool", "proj."), ("out", ""))
    made.add(Words(left, top, "Channels of each", 14, bold=True))
    for column, lines in enumerate(headings):
        for number, text in enumerate(lines):
            made.add(Words(_right(left, column), top + 28 + 15 * number, text, 12, bold=True, align="right"))
    y = top + 44
    for module in modules:
        y += _ROW
        made.add(Words(left, y, module.name.removeprefix("inception_"), 12, bold=True))
        for column, value in enumerate((*module.numbers(), module.channels)):
            text, colour = ("\N{EN DASH}", MUTED) if value is None else (str(value), "")
            words = Words(_right(left, column), y, text, 12, align="right")
            made.add(words if not colour else Words(words.x, y, text, 12, colour=colour, align="right"))
    made.width = max(made.width, _right(left, len(headings) - 1))
    return y + 10


def _right(left: float, column: int) -> float:
    return left + 30 + (column + 1) * _COLUMN
