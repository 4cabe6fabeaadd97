"""Observers of the training step. They see tensors and plain names only, never the trainer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import keras
import tensorflow as tf

from kerasnets.telemetry.replicas import Average


@dataclass(frozen=True, eq=False)
class Watched:
    """What there is to see in a network, in order of depth.

    Attributes:
        variables: the trainable variables; all gradients come in this order.
        activations: name of each watched layer -> its nonlinearity, such as "relu"; "linear" for logits.
        shapes: name of each watched layer -> shape of its output, the batch's size as None.
        heads: names of the outputs, lowest first.
    """

    variables: tuple[Any, ...]
    activations: dict[str, str]
    shapes: dict[str, tuple[int | None, ...]]
    heads: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Return the plain names of the variables, such as `conv1_conv/kernel`."""
        return tuple(str(variable.path) for variable in self.variables)


class Level(IntEnum):
    """How closely a step is looked at. Each level is a graph of its own, so an ordinary step pays for nothing more."""

    STEP = 0
    """What every step affords."""
    SAMPLE = 1
    """Statistics of all tensors."""
    HEADS = 2
    """And each head's own gradients."""


@dataclass(frozen=True, eq=False)
class Forward:
    """What the forward pass of a step gave. The two functions add passes to the graph.

    Where gradients are accumulated, `images` and `loss` are the whole batch's, all else is its first part's.

    Attributes:
        level: how closely this step is looked at.
        images: the batch as the network gets it, `[N, H, W, C]`.
        outputs: each head's output `[N, K]`.
        loss: the scalar that is minimised, not scaled for mixed precision.
        activations: output of each watched layer.
        learning_rate: of this step.
        head_gradients: name of a head -> the gradient that this head alone sends to each variable, weighted as in the
            loss; None for a variable that it does not reach.
        inference_loss: the loss of the same images and weights in inference mode.
    """

    level: Level
    images: tf.Tensor
    outputs: dict[str, tf.Tensor]
    loss: tf.Tensor
    activations: Mapping[str, tf.Tensor]
    learning_rate: tf.Tensor
    head_gradients: Callable[[str], Sequence[tf.Tensor | None]]
    inference_loss: Callable[[], tf.Tensor]


class Observer(tf.Module):
    """Looks at fixed points of each training step; subclasses override the points they want.

    `forward`, `gradients`, `clipped` and `applied` run inside the traced step: what they compute is part of the graph.
    Gradients are dense, in the order of `Watched.variables`; None where the loss does not depend on a variable.
    What it remembers from step to step is in variables (`state`), which `variables` finds, and in `get_state`.
    """

    def build(self, watched: Watched) -> None:
        """Learn what there is to see, and make variables."""

    def level(self, steps: range) -> Level:
        """Tell, on the host, how closely it wants to look at the steps that Keras runs next, at once."""
        return Level.STEP

    def forward(self, seen: Forward) -> None:
        """See the forward pass."""

    def gradients(self, raw: Sequence[tf.Tensor | None], norm: tf.Tensor) -> None:
        """See the gradients of the loss, unscaled and before clipping, and their global l2 norm."""

    def clipped(self, gradients: Sequence[tf.Tensor | None]) -> None:
        """See the gradients as the optimizer gets them."""

    def applied(self) -> None:
        """See the weights after the update."""

    def metrics(self) -> Sequence[keras.metrics.Metric]:
        """Return metrics whose results join each epoch's logs."""
        return ()

    def get_state(self) -> dict[str, Any]:
        """Return what the host remembers, for a run that is resumed."""
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `get_state` returned."""


class GradientNorm(Observer):
    """The epoch's mean global gradient norm, as metric `gradient_norm`."""

    def __init__(self) -> None:
        super().__init__()
        self._mean = Average(name="gradient_norm")

    def gradients(self, raw: Sequence[tf.Tensor | None], norm: tf.Tensor) -> None:
        fine = tf.math.is_finite(norm)  # float16's scaled gradients overflow now and then, and the step is skipped
        self._mean.update_state(tf.where(fine, norm, 0.0), sample_weight=tf.cast(fine, tf.float32))

    def metrics(self) -> Sequence[keras.metrics.Metric]:
        return (self._mean,)


def when(condition: tf.Tensor, look: Callable[[], None]) -> None:
    """Do `look` in the graph where `condition` holds.

    It becomes a function that is not inlined: TensorFlow visits every operation of a branch that is not taken, so on
    all other steps thousands of them would be visited for nothing.
    """

    def taken() -> tf.Tensor:
        look()
        return tf.constant(True)

    apart = tf.function(taken, autograph=False, experimental_attributes={"_noinline": True})
    tf.cond(condition, apart, lambda: tf.constant(False))
