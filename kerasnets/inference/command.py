"""`kerasnets evaluate` and `kerasnets predict`."""

import csv
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from kerasnets.artifacts.formats import FORMATS
from kerasnets.console import emit_json, err, out, progress
from kerasnets.data.cells import cells
from kerasnets.errors import UserError
from kerasnets.inference.predict import Failure, Prediction, Predictor, find
from kerasnets.run import Run

if TYPE_CHECKING:
    from kerasnets.measures.measure import Measures

_SHOWN_CLASSES = 40
_SHOWN_IMAGES = 100


@click.command()
@click.argument("model", metavar="RUN|MODEL-DIR", type=click.Path(path_type=Path))
@click.option(
    "--data",
    multiple=True,
    metavar="FOLDER|key=value",
    help="Other images: a folder with a folder per class, or changes of the data section; may be given repeatedly.",
)
@click.option("--split", default="validation", show_default=True, type=click.Choice(["train", "validation", "test"]))
@click.option("--format", "form", type=click.Choice(list(FORMATS)), help="Which file of a MODEL-DIR; default: onnx.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder for evaluation.json, confusion.csv and .png.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def evaluate(
    model: Path, data: tuple[str, ...], split: str, form: str | None, output: Path | None, as_json: bool
) -> None:
    """Measure a run or an exported model: accuracy, top-5, per class, confusion matrix, calibration.

    The confusion matrix goes to --output as PNG and CSV; default: evaluation/<name>-<split> in the run, or in the
    working directory for a MODEL-DIR, which is never changed.
    """
    from kerasnets.inference.evaluate import evaluate as run_evaluation
    from kerasnets.inference.evaluate import write
    from kerasnets.inference.subject import open_subject

    if output is None and (model / "config.yaml").is_file():
        Run.open(model).keep_inside()
    subject = open_subject(model, form)
    measures = run_evaluation(subject, split=split, data=data)
    home = model if (model / "config.yaml").is_file() else Path()
    folder = output or home / "evaluation" / f"{subject.name}-{split}"
    paths = write(measures, folder, f"{subject.name}: {measures.accuracy:.2%} of {measures.images:,} images right")
    if as_json:
        emit_json({**measures.document(), "files": [str(path) for path in paths]})
    else:
        _report(measures, folder)


def _report(measures: "Measures", folder: Path) -> None:
    table = Table("class", "precision", "recall", "F1", "images")
    for label, values in list(measures.per_class.items())[:_SHOWN_CLASSES]:
        shares = [f"{values[name]:.4f}" for name in ("precision", "recall", "f1")]
        table.add_row(label, *shares, str(values["support"]))
    out.print(table)
    if len(measures.labels) > _SHOWN_CLASSES:
        out.print(f"… and {len(measures.labels) - _SHOWN_CLASSES} more classes in {folder / 'evaluation.json'}")
    if measures.answered is not None:
        right = "" if measures.accuracy_answered is None else f", of which {measures.accuracy_answered:.4f} are right"
        out.print(f"answered {measures.answered:.4f}{right}   unknown below {measures.unknown_below:g}")
    top5 = "" if measures.top5 is None else f"   top-5 {measures.top5:.4f}"
    out.print(f"accuracy {measures.accuracy:.4f}{top5}   calibration error {measures.ece:.4f}")
    out.print(f"{measures.images:,} images; confusion matrix: {folder / 'confusion.png'}, {folder / 'confusion.csv'}")


@click.command()
@click.argument("model", metavar="MODEL-DIR", type=click.Path(path_type=Path))
@click.argument("images", metavar="IMAGE…", nargs=-1, required=True)
@click.option("--top", default=3, show_default=True, type=click.IntRange(1), help="Classes to show per image.")
@click.option(
    "--batch-size", default=32, show_default=True, type=click.IntRange(1), help="Images of one size together."
)
@click.option("--csv", "table", type=click.Path(path_type=Path, dir_okay=False), help="Write a row per image here.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def predict(model: Path, images: tuple[str, ...], top: int, batch_size: int, table: Path | None, as_json: bool) -> None:
    """Classify IMAGES (files, folders, globs, or `-` for a list on stdin) with an exported model.

    An image that cannot be read is reported and the rest go on; the exit code is 2 then.
    """
    predictor = Predictor(model)
    paths = list(find(images, map(os.fsdecode, sys.stdin.buffer) if "-" in images else ()))
    if not paths:
        raise UserError(f"no images in {', '.join(images)}")
    top = min(top, len(predictor.labels))
    found: list[Prediction] = []
    failures: list[Failure] = []
    with progress("predict", total=len(paths)) as advance, _rows(table, predictor, top) as write:
        for result in predictor(paths, top=top, batch_size=batch_size):
            write(result)
            advance()
            if isinstance(result, Failure):
                failures.append(result)
                err.print(
                    f"{result.path}: {result.reason}",
                )
            else:
                found.append(result)
    if as_json:
        emit_json(_document(found, failures))
    elif table is not None:
        out.print(f"{len(found):,} images classified: {table}")
    elif found:
        _show(found)
    if failures:
        raise UserError(f"{len(failures)} of {len(paths)} images could not be classified")


def _document(found: list[Prediction], failures: list[Failure]) -> dict[str, Any]:
    return {
        "schema": 1,
        "predictions": [prediction.document() for prediction in found],
        "errors": [failure.document() for failure in failures],
    }


@contextmanager
def _rows(path: Path | None, predictor: Predictor, top: int) -> Iterator[Callable[[Prediction | Failure], object]]:
    """Yield what takes a result: writes a row for it, as it comes, into the CSV file at `path` if there is one."""
    if path is None:
        yield lambda result: None
        return
    try:
        file = path.open("w", newline="", encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise UserError(f"--csv {path}: {error.strerror}") from error
    with file:
        writer = csv.writer(file)
        places = [f"_{place}" if place > 1 else "" for place in range(1, top + 1)]
        unknown = ["unknown"] if predictor.unknown_below is not None else []
        named = (f"{name}{place}" for place in places for name in ("label", "probability"))
        writer.writerow(["path", *named, *unknown, "error"])

        def write(result: Prediction | Failure) -> object:
            if isinstance(result, Failure):
                return writer.writerow(cells(result.path, *[""] * (2 * top + len(unknown)), result.reason))
            said = [str(result.unknown).lower()] if unknown else []
            return writer.writerow(cells(result.path, *(cell for pair in result.classes for cell in pair), *said, ""))

        yield write


def _show(found: list[Prediction]) -> None:
    table = Table("image", "class", "probability")
    for prediction in found[:_SHOWN_IMAGES]:
        if prediction.unknown:
            table.add_row(prediction.path, "unknown", "")
        for place, (label, probability) in enumerate(prediction.classes):
            name = prediction.path if place == 0 and not prediction.unknown else ""
            table.add_row(name, label, f"{probability:.4f}", end_section=place + 1 == len(prediction.classes))
    out.print(table)
    if len(found) > _SHOWN_IMAGES:
        out.print(f"… and {len(found) - _SHOWN_IMAGES:,} more; --csv FILE or --json gives all")
