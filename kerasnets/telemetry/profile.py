"""A profiler trace of a few training steps. Reading it takes TensorBoard's plugin `tensorboard-plugin-profile`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf


class Profile(keras.callbacks.Callback):
    """Traces the steps `first` to `last`; with steps_per_execution, the executions that hold them.

    Args:
        directory: gets `plugins/profile/<time>/`; the one that the training writer writes to.
        first: optimizer step, from 1.
        last: optimizer step, itself included.
    """

    def __init__(self, directory: Path, first: int, last: int) -> None:
        super().__init__()
        self._directory = directory
        self._first = first
        self._last = last
        self._before = 0  # steps of the epochs that are over
        self._done = 0  # of the current one
        self._running = False

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        next_step = self._before + batch + 1
        if not self._running and next_step <= self._last and self._first < next_step + self.model.steps_per_execution:
            tf.profiler.experimental.start(str(self._directory))
            self._running = True

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._done = batch + 1
        if self._before + self._done >= self._last:
            self.close()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._before += self._done

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        self.close()

    def close(self) -> None:
        """End a trace that is under way and write it; safe to call twice."""
        if self._running:
            self._running = False
            tf.profiler.experimental.stop()
