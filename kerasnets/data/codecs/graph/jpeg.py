"""JPEG in a graph; see `codecs/jpeg.py`. All segments are looked at together: a loop over them would cost more."""

from typing import Any

import tensorflow as tf

from kerasnets.data.codecs import jpeg, rules
from kerasnets.data.codecs.graph.octets import Header, among, earliest, every, first, header, rows, some

Tensor = Any

_TRANSFORM = "INTEGER_ACCURATE"
_HEAD = 10 + 3 * jpeg.COMPONENTS  # bytes of a segment that are looked at


def read(encoded: Tensor) -> Header:
    """Walk the segments up to the end marker."""
    stored = tf.io.decode_raw(encoded, tf.uint8)
    places, whole = _segments(stored)
    heads = rows(stored, places, _HEAD)
    marker, length = heads[:, 1], heads[:, 2] * 256 + heads[:, 3]
    is_scan, is_frame = tf.equal(marker, jpeg.SCAN), among(marker, jpeg.FRAMES)
    ahead = tf.equal(tf.cumsum(tf.cast(is_scan, tf.int64)), 0)
    exif = tf.logical_and(tf.equal(marker, jpeg.EXIF), _begins(heads[:, 4:], jpeg.EXIF_START))
    adobe = tf.logical_and(tf.equal(marker, jpeg.ADOBE), _begins(heads[:, 4:], jpeg.ADOBE_START))
    there = tf.minimum(length, tf.size(stored, tf.int64) - places - 2)
    adobe = tf.logical_and(tf.logical_and(adobe, ahead), there >= jpeg.APP_LENGTH[jpeg.ADOBE])
    sizes = (heads[:, 5] * 256 + heads[:, 6]) * (heads[:, 7] * 256 + heads[:, 8])
    frame = _first_row(heads, tf.logical_and(is_frame, heads[:, 9] > 0))
    count = tf.size(places, tf.int64)
    scans = tf.boolean_mask(heads, is_scan)
    refusal = first(
        (some(count > rules.MAX_PARTS, every(tf.equal(count, rules.MAX_PARTS), tf.logical_not(whole))), rules.PARTS),
        (tf.reduce_max(tf.where(is_frame, sizes, 0)) > rules.MAX_PIXELS, rules.LARGE),
        (every(tf.equal(frame[9], 4), tf.logical_not(tf.reduce_any(adobe))), rules.JPEG_CMYK),
        (tf.shape(scans)[0] > rules.MAX_SCANS, rules.JPEG_SCANS),
        (tf.logical_not(every(whole, _complete(frame, scans[: rules.MAX_SCANS]))), rules.JPEG_SHORT),
    )
    tiff = earliest(places, tf.logical_and(exif, ahead))
    return header(refusal, encoded, tf.where(tiff < 0, tiff, tiff + 10))


def _segments(stored: Tensor) -> tuple[Tensor, Tensor]:
    """Return where segments begin, int64, and whether the end marker is reached."""
    markers = _markers(stored)
    count = tf.size(markers)
    heads = rows(stored, markers, 4)
    marker, length = heads[:, 1], heads[:, 2] * 256 + heads[:, 3]
    end = tf.equal(marker, jpeg.END)
    empty = tf.logical_or(marker < jpeg.CONTENT, tf.equal(marker, jpeg.AGAIN))
    last = tf.logical_or(end, tf.logical_and(tf.logical_not(empty), length < 2))
    after = tf.where(last, tf.size(stored, tf.int64), markers + 2 + tf.where(empty, tf.zeros_like(length), length))
    reached = _reached(tf.searchsorted(markers, after), count)
    whole = tf.reduce_any(tf.logical_and(reached, end))
    return tf.boolean_mask(markers, tf.logical_and(reached, tf.logical_or(tf.logical_not(last), end))), whole


