"""Sources of image files: a folder with a folder per class, or a table of paths and labels."""

import csv
import os
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kerasnets.data import tree
from kerasnets.data.encoded import Files
from kerasnets.data.presence import missing
from kerasnets.data.splitting import SPLITS, Examples
from kerasnets.data.strings import Strings, encoded, repeated
from kerasnets.data.tree import Kind
from kerasnets.errors import UserError, nearest

EXTENSIONS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".webp")
SPLIT_FOLDERS = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
SPLIT_WORDS = {**SPLIT_FOLDERS, "training": "train", "testing": "test"}


class Columns:
    """The label and the split of each example, as they come."""

    def __init__(self) -> None:
        self._classes: dict[str, int] = {}
        self._labels, self._given = array("i"), array("B")

    def add(self, label: str, split: str, count: int = 1) -> None:
        """Append so many examples of a class."""
        self._labels.extend((self._classes.setdefault(label, len(self._classes)),) * count)
        self._given.extend((SPLITS.index(split),) * count)

    def unchecked(self, files: Files, ids: Strings, ignored: int = 0) -> Examples:
        """Return the examples, classes sorted by name, whatever may be wrong with them."""
        seen, given = list(self._classes), np.array(self._given, np.uint8)
        names = sorted(seen)
        place = {name: i for i, name in enumerate(names)}
        labels = np.array([place[name] for name in seen], np.int32)[np.array(self._labels, np.int32)]
        return Examples(tuple(names), labels, given, ids, files=files, ignored=ignored)

    def examples(self, root: Path, files: Files, ids: Strings, ignored: int = 0) -> Examples:
        """Return the examples, classes sorted by name.

        Raises:
            UserError: A class has no training images or no name in UTF-8, there is one class only, or an image is
                listed twice.
        """
        found = self.unchecked(files, ids, ignored)
        names = found.class_names
        trained = np.bincount(found.labels[found.given == SPLITS.index("train")], minlength=len(names)) > 0
        unknown = np.flatnonzero(~trained[found.labels])
        if unknown.size:
            label, split = names[found.labels[unknown[0]]], SPLITS[found.given[unknown[0]]]
            known = [name for name, there in zip(names, trained, strict=True) if there]
            raise UserError(
                f"{root}: class '{label}' of the {split} split has no training images{nearest(label, known)}"
            )
        if len(names) == 1:
            raise UserError(f"{root}: only one class, '{names[0]}'; a classifier needs two")
        for name in names:
            if not is_utf8(name):
                raise UserError(f"{root}: the name of class {encoded(name)!r} is not UTF-8")
        twice = repeated(ids)
        if twice is not None:
            raise UserError(f"{root}: {twice} is listed more than once")
        return found


def is_utf8(name: str) -> bool:
    """Return whether a name of the file system, or of a table, has no bytes that are not UTF-8."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def folder(root: Path) -> Examples:
    """Return the images under `root`: `train/<class>/…`, `val/<class>/…`, `test/<class>/…`, or `<class>/…` alone.

    Class names are sorted. Hidden files are ignored; files whose names are not those of images, and pipes, sockets and
    devices, are ignored and counted. A link that leads nowhere is an image that cannot be read.

    Raises:
        UserError: No images, a single class, a class outside the training split, or a folder that cannot be read.
    """
    if not root.is_dir():
        raise UserError(f"data.path: {root} is not a folder")
    columns, ignored = Columns(), 0

    def images() -> Iterator[str]:
        nonlocal ignored
        for split, label, path, prefix in classes(root):
            count = 0
            for name, kind in tree.below(path, prefix):
                if is_image(name, kind):
                    count += 1
                    yield name
                else:
                    ignored += kind in (Kind.FILE, Kind.NOWHERE, Kind.SPECIAL)
            if count:
                columns.add(label, split, count)

    names = Strings.of(images())
    if not len(names):
        raise UserError(f"data.path: no images under {root}; wanted: {root.name}/<class>/<image>.jpg")
    return columns.examples(root, Files(os.fspath(root), names), names, ignored)


def is_image(name: str, kind: Kind) -> bool:
    """Return whether what lies below a class's folder is taken for an image, by its name."""
    return (kind is Kind.FILE or kind is Kind.NOWHERE) and name.lower().endswith(EXTENSIONS)


