"""The callback that writes checkpoints, and the list of callbacks that takes a run up from one."""

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import keras
import numpy as np

from kerasnets.config.fields import INTERVAL
from kerasnets.errors import Interrupted
from kerasnets.run import Run
from kerasnets.training.checkpoint.state import State
from kerasnets.training.checkpoint.store import Saved, Store
from kerasnets.training.stopping import StopRequest


@dataclass(frozen=True)
class Interval:
    """Optimizer steps or seconds between two checkpoints."""

    steps: float
    seconds: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what `training.checkpoint_every` says."""
        number, unit = re.fullmatch(INTERVAL, text).groups()  # type: ignore[union-attr]
        return cls(math.inf, 60 * int(number)) if unit.startswith("min") else cls(int(number), math.inf)

    def passed(self, steps: int, seconds: float) -> bool:
        """Tell whether it is time."""
        return steps >= self.steps or seconds >= self.seconds


class Checkpointing(keras.callbacks.Callback):
    """Writes a checkpoint every so often, at the end of each epoch, and when somebody asks the run to stop.

    It goes after every callback that remembers something.

    Args:
        run: gets the checkpoints.
        state: what they hold.
        every: steps or minutes between two checkpoints within an epoch.
        stop: is looked at after each step.
        flush: has every file of the run written as far as it goes.
        at_start: write one before the first step, since what training begins with cannot be made again.
    """

    def __init__(
        self,
        run: Run,
        state: State,
        every: Interval,
        stop: StopRequest,
        flush: Callable[[], None],
        at_start: bool = False,
    ) -> None:
        super().__init__()
        self._run = run
        self._store = Store(run.checkpoints)
        self._state = state
        self._every = every
        self._stop = stop
        self._flush = flush
        self._at_start = at_start
        self._epoch = 0
        self._last_step = 0
        self._last_time = time.monotonic()
        self._metrics: dict[str, np.ndarray] = {}

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self._last_step, self._last_time = self.model.steps_done, time.monotonic()
        if self._at_start:
            self._write(0, 0)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self._stop.signal is not None or self._every.passed(
            self.model.steps_done - self._last_step, time.monotonic() - self._last_time
        ):
            self._write(self._epoch, batch + 1)

    def on_test_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self._metrics = self._state.metrics()  # Keras resets them now

    def on_test_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self._stop.signal is not None:
            self._write(self._epoch, self.params["steps"], self._metrics)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._write(epoch + 1, 0)

    def _write(self, epoch: int, batch: int, metrics: Mapping[str, np.ndarray] | None = None) -> None:
        self._flush()
        arrays, callbacks = self._state.take()
        step = self.model.steps_done
        files = self._run.sizes() if step else {}  # from the first step on they are written anew
        values = {"callbacks": callbacks, "files": files, "stopped": bool(self.model.stop_training)}
        values["data"] = self._state.data
        saved = Saved(epoch, batch, step, {**arrays, **(metrics or {})}, values)
        self._store.write(saved, self._run.path / "model.keras")
        self._last_step, self._last_time = step, time.monotonic()
        if self._stop.signal is not None:
            raise Interrupted(f"stopped after step {step}", self._stop.code)


class Callbacks(keras.callbacks.CallbackList):
    """Keras' list of callbacks, which can begin in the midst of a run.

    A run that is resumed begins as any other does; then, within an epoch, what that epoch's begin has changed is put
    right, and the batches that were done before are passed over.

    Args:
        callbacks: in the order in which they are called.
        state: where a checkpoint's content goes.
        saved: the checkpoint, or None for a new run.
    """

    def __init__(
        self, callbacks: Sequence[keras.callbacks.Callback], state: State, saved: Saved | None, **settings: Any
    ) -> None:
        self._state = state
        self._saved = saved
        self._passed = 0
        super().__init__(list(callbacks), **settings)

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        super().on_train_begin(logs)
        self._put()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._passed = self._saved.batch if self._saved is not None else 0
        self.model.pass_over(self._passed)
        super().on_epoch_begin(epoch, logs)
        if self._passed:
            self._put()
        self._saved = None

    def _put(self) -> None:
        if self._saved is not None:
            self._state.put_variables(self._saved)
            self._state.put_others(self._saved)

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        if batch >= self._passed:
            super().on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        if batch >= self._passed:
            super().on_train_batch_end(batch, logs)
