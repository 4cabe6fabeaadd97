"""GIF in a graph; see `codecs/gif.py`."""

from typing import Any

import tensorflow as tf

from kerasnets.data.codecs import gif, rules
from kerasnets.data.codecs.graph.octets import (
    Header,
    every,
    first,
    header,
    length,
    little,
    some,
    text,
    words,
)

Tensor = Any

_SPARE = 4  # bytes behind a stream, so that a code can be read across its end


def read(encoded: Tensor) -> Header:
    """Walk the blocks to the end of the first frame."""
    stored = tf.io.decode_raw(encoded, tf.uint8)
    width, height, _ = tf.unstack(words(encoded, 6, 2, 3))
    flags = little(encoded, 10, 1)
    colours = gif.LOGICAL + _table(flags)
    at, parts = _frame(stored, colours)
    frame, own = words(encoded, at + 1, 2, 4), little(encoded, at + 9, 1)
    codes = at + 10 + _table(own)
    starts, end, more = _blocks(stored, codes + 1)
    refusal = first(
        (width * height > rules.MAX_PIXELS, rules.LARGE),
        (parts + more >= rules.MAX_PARTS, rules.PARTS),
        (some(tf.not_equal(little(encoded, at, 1), gif.FRAME), end > length(encoded)), rules.GIF_SHORT),
        (tf.reduce_any(tf.not_equal(frame, tf.stack([0, 0, width, height]))), rules.GIF_FRAME),
        (tf.equal(width * height, 0), rules.GIF_FRAME),
    )
    entries = tf.where(own > 127, _table(own), _table(flags)) // 3
    is_sound = tf.cond(
        tf.equal(refusal, 0),
        lambda: sound(_content(stored, codes + 1, end, starts), little(encoded, codes, 1), width * height, entries),
        lambda: True,
    )
    pieces = [text(encoded, 0, colours), text(encoded, at, end - at), tf.constant(gif.TRAILER)]
    return header(tf.where(is_sound, refusal, rules.GIF_CODES), tf.strings.join(pieces))


