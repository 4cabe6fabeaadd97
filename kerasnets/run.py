"""The run directory: the only code that knows its layout. Imports no TensorFlow."""

import contextlib
import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from kerasnets import config as configs
from kerasnets import documents
from kerasnets.config import Config
from kerasnets.documents import SCHEMA
from kerasnets.durable import write_whole
from kerasnets.errors import UserError, nearest

DEFAULT_ROOT = Path("runs")
LOCK = ".lock"
GRADCAM = "gradcam"
"""Folder of pictures of where the network looked, and gradcam.json, which says what they show."""
_AT_THE_END = ("metrics.json", "predictions.csv", f"{GRADCAM}/gradcam.json")  # written when training has ended


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: aside, then renamed."""
    write_whole(path, text.encode())


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON document that bears the schema's number."""
    write_text(path, json.dumps({"schema": SCHEMA, **document}, indent=2, ensure_ascii=False) + "\n")


def _numbered(root: Path, name: str) -> Path:
    """Make and return the first free `<root>/<name>-<n>`; safe against a run that starts at the same time."""
    root.mkdir(parents=True, exist_ok=True)
    taken = [p.name.removeprefix(f"{name}-") for p in root.glob(f"{name}-*")]
    number = max((int(n) for n in taken if n.isdecimal()), default=0) + 1
    while True:
        try:
            (root / f"{name}-{number}").mkdir()
        except FileExistsError:
            number += 1
        else:
            return root / f"{name}-{number}"


