"""Normalisation as TensorFlow computes it fast: what the plain layers of Keras are exchanged for while training."""

import functools
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasnets.telemetry import replicas

_LRN_WINDOW, _LRN_ALPHA = 5, 1e-4  # Krizhevsky et al. 2012, sec. 3.3, with GoogLeNet's constants


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


class LocalResponseNormalization(keras.layers.Layer):
    """x / (1 + alpha * mean of the squares of 5 neighbouring channels) ** 0.75, alpha 1e-4, of `[N, H, W, C]`.

    Krizhevsky et al. 2012, section 3.3. The mean over the window is a product with a banded matrix `[C, C]`, and so is
    its gradient; the gradient of a pooling, which the plain layer's operations have there, is many times as slow.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        return _locally_normalized(inputs)  # the rest is what a model, whose place this takes, is called with


def is_local_response_normalization(layer: keras.layers.Layer) -> bool:
    """Tell whether a layer without weights, such as a small model, gives the numbers of that normalisation."""
    if not isinstance(layer, keras.Model) or layer.weights or len(layer.inputs) != 1 or len(layer.outputs) != 1:
        return False
    shape = tuple(layer.inputs[0].shape[1:])
    if tuple(layer.outputs[0].shape[1:]) != shape or len(shape) != 3 or None in shape:
        return False
    # So large that the squares count as much as the 1 that they are added to.
    probe = tf.constant(np.random.default_rng(0).normal(0, 100, (1, *shape)), tf.float32)
    return bool(np.allclose(layer(probe), _locally_normalized(probe), rtol=1e-4, atol=1e-4))


@tf.custom_gradient
def _locally_normalized(images: tf.Tensor) -> tuple[tf.Tensor, Any]:
    # bfloat16 has the range of squares, float16 has not.
    inner = tf.bfloat16 if images.dtype == tf.bfloat16 else tf.float32
    window = tf.constant(_band(images.shape[-1]), inner)

    def summed(values: tf.Tensor) -> tf.Tensor:
        """Return the sums over windows along the channels; the matrix is symmetric, so its gradient is the same."""
        return tf.reshape(tf.matmul(tf.reshape(values, [-1, values.shape[-1]]), window), tf.shape(values))

    x = tf.cast(images, inner)
    share = _LRN_ALPHA / _LRN_WINDOW
    root = tf.math.rsqrt(1 + share * tf.cast(summed(tf.square(x)), tf.float32))
    square, scale = tf.cast(tf.square(root), inner), tf.cast(root * tf.sqrt(root), inner)

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        scaled = tf.cast(upstream, inner) * scale
        others = summed(scaled * x * square)
        return tf.cast(scaled - (1.5 * share) * x * others, images.dtype)

    return tf.cast(x * scale, images.dtype), gradient


@functools.cache
def _band(channels: int) -> np.ndarray:
    """Return `[C, C]` with 1 where two channels are in one window."""
    number = np.arange(channels)
    return (np.abs(number[:, None] - number) <= _LRN_WINDOW // 2).astype(np.float32)
