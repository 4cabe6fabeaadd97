"""The TensorFlow half of `decode.py`: the same rules, function by function, as graph operations.

Only operations that a SavedModel may hold: numbers are read with string operations, headers walked in while loops.
"""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from kerasnets.data import decode as rules

Tensor = Any

_Header = tuple[Tensor, Tensor, Tensor]  # as rules.Header: int64, int64, bool
_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM")


@functools.cache
def decoder(channels: int) -> Callable[[Tensor], Tensor]:
    """Return `decode` for so many channels as a function that is traced once in a process: it takes a second."""
    signature = [tf.TensorSpec((), tf.string)]
    return tf.function(lambda encoded: decode(encoded, channels), input_signature=signature, autograph=False)


def decode(encoded: Tensor, channels: int) -> Tensor:
    """Return uint8 `[h, w, channels]` of a scalar string; see `decode.tensorflow`."""
    kind = _kind(encoded)
    headers = (_jpeg, _png, _gif, _bmp, _webp, lambda _: _header(rules.UNKNOWN))
    refusal, tiff, alpha = tf.switch_case(kind, [lambda f=f: f(encoded) for f in headers])
    words = tf.gather(list(rules.REFUSALS), refusal)
    with tf.control_dependencies([tf.debugging.Assert(tf.equal(refusal, 0), [words])]):
        encoded = tf.identity(encoded)
    readers = (_jpeg_rgb, _png_rgb, _gif_rgb, _bmp_rgb, _webp_rgb)
    pixels = tf.switch_case(kind, [lambda f=f: f(encoded, alpha) for f in readers])
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


def _jpeg_rgb(encoded: Tensor, alpha: Tensor) -> Tensor:
    # The default, INTEGER_FAST, is off by up to 16 grey levels.
    return tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")


def _png_rgb(encoded: Tensor, alpha: Tensor) -> Tensor:
    return tf.cond(
        alpha,
        lambda: _on_white(tf.io.decode_png(encoded, channels=4)),
        lambda: tf.io.decode_png(encoded, channels=3),
    )


def _gif_rgb(encoded: Tensor, alpha: Tensor) -> Tensor:
    return tf.io.decode_image(encoded, channels=3, expand_animations=False)


def _webp_rgb(encoded: Tensor, alpha: Tensor) -> Tensor:
    return tf.cond(
        alpha,
        lambda: _on_white(tf.io.decode_image(encoded, channels=4, expand_animations=False)),
        lambda: tf.io.decode_image(encoded, channels=3, expand_animations=False),
    )


def _bmp_rgb(encoded: Tensor, alpha: Tensor) -> Tensor:
    """Return the pixels; TensorFlow takes a palette's indices for grey levels, so they are looked up here."""
    width, height, bits = _bmp_shape(encoded)
    end = _little(encoded, 10, 4) + (width * bits + 31) // 32 * 4 * height
    stored = tf.io.decode_bmp(tf.strings.substr(encoded, tf.constant(0, tf.int64), end), channels=3)
    return tf.cond(tf.equal(bits, 8), lambda: _looked_up(encoded, stored[..., 0]), lambda: stored)


def _looked_up(encoded: Tensor, indices: Tensor) -> Tensor:
    colours = _little(encoded, 46, 4)
    colours = tf.where(tf.equal(colours, 0), tf.constant(256, tf.int64), tf.minimum(colours, 256))
    entries = tf.reshape(_bytes(encoded, 14 + _little(encoded, 14, 4), 1024), (256, 4))
    known = tf.range(256, dtype=tf.int64)[:, None] < colours
    palette = tf.where(known, entries[:, 2::-1], 0)
    return tf.cast(tf.gather(palette, tf.cast(indices, tf.int32)), tf.uint8)


