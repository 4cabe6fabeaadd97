"""Checkpoints on disk: written aside, synced, renamed, hashed. Imports no TensorFlow.

checkpoints/epoch-0003-step-000000120/     three epochs and 120 optimizer steps are done
    state.safetensors                      every array, by plain name
    state.json                             every other value
    model.keras                            the best weights so far: a hard link where the file system has them
    sha256sums                             as `sha256sum -c` reads it
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from kerasnets.durable import sha256, sync

SCHEMA = 1
KEPT = 2
"""Checkpoints that are kept: the second is used when the first is damaged."""
ARRAYS, VALUES, BEST, SUMS = "state.safetensors", "state.json", "model.keras", "sha256sums"
_NAME = re.compile(r"epoch-(\d+)-step-(\d+)")


class Damaged(ValueError):
    """A checkpoint cannot be used; the message says which file and why."""


@dataclass(frozen=True, eq=False)
class Saved:
    """A state as it goes to disk.

    Attributes:
        epoch: epochs that are done.
        batch: batches of the next epoch that are done.
        step: optimizer steps that are done.
        arrays: name -> array.
        values: all else, as JSON has it.
    """

    epoch: int
    batch: int
    step: int
    arrays: Mapping[str, np.ndarray]
    values: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of the checkpoint's directory; names sort in the order of training."""
        return f"epoch-{self.epoch:04}-step-{self.step:09}"

    def done(self, epochs: int) -> bool:
        """Tell whether nothing is left of so many epochs."""
        return self.epoch >= epochs or bool(self.values["stopped"])


@dataclass(frozen=True)
class Store:
    """The checkpoints of a run.

    Args:
        directory: holds them; need not be there.
    """

    directory: Path

    def write(self, saved: Saved, best: Path | None = None) -> Path:
        """Write a checkpoint, then forget those that are no longer needed; return its directory.

        Raises:
            OSError: it could not be written; those that were there are as they were.
        """
        path, aside = self.directory / saved.name, self.directory / f".{saved.name}.tmp"
        self.directory.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(aside, ignore_errors=True)
        try:
            aside.mkdir()
            _fill(aside, saved, best)
        except SafetensorError as error:
            raise OSError(None, str(error), str(aside / ARRAYS)) from error
        sync(aside)
        if path.exists():  # a run came here twice
            shutil.rmtree(path)
        aside.rename(path)
        sync(self.directory)
        self.forget()
        return path

    def forget(self, but: int = KEPT) -> None:
        """Remove all checkpoints but the newest ones."""
        for old in self.paths()[:-but]:
            shutil.rmtree(old, ignore_errors=True)

    def paths(self) -> list[Path]:
        """Return the checkpoints that are there, the oldest first; what a kill left half-written is none."""
        if not self.directory.is_dir() or self.directory.is_symlink():
            return []
        found = [path for path in self.directory.iterdir() if _NAME.fullmatch(path.name) and not path.is_symlink()]
        return sorted(found, key=lambda path: [int(number) for number in _NAME.fullmatch(path.name).groups()])  # type: ignore[union-attr]

    def newest(self, usable: Callable[[Saved], None], say: Callable[[str], None]) -> tuple[Path, Saved] | None:
        """Return the newest checkpoint that can be used; None where there is none at all.

        Args:
            usable: raises `Damaged` for one that does not fit the rest of the run.
            say: hears which checkpoint is damaged and which is used in its place.

        Raises:
            Damaged: there are checkpoints, but none can be used.
        """
        paths, troubles = self.paths(), []
        for path in reversed(paths):
            try:
                saved = read(path)
                usable(saved)
            except Damaged as error:
                troubles.append(f"checkpoint {path.name} is damaged: {error}")
                continue
            if troubles:
                say(f"{'; '.join(troubles)}; going on from {path.name}")
            return path, saved
        if troubles:
            raise Damaged("; ".join(troubles))
        return None

    def clear(self, but: Path | None = None) -> None:
        """Remove all checkpoints, also half-written ones, but one and those before it."""
        keep = self.paths()
        keep = keep[: keep.index(but) + 1] if but is not None else []
        if self.directory.is_dir() and not self.directory.is_symlink():
            for path in self.directory.iterdir():
                if path not in keep:
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _fill(directory: Path, saved: Saved, best: Path | None) -> None:
    save_file({name: np.asarray(array, order="C") for name, array in saved.arrays.items()}, directory / ARRAYS)
    counts = {"schema": SCHEMA, "epoch": saved.epoch, "batch": saved.batch, "step": saved.step}
    text = json.dumps({**counts, **saved.values}, ensure_ascii=False)
    (directory / VALUES).write_text(text + "\n", encoding="utf-8")
    shutil.copymode(directory / VALUES, directory / ARRAYS)  # which is readable by its owner alone
    names = [ARRAYS, VALUES]
    if best is not None and best.is_file():
        link(best, directory / BEST)
        names.append(BEST)
    sums = "".join(f"{sha256(directory / name)}  {name}\n" for name in names)
    (directory / SUMS).write_text(sums, encoding="ascii")
    for name in (*names, SUMS):
        sync(directory / name)


def read(directory: Path) -> Saved:
    """Read a checkpoint.

    Raises:
        Damaged: a file is missing, or is not what was written.
    """
    try:
        _verify(directory)
        values = json.loads((directory / VALUES).read_text(encoding="utf-8"))
        if (schema := values.pop("schema", None)) != SCHEMA:
            raise Damaged(f"{VALUES} has schema {schema}; this kerasnets reads {SCHEMA}")
        arrays = load_file(directory / ARRAYS)
        epoch, batch, step = (int(values.pop(name)) for name in ("epoch", "batch", "step"))
    except (OSError, ValueError, KeyError, AttributeError, TypeError, SafetensorError, RecursionError) as error:
        raise error if isinstance(error, Damaged) else Damaged(str(error)) from error
    return Saved(epoch, batch, step, arrays, values)


def _verify(directory: Path) -> None:
    if (directory / SUMS).is_symlink():
        raise Damaged(f"{SUMS} is missing")
    sums = dict(_sums((directory / SUMS).read_text(encoding="ascii")))
    for name in (ARRAYS, VALUES, *([BEST] if (directory / BEST).exists() else [])):
        if name not in sums:
            raise Damaged(f"{SUMS} does not list {name}")
    for name, wanted in sums.items():
        path = directory / name
        if path.is_symlink() or not path.is_file():
            raise Damaged(f"{name} is missing")
        if sha256(path) != wanted:
            raise Damaged(f"{name} is not what was written")


def _sums(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        digest, _, name = line.partition("  ")
        if name not in (ARRAYS, VALUES, BEST):
            raise Damaged(f"{SUMS} is not a list of checksums")
        yield name, digest


def link(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`, or a copy of it where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
