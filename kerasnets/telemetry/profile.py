"""A profiler trace of a few training steps. Reading it takes TensorBoard's plugin `tensorboard-plugin-profile`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from kerasnets.telemetry.stepwise import Stepwise


class Profile(Stepwise):
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
        self._running = False

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        following = self.step + self.model.steps_per_execution  # the last step of this execution
        if not self._running and self.step < self._last and self._first <= following:
            tf.profiler.experimental.start(str(self._directory))
            self._running = True

    def on_steps_end(self, steps: range) -> None:
        if self.step >= self._last:
            self.close()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        self.close()

    def close(self) -> None:
        """End a trace that is under way and write it; safe to call twice."""
        if self._running:
            self._running = False
            tf.profiler.experimental.stop()
