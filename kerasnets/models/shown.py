"""One model to look at: its options, its stages as tables and as JSON, its picture."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from kerasnets.models import complexity, drawing, specs, table
from kerasnets.models.values import show


@dataclasses.dataclass(frozen=True)
class Shown:
    """A model without weights, and what it was made from.

    Attributes:
        row: with the input shape and classes that were asked for.
        options: resolved.
        model: of `complexity.outline`.
    """

    row: specs.Row
    options: specs.Options
    model: Any

    @classmethod
    def of(cls, name: str, overrides: Mapping[str, object], size: int | None, classes: int | None) -> "Shown":
        """Outline a model; size is its height and width in pixels. Raises UserError as `models.build` does."""
        row = specs.row(name)
        shape = (size, size, row.input_shape[2]) if size else row.input_shape
        model = complexity.outline(name, shape, classes, **overrides)
        row = dataclasses.replace(row, input_shape=shape, classes=classes or row.classes)
        return cls(row, specs.resolve(specs.options(name, overrides), shape), model)

    @property
    def cost(self) -> complexity.Complexity:
        """Return the cost with all heads."""
        return complexity.count(self.model)

    def document(self) -> dict[str, Any]:
        """Return what JSON says of the model."""
        stages = [
            {"name": row.name, "output_shape": row.output_shape} | dataclasses.asdict(row.cost) | row.document()
            for row in table.rows(self.model)
        ]
        return described(self.row) | dataclasses.asdict(self.cost) | {"options": self.choices(), "stages": stages}

    def choices(self) -> list[dict[str, Any]]:
        """Return each option with its value, default, allowed values and meaning."""
        default = specs.row(self.row.name).options
        return [
            {
                "name": field.name,
                "value": getattr(self.options, field.name),
                "default": getattr(default, field.name),
                "allowed": field.metadata["kind"].describe(),
                "meaning": field.metadata["meaning"],
            }
            for field in dataclasses.fields(self.options)
        ]

    def options_table(self) -> Table:
        """Return the options for a terminal."""
        shown = Table("option", "value", "default", "allowed", "meaning", box=None, header_style="bold")
        for option in self.choices():
            value, default = show(option["value"]), show(option["default"])
            shown.add_row(option["name"], value, default, option["allowed"], option["meaning"])
        return shown

    def costs_table(self) -> Table:
        """Return what each stage costs for a terminal."""
        shown = Table("stage", "output", box=None, header_style="bold")
        shown.add_column("parameters", justify="right")
        shown.add_column("MACs", justify="right")
        for stage in complexity.stages(self.model):
            shape = "x".join(str(side) for side in stage.output_shape)
            shown.add_row(stage.name, shape, f"{stage.cost.trainable:,}", table.giga(stage.cost.macs))
        shown.add_row("all", self._total(), f"{self.cost.trainable:,}", table.giga(self.cost.macs), style="bold")
        return shown

    def papers_table(self) -> Table:
        """Return a row a stage, as the papers' tables have them, for a terminal."""
        return table.table(table.rows(self.model), self.cost, self._total())

    def picture(self, kind: str) -> bytes:
        """Return an SVG or PNG file; `kind` is one of `drawing.FORMATS`."""
        sides = "\N{MULTIPLICATION SIGN}".join(str(side) for side in self.row.input_shape)
        title = f"{self.row.name}: {sides} to {self.row.classes} classes"
        page = drawing.page(self.model, title, drawing.notes(self.row, self.options, self.cost))
        return drawing.render(page, kind)

    def _total(self) -> str:
        return f"{self.row.input_shape[0]}x{self.row.input_shape[1]} px, {self.row.classes} classes"


def described(row: specs.Row) -> dict[str, Any]:
    """Return what JSON says of a row of the table of models."""
    return {key: getattr(row, key) for key in ("name", "family", "input_shape", "classes", "source", "note")}
