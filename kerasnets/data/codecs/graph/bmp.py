"""BMP in a graph; see `codecs/bmp.py`."""

from typing import Any

import tensorflow as tf

from kerasnets.data.codecs import bmp, rules
from kerasnets.data.codecs.graph.octets import Header, among, every, first, header, length, little, octets, some, text

Tensor = Any


def read(encoded: Tensor) -> Header:
    """Read the header."""
    offset, size = little(encoded, 10, 4), little(encoded, 14, 4)
    width, height, bits = _shape(encoded)
    plain = every(among(size, bmp.HEADERS), among(bits, bmp.BITS), tf.equal(little(encoded, 30, 4), 0))
    empty = some(width < 1, tf.equal(height, 0), offset < bmp.FILE_HEADER + size)
    refusal = first(
        (some(tf.logical_not(plain), empty), rules.BMP_KIND),
        (width * tf.abs(height) > rules.MAX_PIXELS, rules.LARGE),
        (offset + _stride(width, bits) * tf.abs(height) > length(encoded), rules.BMP_SHORT),
    )
    return header(refusal, encoded)


def pixels(plain: Tensor, alpha: Tensor) -> Tensor:
    """Return the pixels; TensorFlow takes a palette's indices for grey levels, so they are looked up here."""
    width, height, bits = _shape(plain)
    end = little(plain, 10, 4) + _stride(width, bits) * tf.abs(height)
    stored = tf.io.decode_bmp(text(plain, 0, end), channels=3)
    return tf.cond(tf.equal(bits, 8), lambda: tf.gather(_palette(plain), _indices(stored)), lambda: stored)


def _indices(stored: Tensor) -> Tensor:
    return tf.cast(stored[..., 0], tf.int32)


def _shape(encoded: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    width, height = (
        tf.where(value >= 1 << 31, value - (1 << 32), value)
        for value in (little(encoded, 18, 4), little(encoded, 22, 4))
    )
    return width, height, little(encoded, 28, 2)


def _stride(width: Tensor, bits: Tensor) -> Tensor:
    return (width * bits + 31) // 32 * 4


def _palette(encoded: Tensor) -> Tensor:
    stated = little(encoded, 46, 4)
    count = tf.where(tf.equal(stated, 0), tf.constant(bmp.COLOURS, tf.int64), tf.minimum(stated, bmp.COLOURS))
    stored = octets(encoded, bmp.FILE_HEADER + little(encoded, 14, 4), 4 * bmp.COLOURS)
    there = tf.range(bmp.COLOURS, dtype=tf.int64)[:, None] < count
    return tf.cast(tf.where(there, tf.reshape(stored, (-1, 4))[:, 2::-1], 0), tf.uint8)
