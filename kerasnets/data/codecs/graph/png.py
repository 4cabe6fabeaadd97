"""PNG in a graph; see `codecs/png.py`. libpng compares the checksums, and says when there are too few pixels."""

import zlib
from typing import Any

import numpy as np
import tensorflow as tf

from kerasnets.data.codecs import png, rules
from kerasnets.data.codecs.graph.alpha import on_white
from kerasnets.data.codecs.graph.octets import (
    Header,
    among,
    big,
    earliest,
    every,
    first,
    header,
    length,
    octets,
    rows,
    some,
    text,
    walk,
    words,
)

Tensor = Any
Chunk = tuple[Tensor, Tensor]

_PLTE, _TRNS, _EXIF, _IDAT, _IEND = (int.from_bytes(t, "big") for t in (b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND"))
_KNOWN = tuple(int.from_bytes(tag, "big") for tag in png.KNOWN)
_CHECKED = 4 + 256  # bytes of a transparency's tag and content, at most


def read(encoded: Tensor) -> Header:
    """Walk the chunks to IEND."""
    end = length(encoded)

    def step(at: Tensor) -> Tensor:
        size, tag = tf.unstack(words(encoded, at, 4, 2, big_endian=True))
        return tf.where(tf.equal(tag, _IEND), end, at + 12 + size)

    places, _ = walk(step, 8, end, rules.MAX_PARTS)
    heads = rows(tf.io.decode_raw(encoded, tf.uint8), places, 8)
    sizes, tags = tf.unstack(
        tf.reduce_sum(tf.reshape(heads, (-1, 2, 4)) * [1 << 24, 1 << 16, 1 << 8, 1], axis=2), axis=1
    )
    there = places + 12 + sizes <= end
    ended = tf.reduce_any(tf.logical_and(there, tf.equal(tags, _IEND)))
    palette, key, exif, run = _wanted(places, sizes, tf.where(there, tags, 0))
    known = tf.logical_or(among(tags, _KNOWN), tf.bitwise.bitwise_and(tags, png.SMALL_LETTER << 24) > 0)
    known = tf.reduce_all(tf.logical_or(known, tf.logical_not(there)))
    refusal, key = _refusal(encoded, palette, key, every(known, run[0] >= 0))
    many = tf.equal(tf.size(places), rules.MAX_PARTS)
    refusal = tf.where(ended, refusal, first((many, rules.PARTS), (True, rules.PNG_SHORT)))
    alpha = some(key[0] >= 0, among(big(encoded, 25, 1), (4, 6)))
    return header(refusal, _plain(encoded, palette, key, run), tf.where(exif[0] < 0, exif[0], exif[0] + 8), alpha)


def _wanted(places: Tensor, sizes: Tensor, tags: Tensor) -> tuple[Chunk, ...]:
    """Return the first PLTE, tRNS and eXIf ahead of the pixels, and where the first run of IDAT begins and ends."""
    is_pixels = tf.cast(tf.equal(tags, _IDAT), tf.int32)
    ahead = tf.equal(tf.cumsum(is_pixels), 0)
    found = []
    for tag in (_PLTE, _TRNS, _EXIF):
        wanted = tf.logical_and(ahead, tf.equal(tags, tag))
        found.append((earliest(places, wanted), earliest(sizes, wanted)))
    start = tf.argmax(tf.concat([is_pixels, [1]], 0))
    count = tf.argmin(tf.concat([is_pixels[start:], [0]], 0))
    ends = tf.concat([[0], places + 12 + sizes], 0)
    return *found, (tf.concat([places, [-1]], 0)[start], ends[start + count])


def _refusal(encoded: Tensor, palette: Chunk, key: Chunk, sound: Tensor) -> tuple[Tensor, Chunk]:
    width, height, depth, colours = (big(encoded, place, n) for place, n in ((16, 4), (20, 4), (24, 1), (25, 1)))
    rest = octets(encoded, 26, 3)
    indexed = tf.equal(colours, png.PALETTE)
    size, entries = palette[1], palette[1] // 3
    shown = every(palette[0] >= 0, size > 0, size <= 768, tf.equal(size % 3, 0))
    deep = [every(tf.equal(colours, kind), among(depth, depths)) for kind, depths in png.DEPTHS.items()]
    start = tf.equal(text(encoded, 8, len(png.IHDR)), png.IHDR)
    there = every(start, tf.equal(rest[0], 0), tf.equal(rest[1], 0), rest[2] < 2, width > 0, height > 0, some(*deep))
    sound = every(sound, there, some(shown, tf.logical_not(indexed)))
    wanted = [every(tf.equal(colours, kind), tf.equal(key[1], size)) for kind, size in png.KEY_LENGTHS.items()]
    levels = tf.bitwise.left_shift(tf.constant(1, tf.int64), tf.minimum(depth, 8))
    fits = tf.where(indexed, every(key[0] >= 0, key[1] > 0, key[1] <= tf.minimum(entries, levels)), some(*wanted))
    refusal = first(
        (width * height > rules.MAX_PIXELS, rules.LARGE),
        (tf.maximum(width, height) > rules.MAX_SIDE, rules.LARGE),
        (tf.logical_not(sound), rules.PNG_BROKEN),
        (tf.cond(fits, lambda: tf.logical_not(_right(encoded, key)), lambda: False), rules.PNG_BROKEN),
        (every(fits, tf.logical_not(indexed), tf.not_equal(depth, 8)), rules.PNG_KEY),
    )
    return refusal, (tf.where(fits, key[0], -1), tf.where(fits, key[1], 0))


def _right(encoded: Tensor, chunk: Chunk) -> Tensor:
    """Return whether a short chunk's checksum is right: the sum, without carry, of what each bit of it adds.

    libpng drops a transparency whose checksum is wrong, and TensorFlow then makes one up.
    """
    at, count = chunk
    content = text(encoded, at + 4, tf.clip_by_value(4 + count, 0, _CHECKED))
    start = tf.constant([255] * 4 + [0] * (_CHECKED - 4), tf.int64)  # the checksum begins with all bits set
    found = tf.roll(tf.bitwise.bitwise_xor(octets(content, 0, _CHECKED), start), _CHECKED - 4 - count, 0)
    bits = tf.bitwise.right_shift(found[:, None], tf.range(8, dtype=tf.int64)) % 2
    sums = tf.linalg.matvec(_SUMS, tf.cast(tf.reshape(bits, [-1]), tf.float32), transpose_a=True)
    stated = tf.bitwise.right_shift(big(encoded, at + 8 + count, 4), tf.range(32, dtype=tf.int64)) % 2
    return tf.reduce_all(tf.equal(1 - tf.cast(sums, tf.int64) % 2, stated))


def _sums() -> np.ndarray:
    """Return the bits that each bit of `_CHECKED` bytes adds to a CRC-32 of them, float32 `[8 * bytes, 32]`."""
    found = np.zeros((_CHECKED, 8), np.uint32)
    blank = zlib.crc32(bytes(_CHECKED))
    for place, bit in np.ndindex(found.shape):
        one = bytearray(_CHECKED)
        one[place] = 1 << bit
        found[place, bit] = zlib.crc32(bytes(one)) ^ blank
    return (found.reshape(-1, 1) >> np.arange(32, dtype=np.uint32) & 1).astype(np.float32)


_SUMS = _sums()


def _plain(encoded: Tensor, palette: Chunk, key: Chunk, run: Chunk) -> Tensor:
    indexed = tf.equal(big(encoded, 25, 1), png.PALETTE)

    def whole(chunk: Chunk, wanted: Tensor) -> Tensor:
        return text(encoded, tf.maximum(chunk[0], 0), tf.where(wanted, 12 + chunk[1], 0))

    pieces = [text(encoded, 0, png.HEADER_END), whole(palette, indexed), whole(key, key[0] >= 0)]
    return tf.strings.join([*pieces, text(encoded, tf.maximum(run[0], 0), run[1] - run[0]), tf.constant(png.IEND)])


def pixels(plain: Tensor, alpha: Tensor) -> Tensor:
    """Return the pixels, on white."""
    return tf.cond(
        alpha,
        lambda: on_white(tf.io.decode_png(plain, channels=4)),
        lambda: tf.io.decode_png(plain, channels=3),
    )
