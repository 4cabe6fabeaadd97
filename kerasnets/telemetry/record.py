"""What the probe saw, on disk: `telemetry/` of a run directory. Imports no TensorFlow.

layers.json       what was watched: variables and activations in order of depth, and what each is
statistics.csv    a row for each sampled step, kind and tensor: mean, std, l2, …
steps.csv         a row for each optimizer step: loss, global norm of the gradient, learning rate
"""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from kerasnets import documents
from kerasnets.telemetry.reading import EXTRAS, STATISTICS, Series, StatisticsTable, Steps, StepsTable

GRADIENT, CLIPPED, WEIGHT, UPDATE, ACTIVATION, INPUT = "gradient", "clipped", "weight", "update", "activation", "input"
HEAD = "head:"
"""Kind `head:<name>`: the gradient that this head alone sends to each variable, weighted as in the total loss."""


@dataclass(frozen=True)
class Layers:
    """What was watched.

    Attributes:
        variables: trainable variables' paths, such as `conv1_conv/kernel`, in order of depth.
        activations: name of each watched layer -> its nonlinearity ("relu", "sigmoid", "linear", …), in order of depth.
        heads: names of the outputs, lowest first.
        main_head: the one that is served.
        every: optimizer steps between two samples when the run began.
        steps_per_epoch: optimizer steps in an epoch.
        clipping: whether gradients were clipped, so that kind `clipped` exists.
    """

    variables: tuple[str, ...]
    activations: dict[str, str]
    heads: tuple[str, ...]
    main_head: str
    every: int
    steps_per_epoch: int
    clipping: bool = False

    def document(self) -> dict[str, Any]:
        """Return the content of layers.json."""
        return {"schema": 1, **asdict(self)}

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read layers.json.

        Raises:
            UserError: it is damaged.
        """
        found = documents.read(path)
        values: dict[str, Any] = {f.name: found[f.name] for f in fields(cls)}
        for name in ("variables", "heads"):
            values[name] = tuple(values[name])
        return cls(**values)


@dataclass(frozen=True)
class Record:
    """A run's `telemetry/` directory, read when asked for; lines that are cut off or damaged are left out."""

    directory: Path
    layers: Layers = field(repr=False)

    @classmethod
    def open(cls, directory: Path) -> Self | None:
        """Return the record in `directory`, or None where nothing was recorded."""
        path = directory / "layers.json"
        return cls(directory, Layers.read(path)) if path.is_file() else None

    @cached_property
    def kinds(self) -> dict[str, Series]:
        """Kind -> its series; only kinds that were recorded."""
        table = StatisticsTable(self.directory / "statistics.csv")
        table.read()
        return table.series()

    @cached_property
    def steps(self) -> Steps:
        """The curve of every step."""
        table = StepsTable(self.directory / "steps.csv")
        table.read()
        return table.steps()


class Recorder:
    """Appends to a run's `telemetry/` directory; each call leaves whole lines behind.

    Args:
        directory: is made where it is not there.
        layers: what is watched.
        anew: forget what another run has left there.
    """

    def __init__(self, directory: Path, layers: Layers, *, anew: bool = False) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        text = json.dumps(layers.document(), indent=2, ensure_ascii=False)
        (directory / "layers.json").write_text(text + "\n", encoding="utf-8")
        self._statistics = directory / "statistics.csv"
        self._steps = directory / "steps.csv"
        columns = ("step", "kind", "name", *STATISTICS, *EXTRAS)
        for path, header in ((self._statistics, columns), (self._steps, tuple(f.name for f in fields(Steps)))):
            if anew or not path.is_file():
                path.unlink(missing_ok=True)
                _append(path, [header])

    def statistics(self, step: int, kind: str, rows: Iterable[tuple[str, Mapping[str, float]]]) -> None:
        """Append a kind's tensors: (name, statistic -> value)."""
        keys = (*STATISTICS, *EXTRAS)
        _append(self._statistics, ((step, kind, name, *(_text(v.get(key)) for key in keys)) for name, v in rows))

    def steps(self, rows: Iterable[Sequence[float | int | None]]) -> None:
        """Append steps: (step, loss, gradient_norm, learning_rate, inference_loss or None)."""
        _append(self._steps, ((row[0], *(_text(value) for value in row[1:])) for row in rows))


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _append(path: Path, rows: Iterable[Sequence[object]]) -> None:
    with path.open("a", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