def _markers(stored: Tensor) -> Tensor:
    """Return where markers are, int64: 0xFF with no stuffed byte, restart or fill byte after it."""
    here = 2 + tf.where(tf.equal(stored[2:-1], 0xFF))[:, 0]
    ahead = tf.gather(stored, here + 1)
    restart = tf.equal(tf.bitwise.bitwise_and(ahead, tf.constant(0xF8, tf.uint8)), 0xD0)
    none = tf.logical_or(tf.logical_or(tf.equal(ahead, 0), tf.equal(ahead, 0xFF)), restart)
    return tf.boolean_mask(here, tf.logical_not(none))


def _reached(following: Tensor, count: Tensor) -> Tensor:
    """Return which of `count` places are reached from the first, each knowing the one that follows it.

    In jumps of doubling length: what is reached in 2 n steps is what n steps reach, and n more from there.
    """

    def step(reached: Tensor, jump: Tensor, length: Tensor) -> tuple[Tensor, ...]:
        more = tf.boolean_mask(jump, reached)[:, None]
        reached = tf.tensor_scatter_nd_update(reached, more, tf.ones_like(more[:, 0], tf.bool))
        return reached, tf.gather(jump, jump), 2 * length

    jump = tf.concat([following, [count]], 0)
    start = (tf.one_hot(0, count + 1, True, False), jump, tf.constant(1))
    reached, _, _ = tf.while_loop(lambda reached, jump, length: length <= count, step, start, parallel_iterations=1)
    return reached[:-1]


def _begins(heads: Tensor, start: bytes) -> Tensor:
    return tf.reduce_all(tf.equal(heads[:, : len(start)], list(start)), axis=1)


def _first_row(heads: Tensor, wanted: Tensor) -> Tensor:
    """Return the first head that is wanted, zeros where there is none."""
    return tf.pad(tf.boolean_mask(heads, wanted)[:1], [(0, 1), (0, 0)])[0]


def _complete(frame: Tensor, scans: Tensor) -> Tensor:
    """Return whether the scans brought every coefficient of every component of the frame, in full."""
    progressive = among(frame[1], jpeg.PROGRESSIVE)
    count, number = tf.shape(scans)[0], scans[:, 4]
    ends = 5 + 2 * number[:, None] + tf.range(3, dtype=tf.int64)
    first_, last, bits = tf.unstack(tf.gather(scans, tf.minimum(ends, _HEAD - 1), batch_dims=1), axis=1)
    components, coefficients = (tf.range(n, dtype=tf.int64) for n in (jpeg.COMPONENTS, jpeg.COEFFICIENTS))
    named = tf.equal(frame[10::3][:, None], scans[:, None, 5 : 5 + 2 * jpeg.COMPONENTS : 2])
    named = tf.reduce_any(tf.logical_and(named, components < number[:, None, None]), axis=2)
    there = tf.logical_and(coefficients >= first_[:, None], coefficients <= last[:, None])
    brought = tf.logical_and(named[..., None], tf.logical_or(there, tf.logical_not(progressive))[:, None])
    latest = tf.reduce_max(tf.where(brought, tf.range(1, count + 1)[:, None, None], 0), axis=0)
    low = tf.concat([[1], tf.where(progressive, bits % 16, 0)], 0)
    left = tf.gather(low, tf.maximum(latest, 0))
    return tf.logical_not(tf.reduce_any(tf.logical_and(left > 0, (components < frame[9])[:, None])))


def pixels(plain: Tensor, alpha: Tensor) -> Tensor:
    """Return the pixels; the default of the operation, INTEGER_FAST, is off by up to 16 grey levels."""
    return tf.io.decode_jpeg(plain, channels=3, dct_method=_TRANSFORM)


def size(plain: Tensor) -> Tensor:
    """Return height and width, int32 `[2]`."""
    return tf.io.extract_jpeg_shape(plain)[:2]


def part(plain: Tensor, box: Tensor) -> Tensor:
    """Return the pixels of a box (top, left, height, width), int32 `[4]`, the rest not decoded.

    Its outermost pixels may be off, where colours are stored at half the resolution: libjpeg takes those outside the
    box for those at its border. One pixel further in all are `pixels`' own.
    """
    return tf.io.decode_and_crop_jpeg(plain, box, channels=3, dct_method=_TRANSFORM)
