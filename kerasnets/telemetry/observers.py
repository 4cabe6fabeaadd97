"""Observers of the training step. They see tensors and plain names only, never the trainer."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


class Observer:
    """Looks at fixed points of each training step; subclasses override the points they want.

    Every method but `build` and `metrics` runs inside the traced step, so what it computes becomes part of the graph.
    """

    def build(self, names: Sequence[str], variables: Sequence[Any]) -> None:
        """Learn the plain names of the trainable variables, in the order of all gradients."""

    def forward(self, images: tf.Tensor, targets: tf.Tensor, logits: dict[str, tf.Tensor], loss: tf.Tensor) -> None:
        """See the batch `[N, H, W, C]`, its targets `[N, K]`, logits by head `[N, K]`, and the scalar total loss."""

    def gradients(self, raw: Sequence[tf.Tensor]) -> None:
        """See the gradients of the loss, unscaled and before clipping."""

    def clipped(self, gradients: Sequence[tf.Tensor]) -> None:
        """See the gradients as the optimizer gets them."""

    def applied(self) -> None:
        """See the weights after the update."""

    def metrics(self) -> Sequence[keras.metrics.Metric]:
        """Return metrics whose results join each epoch's logs."""
        return ()


class StepScalars(Observer):
    """Keeps the latest step's loss and global gradient norm, and the epoch's mean norm as metric `gradient_norm`."""

    def __init__(self) -> None:
        self.loss = tf.Variable(0.0, trainable=False, name="step_loss")
        self.norm = tf.Variable(0.0, trainable=False, name="step_gradient_norm")
        self._mean_norm = keras.metrics.Mean(name="gradient_norm")

    def forward(self, images: tf.Tensor, targets: tf.Tensor, logits: dict[str, tf.Tensor], loss: tf.Tensor) -> None:
        self.loss.assign(loss)

    def gradients(self, raw: Sequence[tf.Tensor]) -> None:
        norm = tf.linalg.global_norm(list(raw))
        self.norm.assign(norm)
        self._mean_norm.update_state(norm)

    def metrics(self) -> Sequence[keras.metrics.Metric]:
        return (self._mean_norm,)
