"""A callback that counts optimizer steps: the horizontal axis of all that we write."""

from collections.abc import Mapping
from typing import Any

import keras


class Stepwise(keras.callbacks.Callback):
    """Counts optimizer steps, also where Keras runs several of them at once (`steps_per_execution`).

    Attributes:
        step: steps that the model has done, in this `fit` and before it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.step = 0
        self._batch = -1

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)
        self.step = max(self.step, getattr(model, "steps_done", 0))

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._batch = getattr(self.model, "first_batch", 0) - 1

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        before, self.step = self.step, self.step + batch - self._batch
        if self.model.steps_per_execution > 1:  # the last execution of an epoch may have been shorter than it says
            counted = getattr(self.model, "steps_done", None)  # a model of Keras' own has its optimizer's count alone
            self.step = int(self.model.optimizer.iterations) if counted is None else counted
        self._batch = batch
        self.on_steps_end(range(before + 1, self.step + 1))

    def on_steps_end(self, steps: range) -> None:
        """See that these steps are done."""
