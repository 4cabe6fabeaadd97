"""Measure a run or an artefact on labelled images."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kerasnets.artifacts.batches import raw_batches
from kerasnets.console import progress
from kerasnets.errors import UserError
from kerasnets.inference import labelled
from kerasnets.inference.subject import Subject
from kerasnets.measures import confusion
from kerasnets.measures.measure import Measures, measure
from kerasnets.run import write_text

_BATCH = 64


def evaluate(subject: Subject, *, split: str = "validation", data: Sequence[str] = ()) -> Measures:
    """Measure `subject` on a split of the data it was trained on, or on the data that `data` names.

    Args:
        subject: From `open_subject`.
        split: train, validation or test.
        data: Either one folder of images, a folder a class, or `key=value` words laid over the data section of the
            config that it was trained with.

    Raises:
        UserError: there is no such split or data, an image cannot be read, or a class is unknown to the model.
    """
    images, skip = _choose(subject, split, data)
    if len(images) == len(skip):
        raise UserError(f"the {split} split holds no readable images")
    probabilities, targets = [], []
    with progress("evaluate", total=len(images) - len(skip)) as advance:
        for batch, numbers in raw_batches(images, subject.preprocessing.channels, _BATCH, skip):
            probabilities.append(subject(batch))
            targets.append(numbers)
            advance(len(batch))
    found, true = np.concatenate(probabilities), np.concatenate(targets)
    return measure(found, true, subject.labels, unknown_below=subject.unknown_below)


def _choose(subject: Subject, split: str, data: Sequence[str]) -> tuple[labelled.Split, frozenset[int]]:
    """Return the images and the indices of those to leave out."""
    folders = [word for word in data if "=" not in word or Path(word).exists()]
    if folders and len(data) > 1:
        raise UserError(f"--data {folders[0]} is a folder and goes alone; beside it there is {len(data) - 1} more")
    if folders:
        return labelled.folder(Path(folders[0]), subject.labels, split), frozenset()
    config = labelled.override(subject.config, data) if data else subject.config
    return labelled.split_of(config, subject.labels, split), subject.skipped(split) if not data else frozenset()


def write(measures: Measures, directory: Path, title: str) -> list[Path]:
    """Write evaluation.json, confusion.csv and confusion.png into `directory`; return their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = [directory / name for name in ("evaluation.json", "confusion.csv", "confusion.png")]
    write_text(paths[0], json.dumps(measures.document(), indent=2, ensure_ascii=False) + "\n")
    confusion.write_csv(measures, paths[1])
    confusion.draw(measures.labels, measures.confusion, paths[2], title)
    return paths
