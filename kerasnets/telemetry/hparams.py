"""TensorBoard's HPARAMS page: `tensorboard --logdir runs` has a table of all runs, their settings and their scores."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

DIRECTORY = "hparams"
"""A directory of its own, since every scalar beside the settings becomes a column of the table."""
COLUMNS = {"val_accuracy": "validation/accuracy", "val_loss": "validation/loss"}

Value = bool | float | str


def leaves(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Value]:
    """Return every setting of a nested mapping by its dotted key; None becomes "none", a list its text."""
    found: dict[str, Value] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            found |= leaves(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = _leaf(value)
    return found


def _leaf(value: Any) -> Value:
    if value is None or isinstance(value, Mapping):
        return "none"
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return float(value) if math.isfinite(value) else str(value)  # JSON, which the page is sent, has no infinity
    if isinstance(value, list | tuple):
        return ", ".join(str(_plain(item)) for item in value) or "none"
    return str(value)


def _plain(item: Any) -> Any:
    return int(item) if isinstance(item, float) and item.is_integer() else item


class HParams(keras.callbacks.Callback):
    """Writes a run's settings, its latest and best validation scores of the main head, and how it ended.

    Args:
        directory: of the event files; gets `hparams/`.
        name: of the run, by which the table lists it.
        settings: of the run, nested.
        step: returns the optimizer steps so far.
    """

    def __init__(self, directory: Path, name: str, settings: Mapping[str, Any], step: Callable[[], int]) -> None:
        super().__init__()
        self._directory = directory / DIRECTORY
        self._name = name
        self._settings = leaves(settings)
        self._step = step
        self._best: dict[str, float] = {}
        self._writer: Any = None

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        from tensorboard.plugins.hparams import summary_v2

        self._writer = tf.summary.create_file_writer(str(self._directory))
        self._write(summary_v2.hparams_pb(self._settings, trial_id=self._name))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        with self._writer.as_default(step=self._step()):
            for key, tag in COLUMNS.items():
                if key in (logs or {}):
                    self._score(tag, float((logs or {})[key]), max if key == "val_accuracy" else min)
        self._writer.flush()

    def _score(self, tag: str, value: float, better: Any) -> None:
        tf.summary.scalar(tag, value)
        if math.isfinite(value):
            self._best[tag] = better(self._best.get(tag, value), value)
        if tag in self._best:
            tf.summary.scalar(f"{tag}_best", self._best[tag])

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        self.close(finished=True)

    def close(self, *, finished: bool) -> None:
        """Write how the run ended; a run that is stopped before `on_train_end` needs it. Safe to call twice."""
        from tensorboard.plugins.hparams import api_pb2, summary

        if self._writer is not None:
            self._write(summary.session_end_pb(api_pb2.STATUS_SUCCESS if finished else api_pb2.STATUS_FAILURE))
            self._writer.close()
            self._writer = None

    def _write(self, message: Any) -> None:
        with self._writer.as_default():
            tf.summary.experimental.write_raw_pb(message.SerializeToString(), step=0)
        self._writer.flush()