class Run:
    """One training run on disk: `Run.create` starts it, `Run.open` reads one that is there."""

    def __init__(self, path: Path, config: Config) -> None:
        self.path = path
        self.config = config

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @classmethod
    def create(cls, config: Config, out: Path | None = None) -> Self:
        """Make the directory `out` (default: the next free `runs/<name>-<n>`) and dump the config into it.

        Raises:
            UserError: `out` is there already and not empty, or cannot be made.
        """
        try:
            if out is None:
                path = _numbered(DEFAULT_ROOT, config.name)
            else:
                path = out
                if path.exists() and (not path.is_dir() or any(path.iterdir())):
                    raise UserError(f"--out {path} is there already and not empty; a run never overwrites one")
                path.mkdir(parents=True, exist_ok=True)
            write_text(path / "config.yaml", config.dump())
        except OSError as error:
            raise UserError(f"run directory {error.filename or out}: {error.strerror}") from error
        return cls(path, config)

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Return the run at `path`.

        Raises:
            UserError: `path` is not a run directory.
        """
        path = Path(path)
        if not (path / "config.yaml").is_file():
            siblings = [p.parent.name for p in path.parent.glob("*/config.yaml")]
            what = "is not a run directory (it has no config.yaml)" if path.exists() else "does not exist"
            raise UserError(f"run {path} {what}{nearest(path.name, siblings)}")
        return cls(path, configs.load(path / "config.yaml"))

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in order."""
        path = self._need("labels.txt")
        try:
            return tuple(path.read_text(encoding="utf-8").splitlines())
        except UnicodeDecodeError as error:
            raise UserError(f"{path} is damaged: {error}") from error

    @property
    def model_file(self) -> Path:
        """The best weights, a plain functional Keras model with every head."""
        return self._need("model.keras")

    @property
    def last_model_file(self) -> Path:
        """Where the last weights are, or go."""
        return self.path / "last.keras"

    @property
    def tensorboard(self) -> Path:
        """Directory of the event files."""
        return self.path / "tensorboard"

    @property
    def telemetry(self) -> Path:
        """Directory of what the probe saw, as tables."""
        return self.path / "telemetry"

    @property
    def checkpoints(self) -> Path:
        """Directory of what resume needs."""
        return self.path / "checkpoints"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other process from training into this run; the system lets go of it however this one ends.

        Raises:
            UserError: another process trains into it.
        """
        path = self.path / LOCK
        if path.is_symlink():  # what it leads to would be emptied
            raise UserError(f"{path} is a link; nothing is written into such a run")
        lock = FileLock(path, blocking=False, thread_local=False)
        try:
            lock.acquire()
        except Timeout as error:
            raise UserError(f"run {self.path} is in use: another process trains into it") from error
        except OSError as error:
            raise UserError(f"run {self.path} cannot be written to: {error.strerror or error}") from error
        try:
            yield
        finally:
            lock.release()

    @property
    def in_use(self) -> bool:
        """Whether another process trains into the run now."""
        if not (self.path / LOCK).is_file() or (self.path / LOCK).is_symlink():
            return False
        try:
            with self.locked():
                return False
        except UserError:
            return True

    def keep_inside(self) -> None:
        """See that what is written into the directory stays there. Call before writing into a run that was there.

        Raises:
            UserError: a link in it leads out of it.
        """
        home = self.path.resolve()
        for folder, folders, names in os.walk(self.path):
            for path in (Path(folder, name) for name in (*folders, *names)):
                if path.is_symlink() and not path.resolve().is_relative_to(home):
                    raise UserError(f"{path} is a link that leads out of the run; nothing is written into such a run")

    def sizes(self) -> dict[str, int]:
        """Return the size of each file that training appends to, by its path in the run; all is on the disk then."""
        found = {}
        for path in self._appended():
            with path.open("rb") as file:
                os.fsync(file.fileno())
            found[path.relative_to(self.path).as_posix()] = path.stat().st_size
        return found

    def rewind(self, sizes: Mapping[str, int]) -> None:
        """Cut what training appends to back to sizes that `sizes` gave; what was not there then is removed."""
        for path in self._appended():
            size = sizes.get(path.relative_to(self.path).as_posix())
            if size is None:
                path.unlink()
            else:
                os.truncate(path, size)
        for name in (*_AT_THE_END, "telemetry/nonfinite.json"):
            (self.path / name).unlink(missing_ok=True)

    def too_short(self, sizes: Mapping[str, int]) -> str | None:
        """Return the name of a file that has lost some of what it had when `sizes` gave these, or None."""
        now = {path.relative_to(self.path).as_posix(): path.stat().st_size for path in self._appended()}
        return next((name for name, size in sizes.items() if now.get(name, -1) < size), None)

    def _appended(self) -> list[Path]:
        patterns = ("history.csv", "telemetry/*.csv", "tensorboard/*/events.out.tfevents.*")
        found = (path for pattern in patterns for path in self.path.glob(pattern))
        return sorted(path for path in found if path.is_file() and not path.is_symlink())

    def write_config(self, config: Config) -> None:
        """Put another config in the place of the run's own."""
        write_text(self.path / "config.yaml", config.dump())
        self.config = config

    def _need(self, name: str) -> Path:
        path = self.path / name
        if not path.is_file():
            raise UserError(f"run {self.path} has no {name}: it stopped before that was written")
        return path

    def write_labels(self, labels: Sequence[str]) -> None:
        """Keep the class names; a name with a line break in it is refused."""
        broken = [label for label in labels if len(label.splitlines()) != 1]
        if broken:
            raise UserError(f"class name {broken[0]!r} is empty or has a line break; rename the class")
        write_text(self.path / "labels.txt", "".join(f"{label}\n" for label in labels))

    def write_json(self, name: str, document: Mapping[str, Any]) -> None:
        """Write `name`, such as metrics.json."""
        write_json(self.path / name, document)

    def read_json(self, name: str) -> dict[str, Any]:
        """Return the document in `name`.

        Raises:
            UserError: it is not there, or not of the shape that it should have.
        """
        return documents.read(self._need(name))

    def write_rows(self, name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Write a CSV file such as splits.csv."""
        with (self.path / name).open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)

    def read_rows(self, name: str, columns: Sequence[str] = ()) -> list[dict[str, str]]:
        """Return the rows of a CSV file, none where there is no such file; a last line that a kill cut off is left out.

        Values are UTF-8, with bytes of file names that are not kept as surrogates.

        Raises:
            UserError: one of `columns` is missing, or a row has other cells than the header.
        """
        path = self.path / name
        if not path.is_file():
            return []
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
        whole = text[: text.rfind("\n") + 1]
        reader = csv.DictReader(io.StringIO(whole, newline=""))
        try:
            if missing := [column for column in columns if whole and column not in (reader.fieldnames or ())]:
                raise UserError(f"{path} is damaged: it has no column '{missing[0]}'")
            rows = []
            for row in reader:
                if None in row or None in row.values():
                    raise UserError(f"{path} is damaged: line {reader.line_num} has not the cells of the first")
                rows.append(row)
        except csv.Error as error:
            raise UserError(f"{path} is damaged: line {reader.line_num}: {error}") from error
        return rows

    def read_numbers(self, name: str) -> dict[str, list[float]]:
        """Return column -> numbers of a CSV file such as history.csv, NaN for an empty cell; empty without rows.

        Raises:
            UserError: a cell is no number.
        """
        rows = self.read_rows(name)
        try:
            return {key: [float(row[key] or "nan") for row in rows] for key in (rows[0] if rows else ())}
        except ValueError as error:
            raise UserError(f"{self.path / name} is damaged: {error}") from error

    @property
    def finished(self) -> bool:
        """Whether training ended and the best weights were measured."""
        return (self.path / "metrics.json").is_file()

    def write_skipped(self, rows: Iterable[tuple[str, int, str, str]]) -> None:
        """Keep which files are left out: (split, index in the split, path, reason)."""
        self.write_rows("skipped.csv", ("split", "index", "path", "reason"), rows)

    def skipped(self, split: str) -> frozenset[int]:
        """Indices of the examples of `split` that are left out as unreadable."""
        rows = self.read_rows("skipped.csv", ("split", "index"))
        try:
            return frozenset(int(row["index"]) for row in rows if row["split"] == split)
        except ValueError as error:
            raise UserError(f"{self.path / 'skipped.csv'} is damaged: {error}") from error