def _table(flags: Tensor) -> Tensor:
    return tf.bitwise.left_shift(tf.constant(3, tf.int64), flags % 8 + 1) * (flags // 128)


def _frame(stored: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    """Return where the first block is that is no extension, and how many parts were passed over."""
    size = tf.size(stored, tf.int64)

    def go(at: Tensor, parts: Tensor) -> Tensor:
        is_extension = tf.equal(stored[tf.minimum(at, size - 1)], gif.EXTENSION)
        return every(at < size, is_extension, parts < rules.MAX_PARTS)

    def step(at: Tensor, parts: Tensor) -> tuple[Tensor, ...]:
        _, end, more = _blocks(stored, at + 2)
        return end, parts + more

    at, parts = tf.while_loop(go, step, (at, tf.constant(0, tf.int64)), parallel_iterations=1)
    return at, parts


def _blocks(stored: Tensor, at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return where blocks begin up to the empty one, where that ends, and how many there are.

    Encoders fill all blocks but the last: a run of full ones, and the one behind it, are one step.
    """
    size = tf.size(stored, tf.int64)

    def go(at: Tensor, going: Tensor, parts: Tensor, *_: Any) -> Tensor:
        return tf.logical_and(going, parts < rules.MAX_PARTS)

    def step(at: Tensor, going: Tensor, parts: Tensor, number: Tensor, starts: Any) -> tuple[Any, ...]:
        full = tf.equal(stored[tf.minimum(at, size) :: 1 + gif.LONGEST], gif.LONGEST)
        run = tf.argmin(tf.concat([tf.cast(full, tf.uint8), [0]], 0))
        last = at + (1 + gif.LONGEST) * run
        count = tf.cast(tf.concat([stored[tf.minimum(last, size) :][:1], [0]], 0)[0], tf.int64)
        starts = starts.write(number, tf.range(at, last + 1, 1 + gif.LONGEST))
        return last + 1 + count, count > 0, parts + run + 1, number + 1, starts

    found = tf.TensorArray(tf.int64, size=0, dynamic_size=True, infer_shape=False, element_shape=[None])
    start = (at, tf.constant(True), tf.constant(0, tf.int64), 0, found)
    at, _, parts, _, found = tf.while_loop(go, step, start, parallel_iterations=1)
    return found.concat(), at, parts


def _content(stored: Tensor, at: Tensor, end: Tensor, starts: Tensor) -> Tensor:
    """Return the content of blocks as int32, `_SPARE` zeros behind it."""
    within = stored[at:end]
    lengths = tf.scatter_nd(starts[:, None] - at, tf.ones_like(starts, tf.uint8), [end - at])
    return tf.pad(tf.cast(tf.boolean_mask(within, tf.equal(lengths, 0)), tf.int32), [(0, _SPARE)])


def sound(stream: Tensor, bits: Tensor, pixels: Tensor, colours: Tensor) -> Tensor:
    """Return whether LZW codes are all defined when they come, and make enough pixels; see `gif.sound`.

    Args:
        stream: int32, `_SPARE` zeros behind it.
        bits: Of a colour, int64 as all that follow.
        pixels: Of the frame.
        colours: Of its table.
    """
    clear = tf.bitwise.left_shift(1, tf.cast(tf.clip_by_value(bits, 1, 8), tf.int32))
    colours, pixels = tf.cast(colours, tf.int32), tf.cast(pixels, tf.int32)
    offsets, highest = _layout(clear)
    count, end = tf.size(highest), 8 * (tf.size(stream) - _SPARE)

    def go(going: Tensor, made: Tensor, tables: Tensor, *_: Tensor) -> Tensor:
        return every(going, made < pixels, tables < gif.MAX_TABLES)

    def step(
        going: Tensor, made: Tensor, tables: Tensor, bit: Tensor, fresh: Tensor, lengths: Tensor
    ) -> tuple[Tensor, ...]:
        places = bit + tf.where(fresh, offsets, gif.WIDEST * tf.range(count + 1))
        codes = _codes(stream, places)
        good = tf.logical_and(places[1:] <= end, codes <= tf.where(fresh, highest, gif.CODES))
        good = tf.logical_and(good, tf.where(codes < clear, codes < colours, codes > clear + 1))
        read = tf.argmin(tf.concat([tf.cast(good, tf.uint8), [0]], 0), output_type=tf.int32)
        lengths = tf.cond(fresh, lambda: _lengths(codes, clear), lambda: lengths)
        several = 1 + tf.gather(lengths, tf.clip_by_value(codes - clear - 2, 0, count - 1))
        made += tf.reduce_sum(tf.where(codes < clear, 1, several)[:read])
        fresh = read < count
        last = tf.minimum(read, count - 1)
        anew = every(tf.equal(codes[last], clear), places[last + 1] <= end)
        next_ = read + tf.cast(fresh, tf.int32)
        return some(tf.logical_not(fresh), anew), made, tables + next_ - read, places[next_], fresh, lengths

    start = (every(bits >= 1, bits <= 8), 0, 0, 0, True, tf.zeros_like(highest))
    return tf.while_loop(go, step, start, parallel_iterations=1)[1] >= pixels


def _layout(clear: Tensor) -> tuple[Tensor, Tensor]:
    """Return the bits before each code of a new table, int32 `[K + 1]`, and the highest that it may be, `[K]`."""
    place = tf.range(gif.CODES - 1 - clear)
    defined = clear + 2 + tf.maximum(place - 1, 0)
    widths = tf.searchsorted([1 << i for i in range(gif.WIDEST)], defined, "right")
    return tf.concat([[0], tf.cumsum(widths)], 0), tf.where(place > 0, clear + 1 + place, clear - 1)


def _codes(stream: Tensor, places: Tensor) -> Tensor:
    """Return the numbers between neighbouring places in a stream of bits, the first bit the lowest."""
    at = tf.minimum(places[:-1] // 8, tf.size(stream) - 3)
    window = sum(tf.gather(stream, at + i) * (1 << 8 * i) for i in range(3))
    window = tf.bitwise.right_shift(window, places[:-1] % 8)
    return tf.bitwise.bitwise_and(window, tf.bitwise.left_shift(1, places[1:] - places[:-1]) - 1)


def _lengths(codes: Tensor, clear: Tensor) -> Tensor:
    """Return how many pixels each code of a new table makes, int32 `[K]`; see `gif._lengths`."""
    count = tf.size(codes)
    before = codes - clear - 2
    before = tf.where(tf.logical_or(before < 0, before >= tf.range(count)), count, before)

    def step(lengths: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        return lengths + tf.gather(lengths, before), tf.gather(before, before)

    start = tf.concat([tf.ones_like(codes), [0]], 0), tf.concat([before, [count]], 0)
    return tf.while_loop(lambda lengths, before: tf.reduce_any(before < count), step, start, parallel_iterations=1)[0][
        :-1
    ]


def pixels(plain: Tensor, alpha: Tensor) -> Tensor:
    """Return the pixels."""
    return tf.io.decode_image(plain, channels=3, expand_animations=False)
