"""Statistics of tensors, reduced on the device: moments, histograms, dead and saturated units.

All of it is made of operations that XLA compiles too.
"""

import math
from collections.abc import Sequence

import tensorflow as tf

from kerasnets.telemetry.record import STATISTICS

BUCKETS = 30
"""Of a histogram, equally wide from the least to the greatest finite entry: as many as TensorBoard draws."""
SAMPLE = 2**18
"""Entries of one activation that moments and histogram look at: those of the batch's first images."""
LEAST_IMAGES = 4
WIDTH = 256
"""Entries of a row: what tensors are cut into to be reduced together."""

_SATURATED_BELOW = 0.05  # of the greatest slope
# |y| beyond which the slope of the nonlinearity is less than that; of the sigmoid, |y - 1/2|.
SATURATION = {
    "sigmoid": math.sqrt(1 - _SATURATED_BELOW) / 2,
    "tanh": math.sqrt(1 - _SATURATED_BELOW),
    "softsign": 1 - math.sqrt(_SATURATED_BELOW),
}
RECTIFIERS = frozenset({"relu", "relu6"})


def describe(tensors: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Describe L tensors of any shape and float type.

    Non-finite entries are counted and otherwise left out. All tensors are cut into rows of one width and reduced
    together: a graph that describes each by itself has twenty times as many operations, and is as much slower to build.

    Returns:
        The moments `[L, 8]` in the order of `STATISTICS`, and the counts of histograms `[L, BUCKETS]`, both float32.
    """
    x, of, padding = _rows(tensors)

    def summed(rows: tf.Tensor) -> tf.Tensor:
        return tf.math.unsorted_segment_sum(rows, of, len(tensors))

    finite = tf.math.is_finite(x)
    good = summed(tf.math.count_nonzero(finite, 1, dtype=tf.float32))
    nan = summed(tf.math.count_nonzero(tf.math.is_nan(x), 1, dtype=tf.float32)) - padding
    inf = summed(tf.math.count_nonzero(tf.math.is_inf(x), 1, dtype=tf.float32))
    number, some = tf.maximum(good, 1.0), good > 0
    lows, highs = tf.reduce_min(tf.where(finite, x, math.inf), 1), tf.reduce_max(tf.where(finite, x, -math.inf), 1)
    low = tf.where(some, tf.math.unsorted_segment_min(lows, of, len(tensors)), 0.0)
    high = tf.where(some, tf.math.unsorted_segment_max(highs, of, len(tensors)), 0.0)
    scale = tf.maximum(tf.abs(low), tf.abs(high))  # squares of 1e30 overflow float32
    unit = tf.where(finite, tf.math.divide_no_nan(x, tf.gather(scale, of)[:, None]), 0.0)
    mean = summed(tf.reduce_sum(unit, 1)) / number
    apart = tf.where(finite, unit - tf.gather(mean, of)[:, None], 0.0)
    variance = summed(tf.reduce_sum(tf.square(apart), 1)) / number
    l2 = tf.sqrt(number * (variance + tf.square(mean)))
    zeros = summed(tf.math.count_nonzero(tf.equal(x, 0.0), 1, dtype=tf.float32)) / number
    moments = [mean * scale, tf.sqrt(variance) * scale, l2 * scale, low, high, zeros, nan, inf]
    counts = summed(_counts(x, finite, tf.gather(low, of), tf.gather(high, of)))
    return tf.ensure_shape(tf.stack(moments, 1), [len(tensors), len(STATISTICS)]), counts


def _rows(tensors: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Cut tensors into rows `[R, WIDTH]`, the last row of each filled up with NaN.

    Returns:
        The rows; which tensor each is of, int32 `[R]`; and how many entries were filled up in each, float32 `[L]`.
    """
    rows, of, padding = [], [], []
    for place, tensor in enumerate(tensors):
        flat = tf.cast(tf.reshape(tensor, [-1]), tf.float32)
        size = flat.shape[0] if flat.shape[0] is not None else tf.shape(flat)[0]
        missing = -size % WIDTH
        rows.append(tf.reshape(tf.pad(flat, [[0, missing]], constant_values=math.nan), [-1, WIDTH]))
        of.append(tf.fill([(size + missing) // WIDTH], place))
        padding.append(tf.cast(missing, tf.float32))
    return tf.concat(rows, 0), tf.concat(of, 0), tf.stack(padding)


def _counts(x: tf.Tensor, finite: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    """Count each row's entries in its buckets, `[R, BUCKETS]`."""
    width = (high / 2 - low / 2)[:, None]  # halved, since high - low may overflow
    share = tf.math.divide_no_nan(x / 2 - low[:, None] / 2, width)
    bucket = tf.cast(tf.minimum(tf.where(finite, share, 0.0) * BUCKETS, BUCKETS - 1.0), tf.int32)
    bucket = tf.where(finite, bucket, BUCKETS)  # one more, for what is not finite
    counts = tf.raw_ops.DenseBincount(input=bucket, size=BUCKETS + 1, weights=tf.zeros([0]), binary_output=False)
    return counts[:, :BUCKETS]


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
