"""Antialiased resizing as two matrix products, in array code that NumPy, TensorFlow and ONNX share.

Each output pixel is a weighted mean of the input pixels under a triangle as wide as a pixel of the output (or of the
input, when growing), in half-pixel coordinates: the definition of `tf.image.resize(antialias=True)` and of Pillow's
`BILINEAR`. Weights are computed in the graph from the image's size, so that any height and width goes through. A
crop or a letterbox is another start and step of the same weights. Imports no TensorFlow.
"""

from types import ModuleType
from typing import Any

import numpy as np

_LEAST_TOTAL = 1e-6  # of an output pixel outside the image: no division by 0

Array = Any  # numpy.ndarray or tf.Tensor, according to `xp`


def sizes(images: Array, xp: ModuleType) -> tuple[Any, Any]:
    """Return height and width of `[N, H, W, C]`: numbers where they are known, else scalar tensors."""
    height, width = images.shape[1], images.shape[2]
    if height is not None and width is not None:
        return int(height), int(width)
    shape = xp.shape(images)
    return shape[1], shape[2]


def as_float(value: Any, xp: ModuleType) -> Any:
    """Return a size as a float32 number."""
    return np.float32(value) if xp is np else xp.cast(value, xp.float32)


def axis_weights(size: Any, out: int, span: Any, count: Any, xp: ModuleType, middle: Any = None) -> Array:
    """Return the weights `[..., out, size]` of one axis; each row sums to 1, or is 0 outside the image.

    The output's pixels are `span / count` input pixels apart, around `middle`. Distances are kept as differences of
    whole numbers as long as these are whole: divided early, float32 would lose a ten-thousandth of a pixel.

    Args:
        size: Pixels of the input along the axis.
        out: Pixels of the output.
        span: Numerator of the step, in input pixels; a scalar or `[N, 1, 1]`.
        count: Its denominator.
        xp: numpy or tensorflow.
        middle: Where the output's middle is, in input pixels; a scalar or `[N, 1, 1]`. Default: the image's.
    """
    inputs = xp.arange(size, dtype=xp.float32) if xp is np else xp.cast(xp.range(size), xp.float32)
    twice_middle = as_float(size, xp) if middle is None else 2.0 * middle
    span, count = as_float(span, xp), as_float(count, xp)
    distances = (2.0 * inputs + 1.0 - twice_middle) * count - steps_from_middle(out) * span  # in 1 / (2 count) pixels
    weights = xp.maximum(1.0 - xp.abs(distances) / (2.0 * xp.maximum(span, count)), 0.0)
    total = weights.sum(-1, keepdims=True) if xp is np else xp.reduce_sum(weights, axis=-1, keepdims=True)
    return weights / xp.maximum(total, _LEAST_TOTAL)


def steps_from_middle(out: int) -> np.ndarray:
    """Return how far each output pixel's centre is from the middle, in half steps: float32 `[out, 1]`."""
    return (2.0 * np.arange(out, dtype=np.float32) + 1.0 - out)[:, None]


def resample(images: Array, rows: Array, columns: Array, xp: ModuleType) -> Array:
    """Return `rows @ images @ columns^T` per channel: `[N, H, W, C]` -> `[N, h, w, C]`.

    Args:
        images: float32 `[N, H, W, C]`.
        rows: `[h, H]`, or `[N, h, H]` with weights of its own for each image.
        columns: `[w, W]` or `[N, w, W]`.
        xp: numpy or tensorflow.
    """
    height, width = sizes(images, xp)
    channels, out_height, out_width = images.shape[3], rows.shape[-2], columns.shape[-2]
    shrunk = xp.matmul(rows, xp.reshape(images, (-1, height, width * channels)))
    # Channels ahead of columns: one large product instead of many with `channels` columns.
    lines = xp.transpose(xp.reshape(shrunk, (-1, out_height, width, channels)), (0, 1, 3, 2))
    lines = xp.reshape(lines, (-1, out_height * channels, width))
    turned = xp.swapaxes(columns, -1, -2) if xp is np else xp.linalg.matrix_transpose(columns)
    done = xp.reshape(xp.matmul(lines, turned), (-1, out_height, channels, out_width))
    return xp.transpose(done, (0, 1, 3, 2))
