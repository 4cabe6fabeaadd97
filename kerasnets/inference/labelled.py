"""Labelled images to evaluate on: a split of the data that a model was trained on, or others."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from kerasnets import config as configs
from kerasnets.config import Config
from kerasnets.data import sources
from kerasnets.data.encoded import Files
from kerasnets.data.files import is_image
from kerasnets.data.sources import Split
from kerasnets.data.strings import Strings
from kerasnets.data.tree import below
from kerasnets.errors import UserError, nearest

_FOLDERS = {"train": ("train",), "validation": ("val", "valid", "validation"), "test": ("test",)}


def folder(path: Path, labels: Sequence[str], split: str) -> Split:
    """Return every image of `path/<class>/…`, or of `path/val/<class>/…` and the like where `split` has a folder.

    Raises:
        UserError: there is no such folder, a class is unknown to the model, or there are no images.
    """
    if not path.is_dir():
        raise UserError(f"--data {path}: no such folder; for other sources give source=… path=…")
    classes = _subfolders(path)
    if not set(classes) <= set(labels):
        path = next((path / word for word in _FOLDERS[split] if word in classes), path)
        classes = _subfolders(path)
    numbers = _numbers(classes, labels, f"--data {path}")
    found = [(i, name) for i, c in zip(numbers, classes, strict=True) for name in _images(path, c)]
    if not found:
        raise UserError(f"--data {path}: no images in it; wanted: {path.name}/<class>/<image>.jpg")
    names = Strings.of(name for _, name in found)
    return Split(np.array([i for i, _ in found], np.int32), None, Files(os.fspath(path), names), names)


def _subfolders(path: Path) -> list[str]:
    return sorted(p.name for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))


def _images(path: Path, label: str) -> list[str]:
    """Return the images of a class, their names relative to `path`, in order."""
    names = (name for name, kind in below(os.path.join(path, label), f"{label}/") if is_image(name, kind))
    return sorted(names, key=lambda name: name.split("/"))


def _numbers(names: Sequence[str], labels: Sequence[str], where: str) -> list[int]:
    """Return the model's number of each class in `names`."""
    places = {label: place for place, label in enumerate(labels)}
    for name in names:
        if name not in places:
            raise UserError(f"{where}: the model knows no class '{name}'{nearest(name, labels)}")
    return [places[name] for name in names]


def override(config: Config, words: Sequence[str]) -> Config:
    """Return `config` with `key=value` words laid over its data section."""
    values = {}
    for word in words:
        key, _, value = word.partition("=")
        values[key.removeprefix("data.")] = value
    if values.get("source", config.data.source) == "digits" and "path" not in values:
        values["path"] = ""
    return configs.update(config, data=values)


def split_of(config: Config, labels: Sequence[str], split: str) -> Split:
    """Return a split of the data of `config`, its labels numbered as the model numbers them.

    Raises:
        UserError: there is no such split, or a class that the model does not know.
    """
    dataset = sources.load(config.data, seed=config.seed)
    found = dataset.split(split)
    numbers = np.array(_numbers(dataset.class_names, labels, "the data"), np.int32)
    return replace(found, labels=numbers[found.labels])
