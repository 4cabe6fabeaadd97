"""A model as a table: a row a stage, as in the papers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from rich.table import Table

from kerasnets.models import anatomy, complexity, receptive_field
from kerasnets.models.anatomy import Inception, Part
from kerasnets.models.complexity import Complexity
from kerasnets.models.receptive_field import Field

_LONGEST = 48
"""Characters of a line in the column of layers; auxiliary heads have more."""


@dataclass(frozen=True)
class Row:
    """A stage.

    Attributes:
        name: what its layers' names begin with.
        output_shape: without the batch.
        layers: its blocks and layers in the papers' notation.
        inception: the six numbers of an Inception module, None for what a naive one lacks; () of other stages.
        headings: of these numbers, as in GoogLeNet's table 1, with the kernels that are there.
        cost: parameters, MACs, activations.
        field: what its output sees of the image, along the height; None: all of it.
    """

    name: str
    output_shape: tuple[int, ...]
    layers: str
    inception: tuple[int | None, ...]
    headings: tuple[str, ...]
    cost: Complexity
    field: Field | None

    def document(self) -> dict[str, Any]:
        """Return what JSON says of the stage besides its name, shape and cost; a null field is the whole image."""
        return {
            "layers": self.layers,
            "inception": list(self.inception) or None,
            "receptive_field": self.field and self.field.size,
            "stride": self.field and self.field.stride,
        }


def rows(model: Any) -> list[Row]:
    """Return a row for each stage of a model that `models.build` or `complexity.outline` made."""
    fields = receptive_field.fields(model)
    costs = {stage.name: stage.cost for stage in complexity.stages(model)}
    return [
        Row(
            name=stage.name,
            output_shape=stage.output_shape,
            layers=words(stage.parts),
            inception=next((part.numbers() for part in stage.parts if isinstance(part, Inception)), ()),
            headings=next((_headings(part) for part in stage.parts if isinstance(part, Inception)), ()),
            cost=costs[stage.name],
            field=fields[stage.layers[-1].name],
        )
        for stage in anatomy.stages(model)
    ]


def _headings(module: Inception) -> tuple[str, ...]:
    one, three, five = (f"#{window}" for window in module.windows)
    return one, f"{three}\nreduce", three, f"{five}\nreduce", five, "pool\nproj"


def words(parts: Iterable[Part]) -> str:
    """Return parts in the papers' notation, equal ones counted: `[3x3, 64; 3x3, 64] x 2`."""
    counted = [(text, len(list(same))) for text, same in groupby(parts, key=_words)]
    return "; ".join(f"{text} x {count}" if count > 1 or text[0] == "[" else text for text, count in counted)


def _words(part: Part) -> str:
    return "Inception" if isinstance(part, Inception) else part.words()


def table(rows: Sequence[Row], total: Complexity, heading: str) -> Table:
    """Return the rows for a terminal, their sum last.

    Args:
        rows: of `rows`.
        total: the whole model's cost.
        heading: stands in the last row, under the layers.
    """
    shown = Table("stage", "output", box=None, header_style="bold")
    shown.add_column("layers", max_width=_LONGEST)
    six_numbers = next((row.headings for row in rows if row.headings), ())
    for column in (*six_numbers, "parameters", "MACs", "receptive\nfield", "stride"):
        shown.add_column(column, justify="right", vertical="bottom")
    for row in rows:
        shape = "x".join(str(side) for side in row.output_shape)
        six = ["" if n is None else str(n) for n in row.inception or [None] * len(six_numbers)]
        field = (str(row.field.size), str(row.field.stride)) if row.field else ("image", "")
        shown.add_row(row.name, shape, row.layers, *six, f"{row.cost.trainable:,}", giga(row.cost.macs), *field)
    blank = [""] * len(six_numbers)
    shown.add_row("all", "", heading, *blank, f"{total.trainable:,}", giga(total.macs), style="bold")
    return shown


def giga(macs: int) -> str:
    """Return a count with its unit, to four digits: `1.814 G`, `40.55 M`."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if macs >= size:
            return f"{macs / size:.4g} {unit}"
    return str(macs)
