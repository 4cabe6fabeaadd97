"""`kerasnets models`: the list of models, and the options and stages of one."""

import dataclasses
from typing import Any

import click
import yaml
from rich.table import Table
from rich.text import Text

from kerasnets.console import emit_json, import_tensorflow, out
from kerasnets.errors import UserError
from kerasnets.models import complexity, specs
from kerasnets.models.values import show


@click.command()
@click.argument("name", required=False)
@click.argument("overrides", metavar="[key=value ...]", nargs=-1)
@click.option("--input-size", type=click.IntRange(min=1), metavar="N", help="Height and width in pixels.")
@click.option("--classes", type=click.IntRange(min=2), metavar="K", help="Number of classes.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def models(
    name: str | None, overrides: tuple[str, ...], input_size: int | None, classes: int | None, as_json: bool
) -> None:
    """List the models, or show one model's options and stages.

    Without NAME every model is listed with its parameters, multiply-accumulates (MACs) of one image and input size,
    as it is served: without auxiliary heads. With NAME, key=value words change its options, for example
    `kerasnets models resnet18 shortcut=A --input-size 64`.
    """
    if name is None:
        if input_size or classes:
            raise UserError("--input-size and --classes need the name of a model")
        _list(as_json)
    else:
        _show(name, _parse(overrides), input_size, classes, as_json)


def _parse(words: tuple[str, ...]) -> dict[str, object]:
    """Read `key=value` words; `model.key=value`, as configs write it, is the same."""
    parsed = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UserError(f"'{word}' is not of the form key=value")
        try:
            parsed[key.removeprefix("model.")] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UserError(f"'{word}': the value is no valid YAML") from None
    return parsed


def _list(as_json: bool) -> None:
    published = complexity.published()  # from a file: even outlines of them all take half a minute
    rows = [(row, published[row.name]) for row in specs.MODELS.values()]
    if as_json:
        emit_json({"schema": 1, "models": [_row(row) | dataclasses.asdict(cost) for row, cost in rows]})
        return
    table = Table("model", "family", box=None, header_style="bold")
    for column in ("parameters", "MACs"):
        table.add_column(column, justify="right")
    for column in ("input", "source"):
        table.add_column(column)
    for row, cost in rows:
        size = "x".join(str(side) for side in row.input_shape)
        table.add_row(row.name, row.family, f"{cost.trainable:,}", _giga(cost.macs), size, row.source)
    out.print(table)
    out.print("\nAny resnet<6n+2> and plain<6n+2> of the CIFAR family can be named too. More: kerasnets models NAME")


def _show(name: str, overrides: dict[str, object], size: int | None, classes: int | None, as_json: bool) -> None:
    row = specs.row(name)
    shape = (size, size, row.input_shape[2]) if size else row.input_shape
    import_tensorflow()
    model = complexity.outline(name, shape, classes, **overrides)
    options = _options(row.options, specs.resolve(specs.options(name, overrides), shape))
    row = dataclasses.replace(row, input_shape=shape, classes=classes or row.classes)
    cost, stages = complexity.count(model), complexity.stages(model)
    if as_json:
        parts = {"options": options, "stages": [_stage(stage) for stage in stages]}
        emit_json({"schema": 1, "models": [_row(row) | dataclasses.asdict(cost) | parts]})
        return
    out.print(Text.assemble((name, "bold"), f", {row.family} ({row.source})"))
    if row.note:
        out.print(row.note)
    out.print(_options_table(options))
    out.print(_stages_table(row, cost, stages))


def _row(row: specs.Row) -> dict[str, Any]:
    keys = ("name", "family", "input_shape", "classes", "source", "note")
    return {key: getattr(row, key) for key in keys}


def _stage(stage: complexity.Stage) -> dict[str, Any]:
    return {"name": stage.name, "output_shape": stage.output_shape} | dataclasses.asdict(stage.cost)


def _options(default: specs.Options, chosen: specs.Options) -> list[dict[str, Any]]:
    return [
        {
            "name": field.name,
            "value": getattr(chosen, field.name),
            "default": getattr(default, field.name),
            "allowed": field.metadata["kind"].describe(),
            "meaning": field.metadata["meaning"],
        }
        for field in dataclasses.fields(chosen)
    ]


def _options_table(options: list[dict[str, Any]]) -> Table:
    table = Table("option", "value", "default", "allowed", "meaning", box=None, header_style="bold")
    for option in options:
        value, default = show(option["value"]), show(option["default"])
        table.add_row(option["name"], value, default, option["allowed"], option["meaning"])
    return table


def _stages_table(row: specs.Row, cost: complexity.Complexity, stages: list[complexity.Stage]) -> Table:
    table = Table("stage", "output", box=None, header_style="bold")
    table.add_column("parameters", justify="right")
    table.add_column("MACs", justify="right")
    for stage in stages:
        shape = "x".join(str(side) for side in stage.output_shape)
        table.add_row(stage.name, shape, f"{stage.cost.trainable:,}", _giga(stage.cost.macs))
    total = f"{row.input_shape[0]}x{row.input_shape[1]} px, {row.classes} classes"
    table.add_row("all", total, f"{cost.trainable:,}", _giga(cost.macs), style="bold")
    return table


def _giga(macs: int) -> str:
    """Return a count with its unit, to four digits: `1.814 G`, `40.55 M`."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if macs >= size:
            return f"{macs / size:.4g} {unit}"
    return str(macs)