def _on_white(pixels: Tensor) -> Tensor:
    pixels = tf.cast(pixels, tf.int32)
    colours, alpha = pixels[..., :3], pixels[..., 3:]
    return tf.cast((colours * alpha + 255 * (255 - alpha) + 127) // 255, tf.uint8)


def _upright(pixels: Tensor, turn: Tensor) -> Tensor:
    pixels = tf.cond(_among(turn, rules.TURNED), lambda: tf.transpose(pixels, (1, 0, 2)), lambda: pixels)
    pixels = tf.cond(_among(turn, rules.MIRRORED), lambda: tf.reverse(pixels, (1,)), lambda: pixels)
    return tf.cond(_among(turn, rules.UPSIDE_DOWN), lambda: tf.reverse(pixels, (0,)), lambda: pixels)


def _among(value: Tensor, choices: tuple[int, ...]) -> Tensor:
    return tf.reduce_any(tf.equal(value, tf.constant(choices, tf.int64)))


def _slice(encoded: Tensor, at: Any, count: int) -> Tensor:
    length = tf.cast(tf.strings.length(encoded), tf.int64)
    return tf.strings.substr(encoded, tf.minimum(tf.cast(at, tf.int64), length), tf.constant(count, tf.int64))


def _bytes(encoded: Tensor, at: Any, count: int) -> Tensor:
    """Return `count` bytes as int64, zeros past the end."""
    return tf.cast(tf.io.decode_raw(_slice(encoded, at, count), tf.uint8, fixed_length=count), tf.int64)


def _little(encoded: Tensor, at: Any, count: int) -> Tensor:
    return tf.reduce_sum(_bytes(encoded, at, count) * [1 << 8 * i for i in range(count)])


def _big(encoded: Tensor, at: Any, count: int) -> Tensor:
    return tf.reduce_sum(_bytes(encoded, at, count) * [1 << 8 * i for i in reversed(range(count))])


def _length(encoded: Tensor) -> Tensor:
    return tf.cast(tf.strings.length(encoded), tf.int64)


def _kind(encoded: Tensor) -> Tensor:
    """Return the index into KINDS, or its length for any other content."""
    found = [tf.equal(_slice(encoded, 0, len(start)), start) for start in _STARTS]
    found.append(tf.logical_and(tf.equal(_slice(encoded, 0, 4), b"RIFF"), tf.equal(_slice(encoded, 8, 4), b"WEBP")))
    return tf.argmax(tf.cast(tf.stack([*found, tf.constant(True)]), tf.int32), output_type=tf.int32)


def _header(refusal: Any, tiff: Any = -1, alpha: Any = False) -> _Header:
    return tf.cast(refusal, tf.int64), tf.cast(tiff, tf.int64), tf.cast(alpha, tf.bool)


def _large(height: Tensor, width: Tensor, otherwise: Any = 0) -> Tensor:
    return tf.where(height * width > rules.MAX_PIXELS, tf.cast(rules.LARGE, tf.int64), tf.cast(otherwise, tf.int64))


def _jpeg(encoded: Tensor) -> _Header:
    length = _length(encoded)

    def body(at: Tensor, tiff: Tensor, pixels: Tensor, go: Tensor) -> tuple[Tensor, ...]:
        head = _bytes(encoded, at, 10)
        marker = head[1]
        exif = tf.logical_and(tf.equal(marker, 0xE1), tf.reduce_all(tf.equal(head[4:10], list(b"Exif\0\0"))))
        fill, empty = tf.equal(marker, 0xFF), _among(marker, (0x01, *range(0xD0, 0xD8)))
        frame = _among(marker, tuple(m for m in range(0xC0, 0xD0) if m not in (0xC4, 0xC8, 0xCC)))
        go = tf.logical_and(tf.equal(head[0], 0xFF), tf.logical_not(_among(marker, (0xD9, 0xDA))))
        frame = tf.logical_and(frame, go)
        tiff = tf.where(tf.logical_and(tf.logical_and(exif, go), tiff < 0), at + 10, tiff)
        pixels = tf.where(frame, _big(encoded, at + 5, 2) * _big(encoded, at + 7, 2), pixels)
        one, two = tf.constant(1, tf.int64), tf.constant(2, tf.int64)
        step = tf.where(fill, one, tf.where(empty, two, 2 + head[2] * 256 + head[3]))
        return at + step, tiff, pixels, tf.logical_and(go, tf.logical_not(frame))

    start = (tf.constant(2, tf.int64), tf.constant(-1, tf.int64), tf.constant(0, tf.int64), tf.constant(True))
    _, tiff, pixels, _ = tf.while_loop(
        lambda at, tiff, pixels, go: tf.logical_and(go, at < length), body, start, parallel_iterations=1
    )
    return _header(_large(pixels, tf.constant(1, tf.int64)), tiff)


def _png(encoded: Tensor) -> _Header:
    length = _length(encoded)

    def body(at: Tensor, tiff: Tensor, key: Tensor, go: Tensor) -> tuple[Tensor, ...]:
        tag = _slice(encoded, at + 4, 4)
        go = tf.logical_not(tf.logical_or(tf.equal(tag, b"IDAT"), tf.equal(tag, b"IEND")))
        tiff = tf.where(tf.logical_and(tf.equal(tag, b"eXIf"), tiff < 0), at + 8, tiff)
        key = tf.logical_or(key, tf.equal(tag, b"tRNS"))
        return at + 12 + _big(encoded, at, 4), tiff, key, go

    start = (tf.constant(8, tf.int64), tf.constant(-1, tf.int64), tf.constant(False), tf.constant(True))
    _, tiff, key, _ = tf.while_loop(
        lambda at, tiff, key, go: tf.logical_and(go, at < length), body, start, parallel_iterations=1
    )
    depth, colours = _big(encoded, 24, 1), _big(encoded, 25, 1)
    odd_key = tf.logical_and(key, tf.logical_and(tf.not_equal(colours, 3), tf.not_equal(depth, 8)))
    refusal = tf.where(odd_key, rules.PNG_KEY, 0)
    return _header(
        _large(_big(encoded, 16, 4), _big(encoded, 20, 4), refusal), tiff, tf.logical_or(key, _among(colours, (4, 6)))
    )


def _gif(encoded: Tensor) -> _Header:
    length, flags = _length(encoded), _bytes(encoded, 10, 1)[0]
    table = tf.bitwise.left_shift(tf.constant(3, tf.int64), flags % 8 + 1) * (flags // 128)

    def body(at: Tensor, inside: Tensor, go: Tensor) -> tuple[Tensor, ...]:
        byte = _bytes(encoded, at, 1)[0]
        extension = tf.equal(byte, 0x21)
        step = tf.where(inside, 1 + byte, tf.where(extension, tf.constant(2, tf.int64), tf.constant(0, tf.int64)))
        return at + step, tf.where(inside, tf.not_equal(byte, 0), extension), tf.logical_or(inside, extension)

    at, _, _ = tf.while_loop(
        lambda at, inside, go: tf.logical_and(go, at < length),
        body,
        (13 + table, tf.constant(False), tf.constant(True)),
        parallel_iterations=1,
    )
    width, height = _little(encoded, 6, 2), _little(encoded, 8, 2)
    frame = tf.stack([_little(encoded, at + offset, 2) for offset in (1, 3, 5, 7)])
    fills = tf.reduce_all(tf.equal(frame, tf.stack([tf.zeros_like(width), tf.zeros_like(width), width, height])))
    return _header(_large(height, width, tf.where(fills, 0, rules.GIF_FRAME)))


def _bmp_shape(encoded: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    width, height = (
        tf.where(value >= 1 << 31, value - (1 << 32), value)
        for value in (_little(encoded, 18, 4), _little(encoded, 22, 4))
    )
    return width, tf.abs(height), _little(encoded, 28, 2)


def _bmp(encoded: Tensor) -> _Header:
    width, height, bits = _bmp_shape(encoded)
    plain = tf.logical_and(_little(encoded, 14, 4) >= 40, _among(bits, (8, 24, 32)))
    plain = tf.logical_and(plain, tf.logical_and(tf.equal(_little(encoded, 30, 4), 0), width >= 1))
    end = _little(encoded, 10, 4) + (width * bits + 31) // 32 * 4 * height
    refusal = _large(height, width, tf.where(end > _length(encoded), rules.BMP_SHORT, 0))
    return _header(tf.where(plain, refusal, tf.constant(rules.BMP_KIND, tf.int64)))


def _webp(encoded: Tensor) -> _Header:
    tag, flags, packed = _slice(encoded, 12, 4), _little(encoded, 20, 1), _little(encoded, 21, 4)
    extended, lossless = tf.equal(tag, b"VP8X"), tf.equal(tag, b"VP8L")
    lossy_size = (_little(encoded, 26, 2) % (1 << 14), _little(encoded, 28, 2) % (1 << 14))
    lossless_size = (packed % (1 << 14) + 1, packed // (1 << 14) % (1 << 14) + 1)
    extended_size = (_little(encoded, 24, 3) + 1, _little(encoded, 27, 3) + 1)
    width, height = (
        tf.where(extended, x, tf.where(lossless, y, z))
        for x, y, z in zip(extended_size, lossless_size, lossy_size, strict=True)
    )
    alpha_bit = tf.where(extended, flags // 16 % 2, tf.where(lossless, packed // (1 << 28) % 2, tf.zeros_like(packed)))
    animated = tf.logical_and(extended, tf.equal(flags // 2 % 2, 1))
    refusal = _large(height, width, tf.where(animated, rules.WEBP_ANIMATED, 0))
    return _header(refusal, _webp_tiff(encoded), tf.equal(alpha_bit, 1))


def _webp_tiff(encoded: Tensor) -> Tensor:
    length = _length(encoded)

    def body(at: Tensor, tiff: Tensor) -> tuple[Tensor, Tensor]:
        size = _little(encoded, at + 4, 4)
        prefixed = tf.cast(tf.equal(_slice(encoded, at + 8, 6), b"Exif\0\0"), tf.int64)
        tiff = tf.where(tf.equal(_slice(encoded, at, 4), b"EXIF"), at + 8 + 6 * prefixed, tiff)
        return at + 8 + size + size % 2, tiff

    start = (tf.constant(12, tf.int64), tf.constant(-1, tf.int64))
    _, tiff = tf.while_loop(lambda at, tiff: tf.logical_and(tiff < 0, at < length), body, start, parallel_iterations=1)
    return tiff


def _orientation(encoded: Tensor, tiff: Tensor) -> Tensor:
    start = _slice(encoded, tiff, 4)
    little, big = tf.equal(start, b"II*\0"), tf.equal(start, b"MM\0*")

    def number(octets: Tensor) -> Tensor:
        """Return `[..., n]` bytes as numbers, in the byte order that the directory has."""
        weights = tf.constant([1 << 8 * i for i in range(octets.shape[-1])], tf.int64)
        return tf.reduce_sum(octets * tf.where(little, weights, weights[::-1]), axis=-1)

    directory = tiff + number(_bytes(encoded, tiff + 4, 4))
    count = tf.minimum(number(_bytes(encoded, directory, 2)), rules.MAX_TAGS)
    entries = tf.reshape(_bytes(encoded, directory + 2, 12 * rules.MAX_TAGS), (rules.MAX_TAGS, 12))[:count]
    tagged = tf.boolean_mask(entries, tf.equal(number(entries[:, :2]), rules.ORIENTATION_TAG))
    value = number(tf.concat([tagged[:, 8:10], tf.zeros((1, 2), tf.int64)], axis=0))[0]
    good = tf.logical_and(tf.logical_or(little, big), tf.logical_and(value >= 1, value <= 8))
    return tf.where(good, value, tf.constant(1, tf.int64))
