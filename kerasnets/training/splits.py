"""splits.csv: which example went where, and whether a run that is resumed still finds the same ones."""

import csv
from collections.abc import Iterator
from itertools import zip_longest

from kerasnets.data.sources import Dataset
from kerasnets.errors import UserError
from kerasnets.run import Run

NAME, HEADER = "splits.csv", ("split", "label", "id")


def rows(dataset: Dataset) -> Iterator[tuple[str, str, str]]:
    """Yield (split, class name, id) of every example, in order."""
    for name, split in dataset.splits.items():
        for label, example in zip(split.labels.tolist(), split.ids, strict=True):
            yield name, dataset.class_names[label], example


def check(run: Run, dataset: Dataset) -> None:
    """See whether the data set has the examples that the run began with.

    Raises:
        UserError: it has not; names the first that differs.
    """
    path = run.path / NAME
    if not path.is_file():
        raise UserError(f"run {run.path} has no {NAME}: it stopped before training began; train anew")
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        found = csv.reader(file)
        next(found, None)
        for was, now in zip_longest(map(tuple, found), rows(dataset)):
            if was != now:
                before = f"{was[2]} was next" if was else "there were fewer examples"
                after = f"now it is {now[2]}" if now else "now there are fewer"
                where = (now or was or ("",))[0]
                raise UserError(f"the data are not those of run {run.path}: in the {where} split {before}, {after}")
