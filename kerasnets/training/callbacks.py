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
        self._began = time.perf_counter()

    @property
    def total(self) -> float:
        """Seconds that the run has taken so far, over all processes."""
        return time.perf_counter() - self._began

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._start = time.perf_counter()

    def get_state(self) -> dict[str, float]:
        return {"elapsed": self._end - self._start, "total": self.total}

    def set_state(self, state: Mapping[str, float]) -> None:
        self._end = time.perf_counter()
        self._start = self._end - state["elapsed"]
        self._began = self._end - state["total"]

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
        self.epochs = 0
        """Rows so far."""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        row = {"epoch": epoch + 1, **(logs or {})}
        if not self._columns:
            self._columns = sorted(row, key=_place)
            with self._path.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerow(self._columns)
        with self._path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow([row[key] for key in self._columns])
        self.epochs = epoch + 1

    def get_state(self) -> dict[str, Any]:
        return {"columns": self._columns, "epochs": self.epochs}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self._columns, self.epochs = list(state["columns"]), state["epochs"]


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

    def get_state(self) -> dict[str, Any]:
        return {"best": self._best, "epoch": self.epoch}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self._best = None if state["best"] is None else tuple(state["best"])
        self.epoch = state["epoch"]


class EarlyStopping(keras.callbacks.EarlyStopping):
    """Keras' own, which can go on where another process was."""

    _KEPT = ("wait", "stopped_epoch", "best_epoch")

    def get_state(self) -> dict[str, Any]:
        best = None if self.best is None else float(self.best)
        return {"best": best, **{name: int(getattr(self, name)) for name in self._KEPT}}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self.best = state["best"]
        for name in self._KEPT:
            setattr(self, name, state[name])


class AveragedWeights(keras.callbacks.SwapEMAWeights):
    """Validates and saves the moving average of the weights; training goes on from the weights themselves.

    Unlike Keras' own it can go on where another process was: the weights themselves are kept in the optimizer also at
    the last epoch's end, until `KeepAverage`, which goes after what saves them.
    """

    def __init__(self) -> None:
        super().__init__(swap_on_epoch=True)
        self._ema_weights_in_model: bool = False

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        if not self._ema_weights_in_model:
            self._swap_variables()
            self._ema_weights_in_model = True

    def keep(self) -> None:
        """Forget the weights themselves: when `fit` ends, Keras puts into the model what is in the average's place."""
        self._finalize_ema_values()

    def get_state(self) -> dict[str, Any]:
        return {"swapped": self._ema_weights_in_model}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self._ema_weights_in_model = state["swapped"]


class KeepAverage(keras.callbacks.Callback):
    """Has the averaged weights stay in the model when training ends, also before its last epoch."""

    def __init__(self, averaged: AveragedWeights) -> None:
        super().__init__()
        self._averaged = averaged

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self.model.stop_training or epoch == self.params["epochs"] - 1:
            self._averaged.keep()
