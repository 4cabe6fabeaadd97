"""Sources of image files: a folder with a folder per class, or a table of paths and labels."""

import csv
import os
from collections import Counter
from pathlib import Path

import numpy as np

from kerasnets.data.splitting import Examples
from kerasnets.errors import UserError, nearest

EXTENSIONS = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".webp"})
_FOLDERS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
_SPLIT_WORDS = {**_FOLDERS, "training": "train", "testing": "test"}


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
    labels: list[str] = []
    found: list[Path] = []
    given: list[str] = []
    ignored = 0
    for split, top in splits.items():
        for directory in (d for d in _visible(top) if d.is_dir()):
            images, others = _images(directory)
            ignored += others
            found += images
            labels += [directory.name] * len(images)
            given += [split] * len(images)
    if not found:
        raise UserError(f"data.path: no images under {root}; wanted: {root.name}/<class>/<image>.jpg")
    return _examples(root, found, labels, given, ignored)


def _visible(directory: Path) -> list[Path]:
    return sorted(entry for entry in directory.iterdir() if not entry.name.startswith("."))


def _images(directory: Path) -> tuple[list[Path], int]:
    """Return the image files anywhere below a folder, sorted, and how many other files there are."""
    images, others = [], 0
    for parent, folders, names in os.walk(directory, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            if os.path.splitext(name)[1].lower() in EXTENSIONS:
                images.append(Path(parent, name))
            else:
                others += 1
    return images, others


def table(path: Path) -> Examples:
    """Return the images that a CSV file lists in columns `path`, `label` and, if there, `split`.

    Paths are relative to the file. Splits are train, val (or validation) and test; an empty one is train.

    Raises:
        UserError: A column is missing, a file does not exist, or a split is unknown.
    """
    if not path.is_file():
        raise UserError(f"data.path: {path} is not a CSV file")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            columns = tuple(reader.fieldnames or ())
            rows = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"data.path: {path} is not a CSV file in UTF-8 ({error})") from error
    for column in ("path", "label"):
        if column not in columns:
            raise UserError(f"{path}: no column '{column}'{nearest(column, columns)}; it has {', '.join(columns)}")
    found, labels, given = [], [], []
    for line, row in rows:
        if not row["path"] or not row["label"]:
            raise UserError(f"{path}, line {line}: path or label is empty")
        word = (row.get("split") or "train").strip().lower()
        if word not in _SPLIT_WORDS:
            raise UserError(
                f"{path}, line {line}: split '{word}' is none of train, val, test{nearest(word, _SPLIT_WORDS)}"
            )
        found.append(path.parent / row["path"])
        labels.append(row["label"])
        given.append(_SPLIT_WORDS[word])
    if not found:
        raise UserError(f"{path}: there are no images in it")
    _all_exist(path, found)
    return _examples(path.parent, found, labels, given)


def _all_exist(table_path: Path, found: list[Path]) -> None:
    missing = [image for image in found if not image.is_file()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(f"{table_path}: {missing[0]} does not exist{more}")


def _examples(root: Path, found: list[Path], labels: list[str], given: list[str], ignored: int = 0) -> Examples:
    names = sorted({label for label, split in zip(labels, given, strict=True) if split == "train"})
    known = set(names)
    for label, split in zip(labels, given, strict=True):
        if label not in known:
            raise UserError(
                f"{root}: class '{label}' of the {split} split has no training images{nearest(label, names)}"
            )
    if len(names) == 1:
        raise UserError(f"{root}: only one class, '{names[0]}'; a classifier needs two")
    ids = tuple(Path(os.path.relpath(image, root)).as_posix() for image in found)
    twice = [name for name, count in Counter(ids).items() if count > 1]
    if twice:
        raise UserError(f"{root}: {twice[0]} is listed more than once")
    index = {name: i for i, name in enumerate(names)}
    numbers = np.array([index[label] for label in labels], np.int32)
    return Examples(tuple(names), numbers, tuple(given), ids, paths=tuple(found), ignored=ignored)
