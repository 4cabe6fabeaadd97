"""Reads a run directory into `Evidence`, whole or as it grows: a call reads what was appended since the last."""

import time
from collections import Counter
from pathlib import Path

import numpy as np

from kerasnets import documents
from kerasnets.config import Config
from kerasnets.doctor.evidence import Evidence, Trouble
from kerasnets.run import Run
from kerasnets.telemetry.reading import StatisticsTable, StepsTable
from kerasnets.telemetry.record import HEAD, Layers

KEPT = 160
"""Sampled steps that are looked at: past twice as many, every second of the later ones is left out."""
KEPT_FIRST = 40


class Reader:
    """Reads the run directory at `path`, whose config is known."""

    def __init__(self, path: Path, config: Config) -> None:
        self._path, self._config = path, config
        self._run = Run(path, config)
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
            history={key: np.array(values) for key, values in self._run.read_numbers("history.csv").items()},
            layers=self._layers,
            kinds=self._statistics.series() if self._layers else {},
            steps=self._steps.steps() if len(self._steps) else None,
            counts=self._counts,
            confusion=_confusion(self._run),
            finished=(self._path / "metrics.json").is_file(),
            idle_seconds=self._idle(),
            troubles=_troubles(self._path / "telemetry" / "nonfinite.json"),
            damaged=self._statistics.damaged + self._steps.damaged,
        )

    def _read_layers(self) -> Layers | None:
        path = self._path / "telemetry" / "layers.json"
        if not path.is_file():
            return None
        return Layers.read(path)

    def _count_classes(self) -> dict[str, int]:
        rows = self._run.read_rows("splits.csv", ("split", "label"))
        train = [row["label"] for row in rows if row["split"] == "train"]
        names = self._run.labels if rows and (self._path / "labels.txt").is_file() else ()
        skipped = self._run.skipped("train")
        found = Counter(label for index, label in enumerate(train) if index not in skipped)
        return {name: 0 for name in names} | dict(found)

    def _idle(self) -> float:
        names = ("history.csv", "telemetry/steps.csv", "telemetry/statistics.csv", "config.yaml")
        written = [(self._path / name).stat().st_mtime for name in names if (self._path / name).is_file()]
        return max(0.0, time.time() - max(written, default=time.time()))


def _troubles(path: Path) -> tuple[Trouble, ...]:
    return tuple(Trouble(**event) for event in documents.read(path)["events"]) if path.is_file() else ()


def _confusion(run: Run) -> dict[tuple[str, str], int]:
    rows = run.read_rows("predictions.csv", ("split", "label", "predicted"))
    return dict(Counter((row["label"], row["predicted"]) for row in rows if row["split"] == "validation"))


def read(path: Path, config: Config) -> Evidence:
    """Return the evidence of the run directory at `path`.

    Raises:
        UserError: a file of the run is damaged.
    """
    return Reader(path, config).read()
