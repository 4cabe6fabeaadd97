"""Strings of bytes, read as numbers in a graph. Few operations: in training they run for each image."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

Tensor = Any
Header = tuple[Tensor, Tensor, Tensor, Tensor]

_WORDS = {1: tf.uint8, 2: tf.uint16, 4: tf.int32}
_UNSIGNED = 0xFFFFFFFF


def header(refusal: Any, plain: Any = b"", tiff: Any = -1, alpha: Any = False) -> Header:
    """Return what a codec's walk found."""
    return tf.cast(refusal, tf.int64), tf.cast(tiff, tf.int64), tf.cast(alpha, tf.bool), tf.convert_to_tensor(plain)


def first(*cases: tuple[Any, int]) -> Tensor:
    """Return the number of the first case whose condition holds, 0 where none does."""
    conditions, numbers = zip(*cases, (True, 0), strict=True)
    return tf.constant(numbers, tf.int64)[tf.argmax(tf.cast(tf.stack(conditions), tf.uint8))]


def every(*conditions: Any) -> Tensor:
    """Return whether all conditions hold."""
    return tf.reduce_all(tf.stack(conditions))


def some(*conditions: Any) -> Tensor:
    """Return whether one of the conditions holds."""
    return tf.reduce_any(tf.stack(conditions))


def among(values: Tensor, choices: tuple[int, ...]) -> Tensor:
    """Return which int64 numbers are one of a few."""
    return tf.reduce_any(tf.equal(values[..., None], tf.constant(choices, tf.int64)), axis=-1)


def length(encoded: Tensor) -> Tensor:
    """Return the bytes of a string as int64."""
    return tf.cast(tf.strings.length(encoded), tf.int64)


def text(encoded: Tensor, at: Any, count: Any) -> Tensor:
    """Return `count` bytes, fewer at the end."""
    place = tf.minimum(tf.cast(at, tf.int64), length(encoded))
    return tf.strings.substr(encoded, place, tf.cast(count, tf.int64))


def words(encoded: Tensor, at: Any, size: int, count: int, big_endian: bool = False) -> Tensor:
    """Return `count` numbers of `size` bytes (1, 2 or 4) as int64, zeros past the end."""
    raw = tf.io.decode_raw(text(encoded, at, size * count), _WORDS[size], not big_endian, fixed_length=size * count)
    found = tf.cast(raw, tf.int64)
    return tf.bitwise.bitwise_and(found, _UNSIGNED) if size == 4 else found


def octets(encoded: Tensor, at: Any, count: int) -> Tensor:
    """Return `count` bytes as int64, zeros past the end."""
    return words(encoded, at, 1, count)


def little(encoded: Tensor, at: Any, count: int) -> Tensor:
    """Return a number of 1 to 4 bytes whose first counts least."""
    found = words(encoded, at, 4 if count == 3 else count, 1)[0]
    return tf.bitwise.bitwise_and(found, 0xFFFFFF) if count == 3 else found


def big(encoded: Tensor, at: Any, count: int) -> Tensor:
    """Return a number of 1, 2 or 4 bytes whose first counts most."""
    return words(encoded, at, count, 1, big_endian=True)[0]


def walk(step: Callable[..., tuple[Any, ...]], start: Any, end: Any, most: int) -> tuple[Tensor, Tensor]:
    """Follow parts, one after the other, as long as they begin before `end`, and `most` of them.

    Args:
        step: From where a part begins to where the next one does; from `end` on for none.
        start: Where the first part begins.
        end: Of what is walked.
        most: Parts.

    Returns:
        Where each part begins, int64 `[parts]`, and where the next one would.
    """

    def body(at: Tensor, number: Tensor, places: Any) -> tuple[Tensor, ...]:
        return step(at), number + 1, places.write(number, at)

    places = tf.TensorArray(tf.int64, size=0, dynamic_size=True, element_shape=[])
    at, _, places = tf.while_loop(
        lambda at, number, _: tf.logical_and(at < end, number < most),
        body,
        (tf.cast(start, tf.int64), 0, places),
        parallel_iterations=1,
    )
    return places.stack(), at


def rows(stored: Tensor, places: Tensor, count: int) -> Tensor:
    """Return the `count` bytes at each place of uint8 `[bytes]`, int64 `[n, count]`, zeros past the end."""
    at = places[:, None] + tf.range(count, dtype=tf.int64)
    size = tf.size(stored, tf.int64)
    return tf.where(at < size, tf.cast(tf.gather(stored, tf.minimum(at, size - 1)), tf.int64), 0)


def earliest(places: Tensor, wanted: Tensor) -> Tensor:
    """Return the first of growing places where `wanted` holds, -1 where it does nowhere."""
    index = tf.argmax(tf.cast(tf.concat([wanted, [True]], 0), tf.uint8))
    return tf.concat([places, [-1]], 0)[index]
