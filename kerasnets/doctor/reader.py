"""Reads a run directory into `Evidence`, whole or as it grows: a call reads what was appended since the last."""

import csv
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from itertools import groupby
from pathlib import Path

import numpy as np

from kerasnets.config import Config
from kerasnets.doctor.evidence import Evidence, Trouble
from kerasnets.errors import UserError
from kerasnets.run import Run
from kerasnets.telemetry.record import EXTRAS, HEAD, STATISTICS, Layers, Series, Steps

KEPT = 160
"""Sampled steps that are looked at: past twice as many, every second of the later ones is left out."""
KEPT_FIRST = 40

_KEYS = (*STATISTICS, *EXTRAS)
_CURVES = tuple(field.name for field in fields(Steps))


class Tail:
    """Whole lines that were appended to a text file since the last call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def lines(self) -> list[str]:
        if not self._path.is_file():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        return whole.decode("utf-8", "replace").splitlines()


class Reader:
    """Reads the run directory at `path`, whose config is known."""

    def __init__(self, path: Path, config: Config) -> None:
        self._path, self._config = path, config
        self._statistics = Tail(path / "telemetry" / "statistics.csv")
        self._steps = Tail(path / "telemetry" / "steps.csv")
        self._kinds: dict[str, dict[int, tuple[tuple[str, ...], np.ndarray]]] = {}
        self._curves = np.empty((0, len(_CURVES)))
        self._layers: Layers | None = None
        self._counts: dict[str, int] = {}
        self._stride = self._groups = self._damaged = 0

    def read(self) -> Evidence:
        """Return what the directory holds now.

        Raises:
            UserError: a file of the run is damaged.
        """
        self._read_statistics()
        self._read_steps()
        if self._layers is None:
            self._layers = self._read_layers()
        self._counts = self._counts or self._count_classes()
        return Evidence(
            config=self._config,
            history=_history(self._path / "history.csv"),
            layers=self._layers,
            kinds={kind: _series(found) for kind, found in self._kinds.items()} if self._layers else {},
            steps=Steps(*self._curves.T) if len(self._curves) else None,
            counts=self._counts,
            confusion=_confusion(self._path / "predictions.csv"),
            finished=(self._path / "metrics.json").is_file(),
            idle_seconds=self._idle(),
            troubles=_troubles(self._path / "telemetry" / "nonfinite.json"),
            damaged=self._damaged,
        )

    def _read_layers(self) -> Layers | None:
        path = self._path / "telemetry" / "layers.json"
        if not path.is_file():
            return None
        try:
            return Layers.read(path)
        except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
            raise UserError(f"{path} is damaged: {type(error).__name__} {error}") from error

    def _read_statistics(self) -> None:
        for step, lines in groupby(self._statistics.lines(), key=lambda line: line.partition(",")[0]):
            if not step.isdecimal():
                self._damaged += step != "step"  # the header
                continue
            self._groups += 1
            if self._groups > KEPT_FIRST and self._groups % 2**self._stride:
                continue
            self._keep(int(step), list(csv.reader(lines)))

    def _keep(self, step: int, rows: list[list[str]]) -> None:
        by_kind: dict[str, list[tuple[str, list[float]]]] = {}
        for row in rows:
            values = _numbers(row[3:]) if len(row) == 3 + len(_KEYS) else None
            if values is None:
                self._damaged += 1
            elif not row[1].startswith(HEAD):
                by_kind.setdefault(row[1], []).append((row[2], values))
        for kind, found in by_kind.items():
            names, table = zip(*found, strict=True)
            self._kinds.setdefault(kind, {})[step] = names, np.array(table, np.float32)
        if any(len(found) > 2 * KEPT for found in self._kinds.values()):
            self._thin()

    def _thin(self) -> None:
        self._stride += 1
        for found in self._kinds.values():
            for step in sorted(found)[KEPT_FIRST::2]:
                del found[step]

    def _read_steps(self) -> None:
        rows = []
        for line in self._steps.lines():
            values = _numbers(line.split(","))
            if values is not None and len(values) == len(_CURVES):
                rows.append(values)
            else:
                self._damaged += not line.startswith("step,")  # the header
        if not rows:
            return
        curves = np.concatenate([self._curves, np.array(rows)])
        last = np.unique(curves[::-1, 0], return_index=True)[1]  # a resumed run may have written a step twice
        self._curves = curves[::-1][last]

    def _count_classes(self) -> dict[str, int]:
        path = self._path / "splits.csv"
        if not path.is_file():
            return {}
        labels = self._path / "labels.txt"
        names = labels.read_text(encoding="utf-8").splitlines() if labels.is_file() else []
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            train = [row["label"] for row in csv.DictReader(file) if row["split"] == "train"]
        skipped = Run(self._path, self._config).skipped("train")
        found = Counter(label for index, label in enumerate(train) if index not in skipped)
        return {name: 0 for name in names} | dict(found)

    def _idle(self) -> float:
        names = ("history.csv", "telemetry/steps.csv", "telemetry/statistics.csv", "config.yaml")
        written = [(self._path / name).stat().st_mtime for name in names if (self._path / name).is_file()]
        return max(0.0, time.time() - max(written, default=time.time()))


def _series(found: dict[int, tuple[tuple[str, ...], np.ndarray]]) -> Series:
    """Put the samples of one kind, step -> (names, values `[L, statistics]`), into one series."""
    steps = sorted(found)
    names = tuple(dict.fromkeys(name for step in steps for name in found[step][0]))
    values = np.full((len(steps), len(names), len(_KEYS)), np.nan, np.float32)
    for when, step in enumerate(steps):
        these, sampled = found[step]
        values[when, slice(None) if these == names else [names.index(name) for name in these]] = sampled
    return Series(np.array(steps), names, {key: values[:, :, place] for place, key in enumerate(_KEYS)})


def _numbers(cells: Sequence[str]) -> list[float] | None:
    """Return the numbers of a row, NaN for an empty cell; None where a cell is something else."""
    try:
        return [float(cell or "nan") for cell in cells]
    except ValueError:
        return None


def _table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(Tail(path).lines()))


def _history(path: Path) -> dict[str, np.ndarray]:
    rows = [row for row in _table(path) if None not in row and None not in row.values()]
    try:
        return {key: np.array([float(row[key] or "nan") for row in rows]) for key in (rows[0] if rows else ())}
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from error


def _troubles(path: Path) -> tuple[Trouble, ...]:
    if not path.is_file():
        return ()
    try:
        return tuple(Trouble(**event) for event in json.loads(path.read_text(encoding="utf-8"))["events"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged: {type(error).__name__} {error}") from error


def _confusion(path: Path) -> dict[tuple[str, str], int]:
    rows: Sequence[dict[str, str]] = _table(path)
    return dict(Counter((row["label"], row["predicted"]) for row in rows if row["split"] == "validation"))


def read(path: Path, config: Config) -> Evidence:
    """Return the evidence of the run directory at `path`.

    Raises:
        UserError: a file of the run is damaged.
    """
    return Reader(path, config).read()
