"""Sources of image files: a folder with a folder per class, or a table of paths and labels."""

import csv
import os
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kerasnets.data.encoded import Files
from kerasnets.data.presence import missing
from kerasnets.data.splitting import SPLITS, Examples
from kerasnets.data.strings import Strings, repeated
from kerasnets.errors import UserError, nearest

EXTENSIONS = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".webp"})
_FOLDERS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
_SPLIT_WORDS = {**_FOLDERS, "training": "train", "testing": "test"}


class _Columns:
    """The label and the split of each example, as they come."""

    def __init__(self) -> None:
        self._classes: dict[str, int] = {}
        self._labels, self._given = array("i"), array("B")

    def add(self, label: str, split: str) -> None:
        self._labels.append(self._classes.setdefault(label, len(self._classes)))
        self._given.append(SPLITS.index(split))

    def examples(self, root: Path, files: Files, ids: Strings, ignored: int = 0) -> Examples:
        """Return the examples, classes sorted by name.

        Raises:
            UserError: A class has no training images, there is one class only, or an image is listed twice.
        """
        seen, labels, given = list(self._classes), np.array(self._labels, np.int32), np.array(self._given, np.uint8)
        known = np.zeros(len(seen), bool)
        known[labels[given == SPLITS.index("train")]] = True
        names = sorted(name for name, trained in zip(seen, known, strict=True) if trained)
        unknown = np.flatnonzero(~known[labels])
        if unknown.size:
            label, split = seen[labels[unknown[0]]], SPLITS[given[unknown[0]]]
            raise UserError(
                f"{root}: class '{label}' of the {split} split has no training images{nearest(label, names)}"
            )
        if len(names) == 1:
            raise UserError(f"{root}: only one class, '{names[0]}'; a classifier needs two")
        twice = repeated(ids)
        if twice is not None:
            raise UserError(f"{root}: {twice} is listed more than once")
        place = {name: i for i, name in enumerate(names)}
        numbers = np.array([place[name] for name in seen], np.int32)[labels]
        return Examples(tuple(names), numbers, given, ids, files=files, ignored=ignored)


def folder(root: Path) -> Examples:
    """Return the images under `root`: `train/<class>/…`, `val/<class>/…`, `test/<class>/…`, or `<class>/…` alone.

    Class names are sorted. Hidden files are ignored; files whose names are not those of images are ignored and counted.

    Raises:
        UserError: No images, a single class, or a class outside the training split.
    """
    if not root.is_dir():
        raise UserError(f"data.path: {root} is not a folder")
    splits = {_FOLDERS[d.name]: d for d in _visible(root) if d.is_dir() and d.name in _FOLDERS}
    if "train" not in splits:
        splits = {"train": root}
    columns, ignored = _Columns(), 0

    def images() -> Iterator[str]:
        nonlocal ignored
        for split, top in splits.items():
            for directory in (d for d in _visible(top) if d.is_dir()):
                for name in _below(directory, root):
                    if os.path.splitext(name)[1].lower() in EXTENSIONS:
                        columns.add(directory.name, split)
                        yield name
                    else:
                        ignored += 1

    names = Strings.of(images())
    if not len(names):
        raise UserError(f"data.path: no images under {root}; wanted: {root.name}/<class>/<image>.jpg")
    return columns.examples(root, Files(os.fspath(root), names), names, ignored)


def _visible(directory: Path) -> list[Path]:
    return sorted(entry for entry in directory.iterdir() if not entry.name.startswith("."))


def _below(directory: Path, root: Path) -> Iterator[str]:
    """Yield the files anywhere below a folder, sorted, their names relative to `root`."""
    for parent, folders, names in os.walk(directory, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        prefix = Path(os.path.relpath(parent, root)).as_posix()
        for name in sorted(name for name in names if not name.startswith(".")):
            yield f"{prefix}/{name}"


def table(path: Path) -> Examples:
    """Return the images that a CSV file lists in columns `path`, `label` and, if there, `split`.

    Paths are relative to the file. Splits are train, val (or validation) and test; an empty one is train.

    Raises:
        UserError: A column is missing, a file does not exist, or a split is unknown.
    """
    if not path.is_file():
        raise UserError(f"data.path: {path} is not a CSV file")
    columns = _Columns()
    try:
        names = Strings.of(_listed(path, columns))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"data.path: {path} is not a CSV file in UTF-8 ({error})") from error
    if not len(names):
        raise UserError(f"{path}: there are no images in it")
    files = Files(os.fspath(path.parent), names)
    _all_exist(path, files)
    return columns.examples(path.parent, files, Strings.of(_id(name, path.parent) for name in names))


def _listed(path: Path, columns: _Columns) -> Iterator[str]:
    """Yield the paths of a table as they are written, a row at a time, and put labels and splits into `columns`."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, skipinitialspace=True)
        header = next(reader, [])
        for column in ("path", "label"):
            if column not in header:
                raise UserError(f"{path}: no column '{column}'{nearest(column, header)}; it has {', '.join(header)}")
        places = {column: place for place, column in enumerate(header)}
        for row in filter(None, reader):
            name, label, word = (_cell(row, places.get(column)) for column in ("path", "label", "split"))
            if not name or not label:
                raise UserError(f"{path}, line {reader.line_num}: path or label is empty")
            word = word.strip().lower() or "train"
            if word not in _SPLIT_WORDS:
                where, near = f"{path}, line {reader.line_num}", nearest(word, _SPLIT_WORDS)
                raise UserError(f"{where}: split '{word}' is none of train, val, test{near}")
            columns.add(label, _SPLIT_WORDS[word])
            yield name


def _cell(row: list[str], place: int | None) -> str:
    return row[place] if place is not None and place < len(row) else ""


def _id(name: str, root: Path) -> str:
    """Return a path of a table without detours: relative to the table's folder, whatever it was written as."""
    plain = os.path.normpath(name)
    if plain.startswith(("/", "..")):
        plain = os.path.relpath(root / name, root)
    return plain.replace(os.sep, "/")


def _all_exist(table_path: Path, files: Files) -> None:
    absent = missing(files)
    if absent.size:
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        raise UserError(f"{table_path}: {files.name(absent[0])} does not exist{more}")
