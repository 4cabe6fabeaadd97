"""Random moves of images, a batch at a time: every move of a batch is one projective transformation."""

from typing import Any

import tensorflow as tf

from kerasnets.config.data import RandomResizedCrop

Tensor = Any


def transform(images: Tensor, matrix: Tensor, fill: float, interpolation: str) -> Tensor:
    """Return `[N, h, w, C]` whose pixel (x, y) is the input's at `matrix @ (x, y, 1)`.

    Args:
        images: `[N, h, w, C]`.
        matrix: Rows (a, b, c, d, e, f): x' = a x + b y + c, y' = d x + e y + f; float32 `[N, 6]`.
        fill: What is outside.
        interpolation: "NEAREST" (exact for moves by whole pixels) or "BILINEAR".
    """
    rows = tf.concat([matrix, tf.zeros_like(matrix[:, :2])], axis=1)
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=rows,
        output_shape=tf.shape(images)[1:3],
        fill_value=fill,
        interpolation=interpolation,
        fill_mode="CONSTANT",
    )
    return tf.ensure_shape(moved, images.shape)


def pad_crop_flip(images: Tensor, numbers: Tensor, pad: int, flip: bool) -> Tensor:
    """Pad by zeros, crop at random to the size before, mirror half of them (He et al. 2015, sec. 4.2).

    Args:
        images: Model input `[N, h, w, C]`, in which 0 is the mean colour.
        numbers: Uniform, `[N, 3]`: down, right, mirrored.
        pad: Pixels on each side.
        flip: Whether to mirror.
    """
    if flip and not pad:  # no need to look for each pixel's place
        return tf.where(tf.reshape(numbers[:, 2] < 0.5, (-1, 1, 1, 1)), tf.reverse(images, (2,)), images)
    moves = tf.floor(numbers[:, :2] * (2 * pad + 1)) - pad
    one, zero = tf.ones_like(moves[:, 0]), tf.zeros_like(moves[:, 0])
    mirrored = tf.where(numbers[:, 2] < 0.5, -one, one) if flip else one
    begin = tf.where(mirrored < 0, one * (images.shape[2] - 1), zero)
    matrix = tf.stack([mirrored, zero, begin + moves[:, 1], zero, one, moves[:, 0]], axis=1)
    return transform(images, matrix, 0.0, "NEAREST")


def windows(numbers: Tensor, size: tuple[Any, Any], wanted: RandomResizedCrop) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return random windows (top, left, height, width), each float32 `[N]`, in pixels, inside the image.

    Args:
        numbers: Uniform, `[N, 4]`: area, ratio, down, right.
        size: Height and width of the images.
        wanted: Ranges of the area's share and of width / height (uniform in its logarithm). A window that is
            longer than a side of the image is cut to it.
    """
    height, width = (tf.cast(side, tf.float32) for side in size)
    area = height * width * (wanted.scale[0] + numbers[:, 0] * (wanted.scale[1] - wanted.scale[0]))
    low, high = (tf.math.log(float(ratio)) for ratio in wanted.ratio)
    ratio = tf.exp(low + numbers[:, 1] * (high - low))
    tall, wide = tf.minimum(tf.sqrt(area / ratio), height), tf.minimum(tf.sqrt(area * ratio), width)
    return numbers[:, 2] * (height - tall), numbers[:, 3] * (width - wide), tall, wide


def boxes(centres: Tensor, sides: Tensor, size: tuple[int, int]) -> Tensor:
    """Return a mask, bool `[N, h, w, 1]`, of boxes cut at the images' borders.

    Args:
        centres: Row and column as shares of the size, `[N, 2]`.
        sides: Height and width in pixels, `[N, 2]`.
        size: Height and width of the images.
    """
    inside = []
    for axis, length in enumerate(size):
        middle, half = tf.floor(centres[:, axis, None] * length), sides[:, axis, None] / 2
        at = tf.range(length, dtype=tf.float32)[None]
        low, high = tf.round(middle - half), tf.round(middle + half)
        inside.append(tf.logical_and(at >= low, at < high))
    return tf.logical_and(inside[0][:, :, None, None], inside[1][:, None, :, None])
