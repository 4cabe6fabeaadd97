"""The TensorFlow half of `decode.py`: the same rules as graph operations, codec by codec.

Only operations that a SavedModel may hold: numbers are read with string operations, parts walked in while loops.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import tensorflow as tf

from kerasnets.data import decode as halves
from kerasnets.data.codecs import rules
from kerasnets.data.codecs.graph import bmp, gif, jpeg, png, webp
from kerasnets.data.codecs.graph.octets import among, every, first, header, octets, text

Tensor = Any
_Opened = tuple[Tensor, Tensor, Tensor, Tensor]  # index into KINDS, the parts that pixels depend on, alpha, orientation

_CODECS: tuple[ModuleType, ...] = (jpeg, png, gif, bmp, webp)  # in the order of rules.KINDS


@functools.cache
def decoder(channels: int) -> Callable[[Tensor], Tensor]:
    """Return `decode` for so many channels as a function that is traced once in a process: it takes a second."""
    signature = [tf.TensorSpec((), tf.string)]
    return tf.function(lambda encoded: decode(encoded, channels), input_signature=signature, autograph=False)


def decode(encoded: Tensor, channels: int) -> Tensor:
    """Return uint8 `[h, w, channels]` of a scalar string; see `decode.tensorflow`."""
    opened = _opener()(encoded)
    return tf.ensure_shape(with_channels(_painter()(*opened), channels), [None, None, channels])


@dataclass(frozen=True)
class Picture:
    """An image that is read and found sound, of which a part can be had.

    Attributes:
        size: Height and width, upright, int32 `[2]`.
        part: From a box (top, left, height, width), int32 `[4]`, inside the image to its pixels, uint8 `[h, w, 3]`.
            Those of a JPEG's part are exact from the second row and column on; at the image's own border all are.
    """

    size: Tensor
    part: Callable[[Tensor], Tensor]


def picture(encoded: Tensor) -> Picture:
    """Return a scalar string's picture: of an upright JPEG only the wanted part is decoded, others as a whole.

    Raises:
        tf.errors.InvalidArgumentError: When run, as `decode` does.
    """
    kind, plain, alpha, turn = _opener()(encoded)
    alone = every(tf.equal(kind, rules.KINDS.index("JPEG")), tf.equal(turn, 1))
    whole = tf.cond(alone, lambda: tf.zeros((0, 0, 3), tf.uint8), lambda: _painter()(kind, plain, alpha, turn))
    size = tf.cond(alone, lambda: jpeg.size(plain), lambda: tf.shape(whole)[:2])

    def part(box: Tensor) -> Tensor:
        begin, extent = tf.concat([box[:2], [0]], 0), tf.concat([box[2:], [3]], 0)
        pixels = tf.cond(alone, lambda: jpeg.part(plain, box), lambda: tf.slice(whole, begin, extent))
        return tf.ensure_shape(pixels, [None, None, 3])

    return Picture(size, part)


@functools.cache
def _opener() -> Callable[[Tensor], _Opened]:
    """Return `_open`, traced once in a process."""
    return tf.function(_open, input_signature=[tf.TensorSpec((), tf.string)], autograph=False)


@functools.cache
def _painter() -> Callable[..., Tensor]:
    """Return `_paint`, traced once in a process."""
    kinds = (tf.int32, tf.string, tf.bool, tf.int64)
    return tf.function(_paint, input_signature=[tf.TensorSpec((), kind) for kind in kinds], autograph=False)


def _open(encoded: Tensor) -> _Opened:
    """Walk a file's parts; raise what is to be said of one that is refused."""
    kind = _kind(encoded)
    headers = [*(codec.read for codec in _CODECS), lambda _: header(rules.UNKNOWN)]
    refusal, tiff, alpha, plain = tf.switch_case(kind, [lambda f=f: f(encoded) for f in headers])
    words = tf.gather(list(rules.REFUSALS), refusal)
    with tf.control_dependencies([tf.debugging.Assert(tf.equal(refusal, 0), [words])]):
        plain = tf.identity(plain)
    turn = tf.cond(tiff >= 0, lambda: _orientation(encoded, tiff), lambda: tf.constant(1, tf.int64))
    return kind, plain, alpha, turn


def _paint(kind: Tensor, plain: Tensor, alpha: Tensor, turn: Tensor) -> Tensor:
    """Return uint8 `[h, w, 3]`, upright."""
    pixels = tf.switch_case(kind, [lambda codec=codec: codec.pixels(plain, alpha) for codec in _CODECS])
    pixels = tf.cond(turn > 1, lambda: _upright(pixels, turn), lambda: pixels)
    return tf.ensure_shape(pixels, [None, None, 3])


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
