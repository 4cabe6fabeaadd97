"""Reads statistics.csv and steps.csv, whole or as they grow. Imports no TensorFlow.

Lines that are not what `Recorder` writes are left out and counted; of a step that stands twice, as a resumed run may
write it, the later one holds.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from pathlib import Path

import numpy as np

from kerasnets.errors import UserError

STATISTICS = ("mean", "std", "l2", "min", "max", "zeros", "nan", "inf")
"""Of the finite entries: mean, population standard deviation, l2 norm, least and greatest, share of exact zeros; then
the number of NaN and of infinite entries."""
EXTRAS = ("ratio", "dead", "dead_epoch", "saturated")
"""Of updates: l2 of the update / l2 of the weight before it. Of activations: share of ReLU channels that are zero over
the whole batch, and over all batches sampled since the epoch began; share of saturated entries."""
_KEYS = (*STATISTICS, *EXTRAS)
_DIGITS = 15
"""Of a step's number, at most: a float holds it exactly."""
_SPARSE, _MANY = 300, 500_000
"""Times as many cells as rows that a large table of steps and tensors may have, and the cells from which it is large.
Tensors are nearly all sampled together, but those that are frozen at first."""


@dataclass(frozen=True, eq=False)
class Series:
    """One kind's statistics over time.

    Attributes:
        steps: int `[T]`, the sampled optimizer steps, counted from 1.
        names: L tensors in order of depth.
        values: statistic or extra -> float32 `[T, L]`, NaN where it was not measured.
    """

    steps: np.ndarray
    names: tuple[str, ...]
    values: dict[str, np.ndarray]

    def __getitem__(self, statistic: str) -> np.ndarray:
        return self.values[statistic]

    def only(self, suffix: str) -> "Series":
        """Return the part whose names end with `suffix`, such as `/kernel`."""
        keep = [place for place, name in enumerate(self.names) if name.endswith(suffix)]
        values = {key: value[:, keep] for key, value in self.values.items()}
        return Series(self.steps, tuple(self.names[place] for place in keep), values)


@dataclass(frozen=True, eq=False)
class Steps:
    """The curves of steps.csv, float64 `[S]` each; `inference_loss` is NaN but where it was measured.

    `inference_loss` is the loss of the same batch and weights in inference mode: batch normalisation with its moving
    statistics, no dropout.
    """

    step: np.ndarray
    loss: np.ndarray
    gradient_norm: np.ndarray
    learning_rate: np.ndarray
    inference_loss: np.ndarray


class Tail:
    """Whole lines that were appended to a text file since the last call; what a kill cut off waits for its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def lines(self) -> list[str]:
        """Return them, without their ends."""
        if not self._path.is_file():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        return whole.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")[:-1]


class StatisticsTable:
    """statistics.csv: what each sampled step saw of each tensor.

    Args:
        path: of the file; need not be there yet.
        without: kinds that begin so are left out.
        kept: sampled steps that are kept: past twice as many, every second of the later ones is left out; None: all.
        first: of these, the first that are always kept.
    """

    def __init__(self, path: Path, *, without: str | None = None, kept: int | None = None, first: int = 0) -> None:
        self._path, self._tail = path, Tail(path)
        self._without, self._most, self._first = without, kept, first
        self._kinds: dict[str, dict[int, dict[str, np.ndarray]]] = {}
        self._stride = self._groups = 0
        self.damaged = 0
        """Lines that were left out."""

    def read(self) -> None:
        """Take in what was appended since the last call."""
        for step, lines in groupby(self._tail.lines(), key=lambda line: line.partition(",")[0]):
            if not _is_step(step):
                self.damaged += 0 if step == "step" else sum(1 for _ in lines)  # the header
                continue
            self._groups += 1
            if self._groups <= self._first or self._groups % 2**self._stride == 0:
                self._keep(int(step), list(lines))

    def _keep(self, step: int, lines: Sequence[str]) -> None:
        for row in _rows(lines):
            values = _numbers(row[3:]) if len(row) == 3 + len(_KEYS) else None
            if values is None:
                self.damaged += 1
            elif self._without is None or not row[1].startswith(self._without):
                with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite
                    self._kinds.setdefault(row[1], {}).setdefault(step, {})[row[2]] = np.array(values, np.float32)
        if self._most is not None and any(len(found) > 2 * self._most for found in self._kinds.values()):
            self._thin()

    def _thin(self) -> None:
        self._stride += 1
        for found in self._kinds.values():
            for step in sorted(found)[self._first :: 2]:
                del found[step]

    def series(self) -> dict[str, Series]:
        """Return kind -> its series.

        Raises:
            UserError: nearly every tensor was sampled at other steps than the rest, which no run writes.
        """
        return {kind: self._series(kind, found) for kind, found in self._kinds.items()}

    def _series(self, kind: str, found: dict[int, dict[str, np.ndarray]]) -> Series:
        steps = sorted(found)
        fullest = max(found.values(), key=len, default={})  # so that what is frozen at first has its place
        names = tuple(dict.fromkeys((*fullest, *(name for step in steps for name in found[step]))))
        cells, rows = len(steps) * len(names), sum(len(rows) for rows in found.values())
        if cells > max(_MANY, _SPARSE * rows):
            raise UserError(f"{self._path} is damaged: its rows of kind '{kind}' name {len(names):,} tensors")
        place = {name: index for index, name in enumerate(names)}
        values = np.full((len(steps), len(names), len(_KEYS)), np.nan, np.float32)
        for when, step in enumerate(steps):
            values[when, [place[name] for name in found[step]]] = list(found[step].values())
        return Series(np.array(steps, int), names, {key: values[:, :, index] for index, key in enumerate(_KEYS)})


class StepsTable:
    """steps.csv: the curve of every step.

    Args:
        path: of the file; need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._tail = Tail(path)
        self._width = len(fields(Steps))
        self._curves = np.empty((0, self._width))
        self.damaged = 0
        """Lines that were left out."""

    def read(self) -> None:
        """Take in what was appended since the last call."""
        rows = []
        for line in self._tail.lines():
            cells = line.split(",")
            values = _numbers(cells) if len(cells) == self._width and _is_step(cells[0]) else None
            if values is not None:
                rows.append(values)
            else:
                self.damaged += cells[0] != "step"  # the header
        if rows:
            curves = np.concatenate([self._curves, np.array(rows)])
            last = np.unique(curves[::-1, 0], return_index=True)[1]
            self._curves = curves[::-1][last]

    def __len__(self) -> int:
        return len(self._curves)

    def steps(self) -> Steps:
        """Return the curves, in order of steps."""
        return Steps(*self._curves.T)


def _is_step(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS


def _rows(lines: Sequence[str]) -> Iterable[list[str]]:
    try:
        return list(csv.reader(lines))
    except csv.Error:  # a cell beyond what the module takes
        return [[] for _ in lines]


def _numbers(cells: Sequence[str]) -> list[float] | None:
    """Return the numbers of a row, NaN for an empty cell; None where a cell is something else."""
    try:
        return [float(cell or "nan") for cell in cells]
    except ValueError:
        return None
