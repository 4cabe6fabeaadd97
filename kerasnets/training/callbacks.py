"""What happens between steps: timing, history.csv, the best weights."""

import csv
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras

TIMING = ("images_per_second", "seconds")


class Timing(keras.callbacks.Callback):
    """Adds learning_rate, images_per_second and seconds (training alone, without validation) to an epoch's logs."""

    def __init__(self, images: int) -> None:
        super().__init__()
        self._images = images
        self._start = self._end = 0.0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._start = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._end = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is not None:
            seconds = self._end - self._start
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)
            logs["images_per_second"] = self._images / seconds
            logs["seconds"] = seconds


_LEADING = ("epoch", "loss", "accuracy", "top5")


def _place(column: str) -> tuple[int, int, str]:
    """Order history.csv: the main values, those of each head, of validation, the learning rate, timing."""
    if column in _LEADING:
        return 0, _LEADING.index(column), column
    groups = (column.startswith("val_"), column == "learning_rate", column in TIMING)
    group = 2 + groups.index(True) if any(groups) else 1
    value = column.removeprefix("val_")
    return group, _LEADING.index(value) if value in _LEADING else 0, column


class History(keras.callbacks.Callback):
    """Appends a row per epoch to history.csv; timing columns last, since they alone differ between equal runs."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._columns: list[str] = []

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        row = {"epoch": epoch + 1, **(logs or {})}
        if not self._columns:
            self._columns = sorted(row, key=_place)
            with self._path.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerow(self._columns)
        with self._path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow([row[key] for key in self._columns])


class BestWeights(keras.callbacks.Callback):
    """Saves the weights whenever the validation result of the main head is the best so far.

    Args:
        save: writes the current weights where the best ones belong.
        monitor: "accuracy" (ties: the lower loss) or "loss".
    """

    def __init__(self, save: Callable[[], None], monitor: str) -> None:
        super().__init__()
        self._save = save
        self._monitor = monitor
        self._best: tuple[float, ...] | None = None
        self.epoch = 0
        """The epoch (from 1) whose weights are saved; 0: none yet."""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        logs = logs or {}
        loss = -logs["val_loss"]
        score = (logs["val_accuracy"], loss) if self._monitor == "accuracy" else (loss,)
        if self._best is None or score > self._best:
            self._best, self.epoch = score, epoch + 1
            self._save()