def classes(root: Path) -> list[tuple[str, str, str, str]]:
    """Return the folders that are classes: split, name, path, and what names in it begin with."""
    splits = {SPLIT_FOLDERS[name]: name for name in _folders(root) if name in SPLIT_FOLDERS}
    tops = splits.items() if "train" in splits else [("train", "")]
    found = []
    for split, top in tops:
        for name in _folders(root / top):
            prefix = f"{top}/{name}/" if top else f"{name}/"
            found.append((split, name, os.path.join(root, top, name), prefix))
    return found


def _folders(directory: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in directory.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise UserError(f"folder {directory} cannot be read: {error.strerror}") from error


def table(path: Path) -> Examples:
    """Return the images that a CSV file lists in columns `path`, `label` and, if there, `split`.

    Paths are relative to the file; bytes in them that are not UTF-8 stand for themselves. Splits are train, val (or
    validation) and test; an empty one is train.

    Raises:
        UserError: A column is missing, a file does not exist, or a split is unknown.
    """
    if not path.is_file():
        raise UserError(f"data.path: {path} is not a CSV file")
    columns = Columns()
    try:
        names = Strings.of(_listed(path, columns))
    except csv.Error as error:
        raise UserError(f"data.path: {path} is not a CSV file ({error})") from error
    if not len(names):
        raise UserError(f"{path}: there are no images in it")
    files = Files(os.fspath(path.parent), names)
    _all_exist(path, files)
    root = path.parent
    return columns.examples(root, files, Strings.of(plain_id(name, root) for name in names))


def _listed(path: Path, columns: Columns) -> Iterator[str]:
    """Yield the paths of a table as they are written, a row at a time, and put labels and splits into `columns`."""
    with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
        reader = csv.reader(file, skipinitialspace=True)
        header = next(reader, [])
        for column in ("path", "label"):
            if column not in header:
                raise UserError(f"{path}: no column '{column}'{nearest(column, header)}; it has {', '.join(header)}")
        places = {column: place for place, column in enumerate(header)}
        path_at, label_at, split_at = (places.get(column) for column in ("path", "label", "split"))
        for row in filter(None, reader):
            name, label, word = _cell(row, path_at), _cell(row, label_at), _cell(row, split_at)
            if not name or not label:
                raise UserError(f"{path}, line {reader.line_num}: path or label is empty")
            word = word.strip().lower() or "train"
            if word not in SPLIT_WORDS:
                where, near = f"{path}, line {reader.line_num}", nearest(word, SPLIT_WORDS)
                raise UserError(f"{where}: split '{word}' is none of train, val, test{near}")
            columns.add(label, SPLIT_WORDS[word])
            yield name


def _cell(row: list[str], place: int | None) -> str:
    return row[place] if place is not None and place < len(row) else ""


def plain_id(name: str, root: Path) -> str:
    """Return a path of a table without detours: relative to the table's folder, whatever it was written as."""
    if not (name.startswith(("/", ".")) or name.endswith("/") or "//" in name or "/." in name):
        return name  # as of a million names nearly all
    plain = os.path.normpath(name)
    if plain.startswith(("/", "..")):
        plain = os.path.relpath(root / name, root)
    return plain.replace(os.sep, "/")


def _all_exist(table_path: Path, files: Files) -> None:
    absent = missing(files)
    if absent.size:
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        first = files.name(absent[0])
        what = "is not a file" if os.path.exists(first) else "does not exist"
        raise UserError(f"{table_path}: {first} {what}{more}")
