"""The arms that train by Keras' `model.fit`: ours, stock Keras, keras.applications."""

import time
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasnets import models
from kerasnets.benchmark import ours
from kerasnets.benchmark.train.arms import APPLICATIONS, FULL, LEARNING_RATE, MOMENTUM, OURS, Task
from kerasnets.models import complexity, specs


class Fit:
    """A compiled model on one batch.

    Attributes:
        precision: what its layers compute in.
        macs: multiply-accumulates of one image's way forward through `plain`, all heads included.
    """

    def __init__(
        self, model: keras.Model, plain: keras.Model, images: np.ndarray, targets: Any, precision: str
    ) -> None:
        self.precision = precision
        self.macs: int | None = complexity.count(plain).macs
        self._model = model
        self._batches = tf.data.Dataset.from_tensors((images, targets)).repeat()

    @property
    def parameters(self) -> int:
        """How many are trained."""
        return sum(int(np.prod(variable.shape)) for variable in self._model.trainable_variables)

    def steps(self, count: int) -> tuple[float, float]:
        """Do a `fit` of so many steps; return the seconds from the first one's begin to the last one's end, and a loss.

        What `fit` does before the first batch is not counted: a real epoch has thousands of steps.
        """
        clock = _Clock(count)
        self._model.fit(self._batches, steps_per_epoch=count, verbose=0, shuffle=False, callbacks=[clock])
        return clock.seconds, clock.loss

    def device_peak(self) -> int | None:
        """Return the most memory that the GPU has held, in bytes; None without one."""
        gpus = tf.config.list_logical_devices("GPU")
        return int(tf.config.experimental.get_memory_info(gpus[0].name)["peak"]) if gpus else None


class _Clock(keras.callbacks.Callback):
    """Measures steps as the user of `fit` sees them; a loss that is a number waits for the device."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count, self._began = count, 0.0
        self.seconds, self.loss = 0.0, 0.0

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        if batch == 0:
            self._began = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        if batch + 1 == self._count:
            self.loss = float((logs or {})["loss"])
            self.seconds = time.perf_counter() - self._began


def build(task: Task, images: np.ndarray, labels: np.ndarray) -> Fit:
    """Return the arm: images float32 `[N, H, W, C]`, labels int `[N]`."""
    if task.arm.kind == OURS:
        return _ours(task, images, labels)
    row = specs.row(task.network.model)
    if task.arm.precision != FULL:
        keras.mixed_precision.set_global_policy(f"mixed_{task.arm.precision}")
    if task.arm.kind == APPLICATIONS:
        model = keras.applications.ResNet50(
            weights=None, input_shape=row.input_shape, classes=row.classes, classifier_activation=None
        )
    else:
        model = models.build(row.name)
    heads = specs.heads(row.name)
    one = len(heads) == 1
    model.compile(
        optimizer=keras.optimizers.SGD(LEARNING_RATE, momentum=MOMENTUM),
        loss=_loss() if one else {head.name: _loss() for head in heads},
        loss_weights=None if one else {head.name: head.loss_weight for head in heads},
        metrics=["accuracy"] if one else {head.name: ["accuracy"] for head in heads},
        jit_compile=False,
    )
    return Fit(model, model, images, labels if one else {head.name: labels for head in heads}, task.arm.precision)


def _loss() -> keras.losses.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _ours(task: Task, images: np.ndarray, labels: np.ndarray) -> Fit:
    """Return what `kerasnets train` makes of a config: threads, kernels, precision, network, trainer, optimizer."""
    training = {
        "batch_size": task.network.batch,
        "learning_rate": LEARNING_RATE,
        "momentum": MOMENTUM,
        "precision": task.arm.precision,
    }
    config = ours.settled(task.network.model, specs.row(task.network.model).input_shape, training)
    job, targets = ours.job(config, labels)
    return Fit(job.trainer, job.fast.plain, images, targets, config.training.precision)
