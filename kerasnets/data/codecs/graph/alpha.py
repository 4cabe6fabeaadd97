"""Transparent pixels on white, in a graph."""

from typing import Any

import tensorflow as tf

Tensor = Any


def on_white(pixels: Tensor) -> Tensor:
    """Return uint8 `[…, 3]` of `[…, 4]`; see `codecs/alpha.py`."""
    pixels = tf.cast(pixels, tf.int32)
    colours, alpha = pixels[..., :3], pixels[..., 3:]
    return tf.cast((colours * alpha + 255 * (255 - alpha) + 127) // 255, tf.uint8)
