"""Antialiased resizing as two matrix products, in array code that NumPy, TensorFlow and ONNX share.

Each output pixel is a weighted mean of the input pixels under a triangle as wide as a pixel of the output (or of the
input, when growing), in half-pixel coordinates: the definition of `tf.image.resize(antialias=True)` and of Pillow's
`BILINEAR`. Weights are computed in the graph from the image's size, so that any height and width goes through. A
crop or a letterbox is another start and step of the same weights. Imports no TensorFlow.
"""

from types import ModuleType
from typing import Any

import numpy as np

Array = Any  # numpy.ndarray or tf.Tensor, according to `xp`


def sizes(images: Array, xp: ModuleType) -> tuple[Any, Any]:
    """Return height and width of `[N, H, W, C]`: numbers where they are known, else scalar tensors."""
    height, width = images.shape[1], images.shape[2]
    if height is not None and width is not None:
        return int(height), int(width)
    shape = xp.shape(images)
    return shape[1], shape[2]


def as_float(value: Any, xp: ModuleType) -> Any:
    """Return a size as float32: a Python float if it is a number, else a tensor."""
    return float(value) if isinstance(value, int) else xp.cast(value, xp.float32)


def axis_weights(size: Any, out: int, start: Any, step: Any, xp: ModuleType) -> Array:
    """Return the weights `[..., out, size]` of one axis; each row sums to 1.

    Args:
        size: Pixels of the input along the axis.
        out: Pixels of the output.
        start: Where, in input pixels, the first output pixel begins; a scalar or `[N, 1, 1]`.
        step: Input pixels per output pixel; a scalar or `[N, 1, 1]`.
        xp: numpy or tensorflow.
    """
    outputs = np.arange(out, dtype=np.float32)[:, None] + np.float32(0.5)
    if xp is np:
        inputs = np.arange(size, dtype=np.float32) + np.float32(0.5)
        start, step = np.float32(start), np.float32(step)
    else:
        inputs = xp.cast(xp.range(size), xp.float32) + 0.5
    # An output pixel outside the image (a letterbox) takes the border's colour; the caller masks it.
    last = as_float(size, xp) - 0.5
    centres = xp.maximum(xp.minimum(start + outputs * step, last), 0.5)
    weights = xp.maximum(1.0 - xp.abs(inputs - centres) / xp.maximum(step, 1.0), 0.0)
    total = weights.sum(-1, keepdims=True) if xp is np else xp.reduce_sum(weights, axis=-1, keepdims=True)
    return weights / total


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
