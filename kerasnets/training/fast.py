"""Plain layers -> fast layers and back. What is saved holds plain Keras layers only.

Keras 3 computes batch normalisation in training as a chain of elementary operations; TensorFlow's fused kernel gives
the same numbers in one. Mixed precision is set here too, so that models are built and saved in float32 alone.
"""

from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from kerasnets.telemetry import replicas

_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


class FreezableBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation that while it is frozen uses its moving statistics in training too, and leaves them alone.

    Attributes:
        frozen: read where a graph is traced. `trainable=False` would do the same, but also take its variables away from
            the network's trainable ones, which optimizer, observers and checkpoints know by their places.
    """

    frozen = False

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        return super().call(inputs, training=bool(training) and not self.frozen, mask=mask)


class FusedBatchNormalization(FreezableBatchNormalization):
    """Batch normalisation (Ioffe, Szegedy 2015) of `[N, H, W, C]` by TensorFlow's fused kernel."""

    def __init__(self, **kwargs: Any) -> None:
        # No casts: the kernel takes bfloat16 and float16 images with float32 scale, offset and statistics.
        super().__init__(autocast=False, **kwargs)

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        learns = bool(training) and self.trainable and not self.frozen
        channels = inputs.shape[-1]
        scale = self.gamma.value if self.scale else tf.ones(channels)
        offset = self.beta.value if self.center else tf.zeros(channels)
        output, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=scale,
            offset=offset,
            mean=tf.zeros(0) if learns else self.moving_mean.value,
            variance=tf.zeros(0) if learns else self.moving_variance.value,
            epsilon=self.epsilon,
            is_training=learns,
        )
        if learns:
            count = tf.cast(tf.size(inputs) // channels, tf.float32)
            biased = variance * ((count - 1) / count)  # the kernel returns the unbiased one, Keras keeps the biased
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, biased)):
                moving.assign(moving.value * self.momentum + batch * (1 - self.momentum))
        return output


class SynchronizedBatchNormalization(FusedBatchNormalization):
    """Batch normalisation by the statistics of the whole batch, whose parts are on several replicas.

    In training it gives up the fused kernel, which knows its own part alone. One sum over the replicas in the forward
    pass and one in the backward pass carry all that it needs. Squares are taken of the distance to the moving mean, the
    same on all replicas: sums of squares about a far point lose what variance there is (Chan et al. 1983).
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        if not (training and self.trainable and not self.frozen):
            return super().call(inputs, training=False)
        images = tf.cast(inputs, tf.float32)
        centre = tf.stop_gradient(self.moving_mean.value)
        apart = images - centre
        axes = list(range(len(inputs.shape) - 1))
        own = [tf.reduce_sum(apart, axes), tf.reduce_sum(tf.square(apart), axes)]
        count = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)
        counts = replicas.counting()
        part = tf.concat([*own, [count]], 0)
        (whole,) = replicas.summed([part if counts is None else part * counts])
        shift, square = tf.split(whole[:-1] / tf.stop_gradient(whole[-1]), 2)
        mean, variance = centre + shift, tf.maximum(square - tf.square(shift), 0.0)
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving.value * self.momentum + tf.stop_gradient(batch) * (1 - self.momentum))
        scale = self.gamma.value if self.scale else None
        offset = self.beta.value if self.center else None
        output = tf.nn.batch_normalization(apart, shift, variance, offset, scale, self.epsilon)
        return tf.cast(output, inputs.dtype)


@dataclass(frozen=True)
class Fast:
    """A fast network, and the pairs (plain variable, fast variable) that tie it to the plain one."""

    net: keras.Model
    plain: keras.Model
    pairs: tuple[tuple[Any, Any], ...]

    def to_plain(self) -> keras.Model:
        """Copy the weights into the plain network and return that."""
        for plain, fast in self.pairs:
            plain.assign(fast.value)
        return self.plain


def make_fast(plain: keras.Model, precision: str = "float32", synchronized: bool = False) -> Fast:
    """Return a fast twin of `plain` with the same weights and the same variable names.

    Args:
        plain: functional model in float32, of plain Keras layers.
        precision: "float32", "bfloat16" or "float16": what layers compute in. Variables and outputs stay float32.
        synchronized: batch normalisation takes the statistics of all replicas' parts of a batch.
    """
    policy = _POLICIES[precision]
    outputs = {tensor._keras_history.operation.name for tensor in plain.outputs}

    def swap(layer: keras.layers.Layer) -> keras.layers.Layer:
        settings = layer.get_config()
        if layer.name not in outputs and not isinstance(layer, keras.layers.InputLayer):
            settings["dtype"] = policy
        if "kernel_initializer" in settings:
            settings["kernel_initializer"] = "zeros"  # the plain network's weights follow: none are drawn twice
        kind = type(layer)
        if kind is keras.layers.BatchNormalization and len(layer.output.shape) == 4:
            kind = SynchronizedBatchNormalization if synchronized else FusedBatchNormalization
        elif kind is keras.layers.BatchNormalization:
            kind = FreezableBatchNormalization
            settings["synchronized"] = synchronized
        return kind.from_config(settings)

    net = keras.models.clone_model(plain, clone_function=swap)
    by_path = {variable.path: variable for variable in net.weights}  # without the state of random seeds
    pairs = tuple((variable, by_path[variable.path]) for variable in plain.weights)
    for source, target in pairs:
        target.assign(source.value)
    return Fast(net, plain, pairs)
