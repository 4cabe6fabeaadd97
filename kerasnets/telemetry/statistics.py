"""Statistics of tensors, reduced on the device: moments, histograms, dead and saturated units.

All of it is made of operations that XLA compiles too.
"""

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from kerasnets.telemetry.record import STATISTICS

BUCKETS = 30
"""Of a histogram, equally wide from the least to the greatest finite entry: as many as TensorBoard draws."""
SAMPLE = 2**20
"""Entries of one activation that moments and histogram look at: those of the batch's first images."""
LEAST_IMAGES = 4

_SATURATED_BELOW = 0.05  # of the greatest slope
# |y| beyond which the slope of the nonlinearity is less than that; of the sigmoid, |y - 1/2|.
SATURATION = {
    "sigmoid": math.sqrt(1 - _SATURATED_BELOW) / 2,
    "tanh": math.sqrt(1 - _SATURATED_BELOW),
    "softsign": 1 - math.sqrt(_SATURATED_BELOW),
}
RECTIFIERS = frozenset({"relu", "relu6"})


@tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32), tf.TensorSpec([], tf.bool)])
def describe(x: tf.Tensor, histogram: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Describe each row of `x`, `[G, n]`.

    Non-finite entries are counted and otherwise left out. With `histogram` false the counts are 0.

    Returns:
        The moments `[G, 8]` in the order of `STATISTICS`, and the counts of histograms `[G, BUCKETS]`, both float32.
    """
    finite = tf.math.is_finite(x)
    size = tf.cast(tf.shape(x)[1], tf.float32)
    good = tf.math.count_nonzero(finite, 1, dtype=tf.float32)
    nan = tf.math.count_nonzero(tf.math.is_nan(x), 1, dtype=tf.float32)
    number, some = tf.maximum(good, 1.0), good > 0
    low = tf.where(some, tf.reduce_min(tf.where(finite, x, math.inf), 1), 0.0)
    high = tf.where(some, tf.reduce_max(tf.where(finite, x, -math.inf), 1), 0.0)
    scale = tf.maximum(tf.abs(low), tf.abs(high))  # squares of 1e30 overflow float32
    unit = tf.where(finite, tf.math.divide_no_nan(x, scale[:, None]), 0.0)
    mean = tf.reduce_sum(unit, 1) / number
    # The left-out entries are 0 in `unit`, so each of them adds mean squared to the sum.
    squares = tf.reduce_sum(tf.math.squared_difference(unit, mean[:, None]), 1) - (size - good) * tf.square(mean)
    variance = tf.maximum(squares, 0.0) / number
    l2 = tf.sqrt(number * (variance + tf.square(mean)))
    zeros = tf.math.count_nonzero(tf.equal(x, 0.0), 1, dtype=tf.float32) / number
    rows = [mean * scale, tf.sqrt(variance) * scale, l2 * scale, low, high, zeros, nan, size - good - nan]
    counts = tf.cond(histogram, lambda: _counts(x, finite, low, high), lambda: tf.zeros([tf.shape(x)[0], BUCKETS]))
    return tf.ensure_shape(tf.stack(rows, 1), [None, len(STATISTICS)]), tf.ensure_shape(counts, [None, BUCKETS])


def _counts(x: tf.Tensor, finite: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    width = (high / 2 - low / 2)[:, None]  # halved, since high - low may overflow
    share = tf.math.divide_no_nan(x / 2 - low[:, None] / 2, width)
    bucket = tf.cast(tf.minimum(tf.where(finite, share, 0.0) * BUCKETS, BUCKETS - 1.0), tf.int32)
    rows = tf.shape(x)[0]
    one_more = BUCKETS + 1  # a row's last bucket takes what is not finite
    place = tf.where(finite, bucket, BUCKETS) + one_more * tf.range(rows)[:, None]
    counts = tf.math.bincount(tf.reshape(place, [-1]), minlength=rows * one_more, maxlength=rows * one_more)
    return tf.cast(tf.reshape(counts, [rows, one_more])[:, :BUCKETS], tf.float32)


def describe_all(tensors: Sequence[tf.Tensor], histogram: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return moments `[L, 8]` and counts `[L, BUCKETS]` of L tensors of any shape and float type.

    Tensors of one shape are described together: a residual network has few different ones, and a graph of a tenth of
    the size is built and run the sooner.
    """
    groups: dict[tuple[int | None, ...], list[int]] = {}
    for place, tensor in enumerate(tensors):
        groups.setdefault(tuple(tensor.shape), []).append(place)
    found = []
    for places in groups.values():
        rows = [tf.reshape(tf.cast(tensors[place], tf.float32), [-1]) for place in places]
        found.append(describe(tf.stack(rows), histogram))
    order = np.argsort([place for places in groups.values() for place in places])
    moments, counts = (tf.concat(parts, 0) for parts in zip(*found, strict=True))
    return tf.gather(moments, order), tf.gather(counts, order)


def first_images(x: tf.Tensor) -> tf.Tensor:
    """Return as many of a batch's first images as make up about `SAMPLE` entries, 4 at least."""
    entries = max(1, math.prod(side or 1 for side in x.shape[1:]))
    return x[: max(LEAST_IMAGES, SAMPLE // entries)]


def silent_channels(x: tf.Tensor) -> tf.Tensor:
    """Return float32 `[C]`: 1 for each last-axis channel of a rectifier's output that is zero over the whole batch."""
    highest = tf.reduce_max(x, axis=list(range(len(x.shape) - 1)))
    return tf.cast(highest <= 0, tf.float32)


def saturated_share(x: tf.Tensor, function: str) -> tf.Tensor:
    """Return the share of entries where the slope of `function` is below 5 % of its greatest."""
    centre = 0.5 if function == "sigmoid" else 0.0
    distance = tf.abs(tf.cast(x, tf.float32) - centre)
    return tf.reduce_mean(tf.cast(distance > SATURATION[function], tf.float32))
