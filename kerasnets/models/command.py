"""`kerasnets models`: the list of models; one model's options, stages and picture."""

import dataclasses
from pathlib import Path

import click
import yaml
from rich.table import Table
from rich.text import Text

from kerasnets import environment
from kerasnets.console import Words, emit_json, err, import_tensorflow, out
from kerasnets.durable import write_whole
from kerasnets.errors import UserError
from kerasnets.models import complexity, drawing, memory, specs
from kerasnets.models.prediction import Prediction
from kerasnets.models.shown import Shown, described
from kerasnets.models.table import giga

MOST_COLUMNS = 400
"""Of a table on the terminal."""


@click.command()
@click.argument("name", required=False)
@click.argument("overrides", metavar="[key=value ...]", nargs=-1)
@click.option("--input-size", type=click.IntRange(min=1), metavar="N", help="Height and width in pixels.")
@click.option("--classes", type=click.IntRange(min=2), metavar="K", help="Number of classes.")
@click.option("--table", is_flag=True, help="The stages as in the papers' tables, with receptive fields.")
@click.option("--draw", type=click.Path(path_type=Path), metavar="FILE", help="Draw the model: a file .svg or .png.")
@click.option(
    "--memory", "batch", type=click.IntRange(min=1), metavar="BATCH", help="Predict what a training step takes."
)
@click.option("--precision", type=click.Choice(tuple(memory.BYTES)), help="What layers compute in, with --memory.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document; it has what --table shows, too.")
def models(
    name: str | None,
    overrides: tuple[str, ...],
    input_size: int | None,
    classes: int | None,
    table: bool,
    draw: Path | None,
    batch: int | None,
    precision: str | None,
    as_json: bool,
) -> None:
    """List the models, or show one model's options and stages.

    Without NAME every model is listed with its parameters, multiply-accumulates (MACs) of one image and input size,
    as it is served: without auxiliary heads. With NAME, key=value words change its options, for example
    `kerasnets models resnet18 shortcut=A --input-size 64`.

    --table prints a row a stage, as the papers do: output, blocks with their kernels (of Inception modules their six
    numbers), parameters, MACs, and the receptive field: how many pixels of the image an output sees, and how many it
    moves on from one output to the next. --draw makes a picture: stem, stages with equal blocks drawn once,
    shortcuts by their kind, heads.

    --memory predicts the memory of a training step on BATCH images, on one device, by what takes it. TensorFlow itself
    is apart: as much as it takes in this process.
    """
    if precision and not batch:
        raise UserError("--precision goes with --memory BATCH")
    if name is None:
        if input_size or classes or table or draw or batch:
            raise UserError("--input-size, --classes, --table, --draw and --memory need the name of a model")
        _list(as_json)
        return
    if specs.is_own(name):
        raise UserError(f"{name} is a model of your own; `kerasnets models` shows those of kerasnets")
    if draw:
        _check(draw)
    import_tensorflow()
    base = environment.memory_now()
    shown = Shown.of(name, _parse(overrides), input_size, classes)
    if draw:
        _draw(shown, draw)
    predicted = Prediction.of(shown.model, batch, precision or "float32", base) if batch else None
    if as_json:
        predictions = {"memory": predicted.document()} if predicted else {}
        emit_json({"schema": 1, "models": [shown.document() | predictions], "drawing": draw and str(draw)})
        return
    if table:
        _print(shown.papers_table())
    if predicted:
        _print(predicted.table())
    if not (table or predicted or draw):
        _show(shown)


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
        emit_json({"schema": 1, "models": [described(row) | dataclasses.asdict(cost) for row, cost in rows]})
        return
    table = Table("model", "family", box=None, header_style="bold")
    for column in ("parameters", "MACs"):
        table.add_column(column, justify="right")
    for column in ("input", "source"):
        table.add_column(column)
    for row, cost in rows:
        size = "x".join(str(side) for side in row.input_shape)
        table.add_row(row.name, row.family, f"{cost.trainable:,}", giga(cost.macs), size, row.source)
    out.print(table)
    out.print("\nAny resnet<6n+2> and plain<6n+2> of the CIFAR family can be named too. More: kerasnets models NAME")


def _show(shown: Shown) -> None:
    out.print(Text.assemble((shown.row.name, "bold"), f", {shown.row.family} ({shown.row.source})"))
    if shown.row.note:
        out.print(shown.row.note)
    out.print(shown.options_table())
    out.print(shown.costs_table())


def _print(table: Table) -> None:
    """Print a table at its full width: columns of numbers that are broken can no longer be read."""
    width = out.measure(table, options=out.options.update(width=MOST_COLUMNS)).maximum
    Words(width=max(out.width, width), markup=False, emoji=False, highlight=False).print(table)


def _check(path: Path) -> None:
    """Refuse a picture that could not be written, before the model is built."""
    if path.suffix[1:].lower() not in drawing.FORMATS:
        raise UserError(f"--draw {path}: pictures are .svg or .png files")
    if not path.parent.is_dir():
        raise UserError(f"--draw {path}: there is no directory {path.parent}")
    if path.is_dir():
        raise UserError(f"--draw {path}: that is a directory")


def _draw(shown: Shown, path: Path) -> None:
    content = shown.picture(path.suffix[1:].lower())
    try:
        write_whole(path, content)
    except OSError as error:
        raise UserError(f"--draw {path}: cannot be written: {error.strerror}") from None
    err.print(f"drew {path}")
