"""RandAugment (Cubuk et al. 2019) a batch at a time: ranges of the operations as torchvision has them.

Operations on points, blends and moves each run once over the batch, with factors that leave the images of other
operations alone; equalize, the dearest, runs on its own images only.
"""

import math
from typing import Any

import tensorflow as tf

from kerasnets.data import colour
from kerasnets.data.geometry import transform

Tensor = Any

OPERATIONS = (
    "identity",
    "autocontrast",
    "equalize",
    "solarize",
    "posterize",
    "color",
    "contrast",
    "brightness",
    "sharpness",
    "rotate",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
)
DRAWS = 2  # numbers a layer takes of each example
STEPS = 30  # magnitudes are of 30
_BLEND, _SHEAR, _ROTATE, _TRANSLATE, _POSTERIZE_BITS = 0.9, 0.3, math.radians(30), 150 / 331, 4


def layer(pixels: Tensor, numbers: Tensor, magnitude: int, fill: float) -> Tensor:
    """Apply one random operation to each image.

    Args:
        pixels: float32 `[N, h, w, C]`, 0..255.
        numbers: Uniform, `[N, 2]`: which operation, and its sign.
        magnitude: 0 to 30.
        fill: Grey level of what comes in from outside.
    """
    chosen = tf.cast(numbers[:, 0] * len(OPERATIONS), tf.int32)
    signed = tf.where(numbers[:, 1] < 0.5, -1.0, 1.0) * (magnitude / STEPS)
    return apply(pixels, chosen, signed, magnitude / STEPS, fill)


def apply(pixels: Tensor, chosen: Tensor, signed: Tensor, strength: float, fill: float) -> Tensor:
    """Apply operation `chosen[i]` (an index into OPERATIONS) to image i.

    Args:
        pixels: float32 `[N, h, w, C]`, 0..255.
        chosen: int32 `[N]`.
        signed: -strength or strength, `[N]`, for the operations that have two directions.
        strength: 0 to 1.
        fill: Grey level of what comes in from outside.
    """
    pixels = _points(pixels, chosen, strength)
    pixels = _blends(pixels, chosen, 1.0 + signed * _BLEND)
    return _moves(pixels, chosen, signed, fill)


def _is(chosen: Tensor, *names: str) -> Tensor:
    """Return bool `[N, 1, 1, 1]`: whether the operation is one of these."""
    found = tf.stack([tf.equal(chosen, OPERATIONS.index(name)) for name in names])
    return tf.reshape(tf.reduce_any(found, axis=0), (-1, 1, 1, 1))


def _points(pixels: Tensor, chosen: Tensor, strength: float) -> Tensor:
    threshold, step = 255.0 * (1 - strength), 2.0 ** round(strength * _POSTERIZE_BITS)
    pixels = tf.where(_is(chosen, "autocontrast"), colour.autocontrast(pixels), pixels)
    inverted = tf.where(pixels >= threshold, 255.0 - pixels, pixels)
    pixels = tf.where(_is(chosen, "solarize"), inverted, pixels)
    pixels = tf.where(_is(chosen, "posterize"), tf.floor(pixels / step) * step, pixels)
    own = tf.where(tf.equal(chosen, OPERATIONS.index("equalize")))
    return tf.tensor_scatter_nd_update(pixels, own, colour.equalize(tf.gather(pixels, own[:, 0])))


def _blends(pixels: Tensor, chosen: Tensor, factor: Tensor) -> Tensor:
    factor = tf.reshape(factor, (-1, 1, 1, 1))
    black = tf.zeros_like(pixels)
    plain = tf.where(_is(chosen, "color"), colour.grey(pixels), black)
    plain = tf.where(_is(chosen, "contrast"), colour.mean_grey(pixels), plain)
    blended = tf.where(_is(chosen, "sharpness"), colour.sharpen(pixels, factor), colour.blend(pixels, plain, factor))
    return tf.where(_is(chosen, "color", "contrast", "brightness", "sharpness"), blended, pixels)


def _moves(pixels: Tensor, chosen: Tensor, signed: Tensor, fill: float) -> Tensor:
    height, width = pixels.shape[1], pixels.shape[2]

    def amount(name: str, largest: float) -> Tensor:
        return tf.where(tf.equal(chosen, OPERATIONS.index(name)), signed * largest, 0.0)

    angle = amount("rotate", _ROTATE)
    cos, sin = tf.cos(angle), tf.sin(angle)
    right, down = sin + amount("shear_x", _SHEAR), -sin + amount("shear_y", _SHEAR)
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    shift_x = middle_x - cos * middle_x - right * middle_y + amount("translate_x", _TRANSLATE * width)
    shift_y = middle_y - down * middle_x - cos * middle_y + amount("translate_y", _TRANSLATE * height)
    return transform(pixels, tf.stack([cos, right, shift_x, down, cos, shift_y], axis=1), fill, "BILINEAR")
