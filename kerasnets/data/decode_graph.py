"""The TensorFlow half of `decode.py`: the same rules as graph operations, codec by codec.

Only operations that a SavedModel may hold: numbers are read with string operations, parts walked in while loops.
"""

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import tensorflow as tf

from kerasnets.data import decode as halves
from kerasnets.data.codecs import rules
from kerasnets.data.codecs.graph import bmp, gif, jpeg, png, webp
from kerasnets.data.codecs.graph.octets import among, every, first, header, octets, text

Tensor = Any

_CODECS: tuple[ModuleType, ...] = (jpeg, png, gif, bmp, webp)  # in the order of rules.KINDS


@functools.cache
def decoder(channels: int) -> Callable[[Tensor], Tensor]:
    """Return `decode` for so many channels as a function that is traced once in a process: it takes a second."""
    signature = [tf.TensorSpec((), tf.string)]
    return tf.function(lambda encoded: decode(encoded, channels), input_signature=signature, autograph=False)


def decode(encoded: Tensor, channels: int) -> Tensor:
    """Return uint8 `[h, w, channels]` of a scalar string; see `decode.tensorflow`."""
    kind = _kind(encoded)
    headers = [*(codec.read for codec in _CODECS), lambda _: header(rules.UNKNOWN)]
    refusal, tiff, alpha, plain = tf.switch_case(kind, [lambda f=f: f(encoded) for f in headers])
    words = tf.gather(list(rules.REFUSALS), refusal)
    with tf.control_dependencies([tf.debugging.Assert(tf.equal(refusal, 0), [words])]):
        plain = tf.identity(plain)
    pixels = tf.switch_case(kind, [lambda codec=codec: codec.pixels(plain, alpha) for codec in _CODECS])
    turn = tf.cond(tiff >= 0, lambda: _orientation(encoded, tiff), lambda: tf.constant(1, tf.int64))
    pixels = tf.cond(turn > 1, lambda: _upright(pixels, turn), lambda: pixels)
    pixels = with_channels(tf.ensure_shape(pixels, [None, None, 3]), channels)
    return tf.ensure_shape(pixels, [None, None, channels])


def with_channels(pixels: Tensor, channels: int) -> Tensor:
    """Return uint8 `[…, 1 or 3]` as `[…, channels]`; see `decode.with_channels`."""
    if pixels.shape[-1] == channels:
        return pixels
    if channels == 3:
        return tf.repeat(pixels, 3, axis=-1)
    total = tf.reduce_sum(tf.cast(pixels, tf.int32) * tf.constant(rules.LUMA), axis=-1, keepdims=True)
    return tf.cast(tf.bitwise.right_shift(total + 32768, 16), tf.uint8)


def _kind(encoded: Tensor) -> Tensor:
    """Return the index into KINDS, or its length for any other content."""
    webp = every(tf.equal(text(encoded, 0, 4), b"RIFF"), tf.equal(text(encoded, 8, 4), b"WEBP"))
    cases = [(tf.equal(text(encoded, 0, len(start)), start), index) for index, start in rules.STARTS]
    cases += [(webp, rules.KINDS.index("WEBP")), (True, len(rules.KINDS))]
    return tf.cast(first(*cases), tf.int32)


def _upright(pixels: Tensor, turn: Tensor) -> Tensor:
    pixels = tf.cond(among(turn, halves.TURNED), lambda: tf.transpose(pixels, (1, 0, 2)), lambda: pixels)
    pixels = tf.cond(among(turn, halves.MIRRORED), lambda: tf.reverse(pixels, (1,)), lambda: pixels)
    return tf.cond(among(turn, halves.UPSIDE_DOWN), lambda: tf.reverse(pixels, (0,)), lambda: pixels)


def _orientation(encoded: Tensor, tiff: Tensor) -> Tensor:
    start = text(encoded, tiff, 4)
    little, big = tf.equal(start, b"II*\0"), tf.equal(start, b"MM\0*")

    def number(found: Tensor) -> Tensor:
        """Return `[..., n]` bytes as numbers, in the byte order that the directory has."""
        weights = tf.constant([1 << 8 * i for i in range(found.shape[-1])], tf.int64)
        return tf.reduce_sum(found * tf.where(little, weights, weights[::-1]), axis=-1)

    directory = tiff + number(octets(encoded, tiff + 4, 4))
    count = tf.minimum(number(octets(encoded, directory, 2)), rules.MAX_TAGS)
    entries = tf.reshape(octets(encoded, directory + 2, 12 * rules.MAX_TAGS), (rules.MAX_TAGS, 12))[:count]
    tagged = tf.boolean_mask(entries, tf.equal(number(entries[:, :2]), rules.ORIENTATION_TAG))
    value = number(tf.concat([tagged[:, 8:10], tf.zeros((1, 2), tf.int64)], axis=0))[0]
    good = tf.logical_and(tf.logical_or(little, big), tf.logical_and(value >= 1, value <= 8))
    return tf.where(good, value, tf.constant(1, tf.int64))
