"""Statistics of tensors, reduced on the device: moments, histograms, dead and saturated units.

All of it is made of operations that XLA compiles too.
"""

import math
from collections.abc import Sequence

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


@tf.function(input_signature=[tf.TensorSpec([None], tf.float32), tf.TensorSpec([], tf.bool)])
def describe(x: tf.Tensor, histogram: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the moments `[8]` in the order of `STATISTICS`, and the counts of a histogram `[BUCKETS]`, both float32.

    Non-finite entries are counted and otherwise left out. With `histogram` false the counts are 0.
    """
    finite = tf.math.is_finite(x)
    size = tf.cast(tf.size(x), tf.float32)
    bad = size - tf.math.count_nonzero(finite, dtype=tf.float32)
    nan = tf.math.count_nonzero(tf.math.is_nan(x), dtype=tf.float32)
    number = tf.maximum(size - bad, 1.0)
    known = tf.where(finite, x, 0.0)
    low = tf.reduce_min(tf.where(finite, x, math.inf))
    high = tf.reduce_max(tf.where(finite, x, -math.inf))
    low, high = (tf.where(size > bad, bound, 0.0) for bound in (low, high))
    scale = tf.maximum(tf.abs(low), tf.abs(high))  # squares of 1e30 overflow float32
    unit = tf.math.divide_no_nan(known, scale)
    mean = tf.reduce_sum(unit) / number
    variance = tf.reduce_sum(tf.where(finite, tf.square(unit - mean), 0.0)) / number
    l2 = tf.sqrt(number * (variance + tf.square(mean)))
    zeros = (tf.math.count_nonzero(tf.equal(known, 0.0), dtype=tf.float32) - bad) / number
    moments = tf.stack([mean * scale, tf.sqrt(variance) * scale, l2 * scale, low, high, zeros, nan, bad - nan])
    counts = tf.cond(histogram, lambda: _counts(x, finite, low, high), lambda: tf.zeros(BUCKETS))
    return tf.ensure_shape(moments, [len(STATISTICS)]), counts


def _counts(x: tf.Tensor, finite: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    # Halved first, since high - low may overflow.
    share = tf.math.divide_no_nan(x / 2 - low / 2, high / 2 - low / 2)
    bucket = tf.cast(tf.minimum(share * BUCKETS, BUCKETS - 1.0), tf.int32)
    bucket = tf.where(finite, bucket, BUCKETS)
    counts = tf.math.bincount(bucket, minlength=BUCKETS + 1, maxlength=BUCKETS + 1, dtype=tf.float32)
    return tf.ensure_shape(counts[:BUCKETS], [BUCKETS])


def describe_all(tensors: Sequence[tf.Tensor], histogram: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return moments `[L, 8]` and counts `[L, BUCKETS]` of L tensors of any shape and float type."""
    found = [describe(tf.cast(tf.reshape(x, [-1]), tf.float32), histogram) for x in tensors]
    return tf.stack([moments for moments, _ in found]), tf.stack([counts for _, counts in found])


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
