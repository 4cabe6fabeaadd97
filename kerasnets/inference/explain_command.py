"""`kerasnets explain`."""

import itertools
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from kerasnets.console import emit_json, err, out, progress
from kerasnets.durable import write_whole
from kerasnets.errors import UserError
from kerasnets.inference.explain import Explainer, open_explainer
from kerasnets.inference.explain_picture import draw
from kerasnets.inference.predict import Failure, find


@click.command()
@click.argument("model", metavar="MODEL-DIR|RUN", type=click.Path(path_type=Path))
@click.argument("images", metavar="IMAGE…", nargs=-1, required=True)
@click.option("--class", "label", help="Explain the evidence for this class; default: the best of each image.")
@click.option("--layer", help="Of a RUN: the layer to explain by; default: the last that keeps places apart.")
@click.option(
    *("-o", "--output"),
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("explained"),
    show_default=True,
    help="Folder for the pictures, one a file; those of the same names there are replaced.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def explain(
    model: Path, images: tuple[str, ...], label: str | None, layer: str | None, output: Path, as_json: bool
) -> None:
    """Show where the evidence for a class is in IMAGES, by Grad-CAM: a picture for each, with the best classes.

    An image that cannot be read is reported and the rest go on; the exit code is 2 then.
    """
    explainer = open_explainer(model, layer)
    explainer.index(label)
    paths = list(find(images, map(os.fsdecode, sys.stdin.buffer) if "-" in images else ()))
    if not paths:
        raise UserError(f"no images in {', '.join(images)}")
    found, failures = _write(explainer, paths, label, output)
    if as_json:
        errors = [failure.document() for failure in failures]
        documents = [document for _, document in found]
        emit_json({"schema": 1, "layer": explainer.layer, "explanations": documents, "errors": errors})
    else:
        for line, _ in found:
            out.print(line)
    if failures:
        raise UserError(f"{len(failures)} of {len(paths)} images could not be explained")


def _write(
    explainer: Explainer, paths: list[str], label: str | None, folder: Path
) -> tuple[list[tuple[str, dict[str, Any]]], list[Failure]]:
    """Write a picture for each image; return what each shows, as a line and as a document, and what failed.

    Raises:
        UserError: one of the pictures would take the place of an image, and nothing was written; or it cannot be.
    """
    files = _files(paths, folder)
    _spare(paths, files, folder)
    layer = f"layer {explainer.layer}" if explainer.layer else "the layer chosen at export"
    note = f"Grad-CAM of {explainer.name}, {layer}"
    found: list[tuple[str, dict[str, Any]]] = []
    failures: list[Failure] = []
    with progress("explain", total=len(paths)) as advance:
        for file, result in zip(files, explainer(paths, label), strict=True):
            advance()
            if isinstance(result, Failure):
                failures.append(result)
                err.print(f"{result.path}: {result.reason}")
                continue
            try:
                folder.mkdir(parents=True, exist_ok=True)
                write_whole(file, draw(result, note))
            except OSError as error:
                raise UserError(f"--output {error.filename or folder}: {error.strerror}") from error
            found.append((f"{file}: {result.heading} {result.probability:.4f}", result.document(file)))
    return found, failures


def _files(paths: Iterable[str], folder: Path) -> list[Path]:
    """Return a file for each image: its name with .png, numbered where two have the same."""
    found: list[Path] = []
    taken: set[str] = set()
    for path in paths:
        stem = Path(path).stem or "image"
        names = (f"{stem}-{number}.png" if number > 1 else f"{stem}.png" for number in itertools.count(1))
        name = next(name for name in names if name not in taken)
        taken.add(name)
        found.append(folder / name)
    return found


def _spare(paths: Iterable[str], files: Iterable[Path], folder: Path) -> None:
    """Raise UserError if a file that is to be written is one of the images."""
    images = set(map(_real, paths))
    for file in files:
        if _real(file) in images:
            raise UserError(f"--output {folder}: {file} is one of the images; name another folder")


def _real(path: str | Path) -> str:
    try:
        return os.path.realpath(path)
    except ValueError:  # a line of a list may hold what no path can
        return str(path)
