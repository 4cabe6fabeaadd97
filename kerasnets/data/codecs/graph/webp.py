"""WebP in a graph; see `codecs/webp.py`."""

from typing import Any

import tensorflow as tf

from kerasnets.data.codecs import rules, webp
from kerasnets.data.codecs.graph.alpha import on_white
from kerasnets.data.codecs.graph.octets import (
    Header,
    earliest,
    every,
    first,
    header,
    length,
    little,
    rows,
    some,
    text,
    walk,
)

Tensor = Any

_TAGS = (b"VP8X", b"ALPH", b"VP8 ", b"VP8L", b"EXIF")


def read(encoded: Tensor) -> Header:
    """Walk the chunks."""
    stated = 8 + little(encoded, 4, 4)
    end = tf.where(stated <= length(encoded), stated, 0)

    def step(at: Tensor) -> Tensor:
        size = little(encoded, at + 4, 4)
        return at + 8 + size + size % 2

    places, _ = walk(step, webp.START, end - 7, rules.MAX_PARTS)
    heads = rows(tf.io.decode_raw(encoded, tf.uint8), places, 8)
    tags, sizes = tf.unstack(
        tf.reduce_sum(tf.reshape(heads, (-1, 2, 4)) * [1, 1 << 8, 1 << 16, 1 << 24], axis=2), axis=1
    )
    whole = every(end > 0, tf.reduce_all(places + 8 + sizes <= end))
    *chunks, exif = (earliest(places, tf.equal(tags, int.from_bytes(tag, "little"))) for tag in _TAGS)
    refusal, alpha, plain = _still(encoded, *chunks)
    many = tf.equal(tf.size(places), rules.MAX_PARTS)
    cut = first((many, rules.PARTS), (tf.logical_not(whole), rules.WEBP_SHORT))
    return header(tf.where(cut > 0, cut, refusal), plain, _tiff(encoded, exif), alpha)


def _tiff(encoded: Tensor, at: Tensor) -> Tensor:
    prefixed = tf.equal(text(encoded, at + 8, len(webp.EXIF_START)), webp.EXIF_START)
    skipped = len(webp.EXIF_START) * tf.cast(prefixed, tf.int64)
    return tf.where(at < 0, tf.constant(-1, tf.int64), at + 8 + skipped)


def _still(encoded: Tensor, vp8x: Tensor, alph: Tensor, lossy: Tensor, lossless: Tensor) -> tuple[Tensor, ...]:
    extended = tf.equal(vp8x, webp.START)
    flags = tf.where(extended, little(encoded, webp.START + 8, 1), 0)
    is_lossless = lossless >= 0
    at = tf.maximum(lossy, lossless)
    width, height = (
        tf.where(is_lossless, x, y) for x, y in zip(_lossless(encoded, at), _lossy(encoded, at), strict=True)
    )
    canvas = little(encoded, webp.START + 12, 3) + 1, little(encoded, webp.START + 15, 3) + 1
    other = tf.logical_not(every(tf.equal(canvas[0], width), tf.equal(canvas[1], height)))
    refusal = first(
        (tf.equal(flags // (1 << webp.ANIMATED_FLAG) % 2, 1), rules.WEBP_ANIMATED),
        (tf.equal(is_lossless, lossy >= 0), rules.WEBP_BROKEN),
        (width * height > rules.MAX_PIXELS, rules.LARGE),
        (every(extended, other), rules.WEBP_BROKEN),
    )
    shaded = every(tf.logical_not(is_lossless), alph >= 0, tf.equal(flags // (1 << webp.ALPHA_FLAG) % 2, 1))
    start = [tf.constant(b"VP8X\x0a\0\0\0" + bytes([1 << webp.ALPHA_FLAG, 0, 0, 0])), text(encoded, webp.START + 12, 6)]
    front = tf.where(shaded, tf.strings.join([*start, _chunk(encoded, alph)]), b"")
    clear = every(is_lossless, tf.equal(little(encoded, at + 9, 4) // (1 << 28) % 2, 1))
    return refusal, some(shaded, clear), _file(tf.strings.join([front, _chunk(encoded, at)]))


def _lossy(encoded: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    return little(encoded, at + 14, 2) % (1 << 14), little(encoded, at + 16, 2) % (1 << 14)


def _lossless(encoded: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    packed = little(encoded, at + 9, 4)
    return packed % (1 << 14) + 1, packed // (1 << 14) % (1 << 14) + 1


def _chunk(encoded: Tensor, at: Tensor) -> Tensor:
    at = tf.maximum(at, 0)
    count = little(encoded, at + 4, 4)
    padding = tf.where(tf.equal(count % 2, 1), tf.constant(b"\0"), tf.constant(b""))
    return tf.strings.join([text(encoded, at, 8 + count), padding])


def _file(chunks: Tensor) -> Tensor:
    count = 4 + length(chunks)
    size = tf.gather(tf.constant([bytes([i]) for i in range(256)]), [count // (1 << 8 * i) % 256 for i in range(4)])
    return tf.strings.join([tf.constant(b"RIFF"), tf.strings.reduce_join(size), tf.constant(b"WEBP"), chunks])


def pixels(plain: Tensor, alpha: Tensor) -> Tensor:
    """Return the pixels, on white."""
    return tf.cond(
        alpha,
        lambda: on_white(tf.io.decode_image(plain, channels=4, expand_animations=False)),
        lambda: tf.io.decode_image(plain, channels=3, expand_animations=False),
    )
