"""Reads a run directory into `Evidence`, whole or as it grows: a call reads what was appended since the last."""

import csv
import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kerasnets.config import Config
from kerasnets.doctor.evidence import Evidence, Trouble
from kerasnets.errors import UserError
from kerasnets.run import Run
from kerasnets.telemetry.reading import StatisticsTable, StepsTable, Tail
from kerasnets.telemetry.record import HEAD, Layers

KEPT = 160
"""Sampled steps that are looked at: past twice as many, every second of the later ones is left out."""
KEPT_FIRST = 40


class Reader:
    """Reads the run directory at `path`, whose config is known."""

    def __init__(self, path: Path, config: Config) -> None:
        self._path, self._config = path, config
        self._statistics = StatisticsTable(
            path / "telemetry" / "statistics.csv", without=HEAD, kept=KEPT, first=KEPT_FIRST
        )
        self._steps = StepsTable(path / "telemetry" / "steps.csv")
        self._layers: Layers | None = None
        self._counts: dict[str, int] = {}

    def read(self) -> Evidence:
        """Return what the directory holds now.

        Raises:
            UserError: a file of the run is damaged.
        """
        self._statistics.read()
        self._steps.read()
        if self._layers is None:
            self._layers = self._read_layers()
        self._counts = self._counts or self._count_classes()
        return Evidence(
            config=self._config,
            history=_history(self._path / "history.csv"),
            layers=self._layers,
            kinds=self._statistics.series() if self._layers else {},
            steps=self._steps.steps() if len(self._steps) else None,
            counts=self._counts,
            confusion=_confusion(self._path / "predictions.csv"),
            finished=(self._path / "metrics.json").is_file(),
            idle_seconds=self._idle(),
            troubles=_troubles(self._path / "telemetry" / "nonfinite.json"),
            damaged=self._statistics.damaged + self._steps.damaged,
        )

    def _read_layers(self) -> Layers | None:
        path = self._path / "telemetry" / "layers.json"
        if not path.is_file():
            return None
        try:
            return Layers.read(path)
        except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
            raise UserError(f"{path} is damaged: {type(error).__name__} {error}") from error

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
