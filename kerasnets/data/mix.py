"""MixUp and CutMix: two images and their labels made one.

The partners are the first and second example of a batch, the third and fourth, and so on; the last of an odd number is
left as it is. How much, and where, depends on the example alone, so a batch can be made in parts that part no pair.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from kerasnets.data.geometry import boxes

Tensor = Any

DRAWS = 4  # numbers that one example takes: method, share, row, column
_QUANTILES = 4096


def beta_quantiles(alpha: float) -> np.ndarray:
    """Return equally likely values of a Beta(alpha, alpha) distribution, float32 `[4096]`, ascending."""
    from scipy.special import betaincinv

    return betaincinv(alpha, alpha, (np.arange(_QUANTILES) + 0.5) / _QUANTILES).astype(np.float32)


def mixed(images: Tensor, labels: Tensor, numbers: Tensor, mixup: float, cutmix: float) -> tuple[Tensor, Tensor]:
    """Return images and soft labels; where both methods are on, each example takes one of them at random.

    Args:
        images: Model input `[N, h, w, C]`.
        labels: One-hot, `[N, K]`.
        numbers: Uniform, `[N, 4]`.
        mixup: Alpha of Zhang et al. 2017; 0 is off.
        cutmix: Alpha of Yun et al. 2019; 0 is off.
    """
    count = tf.shape(images)[0]
    partners = tf.minimum(tf.bitwise.bitwise_xor(tf.range(count), 1), count - 1)
    partner = tf.gather(images, partners)
    masks = []
    if mixup:
        masks.append(tf.ones_like(images[..., :1]) * _share(numbers[:, 1], mixup))
    if cutmix:
        masks.append(_cut(images, numbers, _share(numbers[:, 1], cutmix)))
    first = tf.reshape(numbers[:, 0] < 0.5, (-1, 1, 1, 1))
    keep = tf.where(first, masks[0], masks[-1])
    share = tf.reduce_mean(keep, axis=(1, 2, 3))[:, None]
    return keep * images + (1 - keep) * partner, share * labels + (1 - share) * tf.gather(labels, partners)


def _share(numbers: Tensor, alpha: float) -> Tensor:
    table = tf.constant(beta_quantiles(alpha))
    return tf.reshape(tf.gather(table, tf.cast(numbers * _QUANTILES, tf.int32)), (-1, 1, 1, 1))


def _cut(images: Tensor, numbers: Tensor, share: Tensor) -> Tensor:
    """Return 0 inside a random box that covers `1 - share` of the image before it is cut at the borders, 1 outside."""
    height, width = images.shape[1], images.shape[2]
    side = tf.sqrt(1 - share[:, 0, 0])
    box = boxes(numbers[:, 2:], side * tf.constant([[float(height), float(width)]]), (height, width))
    return tf.cast(tf.logical_not(box), tf.float32)
