"""`kerasnets samples`."""

import re
from pathlib import Path

import click

from kerasnets.console import emit_json, out
from kerasnets.data import sources
from kerasnets.data.raw import picture
from kerasnets.data.sources import Split
from kerasnets.run import Run


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--split", "split_name", default="validation", show_default=True, help="train, validation or test.")
@click.option("--count", default=10, show_default=True, type=click.IntRange(1), help="How many images.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder to write to; default RUN/samples.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def samples(run: Path, split_name: str, count: int, output: Path | None, as_json: bool) -> None:
    """Write images of RUN's data set as PNG files named after their class: pictures to try a model on.

    The first of each class in turn, at their own size.
    """
    opened = Run.open(run)
    dataset = sources.load(opened.config.data, seed=opened.config.seed)
    split = dataset.split(split_name)
    folder = output or opened.path / "samples"
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for index in _in_turn(split, count, opened.skipped(split_name)):
        label = re.sub(r"[^\w.-]", "_", dataset.class_names[split.labels[index]])
        path = folder / f"{label}-{index}.png"
        picture(split, index).save(path)
        written.append(path)
    if as_json:
        emit_json({"schema": 1, "files": [str(path) for path in written]})
    else:
        out.print(f"{len(written)} images of the {split_name} split in {folder}")


def _in_turn(split: Split, count: int, skipped: frozenset[int]) -> list[int]:
    """Return indices of `count` examples, one of each class in turn."""
    turn: dict[int, int] = {}
    order = []
    for index, label in enumerate(split.labels.tolist()):
        if index not in skipped:
            order.append((turn.setdefault(label, 0), label, index))
            turn[label] += 1
    return [index for _, _, index in sorted(order)[:count]]
