"""GIF: the first frame, its codes checked before anything decodes them, and pixels through Pillow.

The format has no checksum, and decoders make something of codes that cannot be. Here a code must be one that has been
defined when it comes, and the codes of a frame must make at least as many pixels as it has.
"""

import functools
import io

import numpy as np
from PIL import Image

from kerasnets.data.codecs import rules
from kerasnets.data.codecs.rules import Header

LONGEST = 255  # bytes of a block
LOGICAL, EXTENSION, FRAME, TRAILER = 13, 0x21, 0x2C, b"\x3b"
WIDEST = 12  # bits of a code
CODES = 1 << WIDEST
MAX_TABLES = 4096  # times that a frame may begin its table anew: more would cost seconds, and no encoder does it


def header(encoded: bytes) -> Header:
    """Walk the blocks to the end of the first frame (GIF89a specification)."""
    size, flags = (rules.little(encoded, 6, 2), rules.little(encoded, 8, 2)), rules.little(encoded, 10, 1)
    colours = LOGICAL + _table(flags)
    at, parts = _frame(encoded, colours)
    frame = tuple(rules.little(encoded, at + offset, 2) for offset in (1, 3, 5, 7))
    own = rules.little(encoded, at + 9, 1)
    codes = at + 10 + _table(own)
    data, end, parts = _blocks(encoded, codes + 1, parts)
    if size[0] * size[1] > rules.MAX_PIXELS:
        return Header(rules.LARGE)
    if parts >= rules.MAX_PARTS:
        return Header(rules.PARTS)
    if rules.at(encoded, at, 1)[0] != FRAME or end > len(encoded):
        return Header(rules.GIF_SHORT)
    if frame != (0, 0, *size) or not size[0] * size[1]:
        return Header(rules.GIF_FRAME)
    entries = (_table(own) or _table(flags)) // 3
    if not sound(data, rules.little(encoded, codes, 1), size[0] * size[1], entries):
        return Header(rules.GIF_CODES)
    return Header(plain=encoded[:colours] + encoded[at:end] + TRAILER)


def animated(encoded: bytes) -> bool:
    """Return whether there is another frame behind the first, of a GIF that is decoded."""
    at, _ = _frame(encoded, LOGICAL + _table(rules.little(encoded, 10, 1)))
    _, end, _ = _blocks(encoded, at + 11 + _table(rules.little(encoded, at + 9, 1)), 0)
    at, _ = _frame(encoded, end)
    return encoded[at : at + 1] == bytes([FRAME])


def _table(flags: int) -> int:
    """Return the bytes of a table of colours."""
    return (3 << (flags & 7) + 1) * (flags >> 7)


def _frame(encoded: bytes, at: int) -> tuple[int, int]:
    """Return where the first block is that is no extension, and how many parts were passed over."""
    parts = 0
    while at < len(encoded) and encoded[at] == EXTENSION and parts < rules.MAX_PARTS:
        _, at, parts = _blocks(encoded, at + 2, parts)
    return at, parts


def _blocks(encoded: bytes, at: int, parts: int) -> tuple[bytes, int, int]:
    """Return the content of blocks up to the empty one, where they end (past the file where cut short), and parts."""
    found = []
    while parts < rules.MAX_PARTS:
        length, parts = rules.little(encoded, at, 1), parts + 1
        found.append(encoded[at + 1 : at + 1 + length])
        at += 1 + length
        if not length:
            break
    return b"".join(found), at, parts


@functools.cache
def layout(bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what is known of the K codes that fill a new table, which begins with colours of `bits` bits.

    The bits before each, int64 `[K + 1]`, and the highest that it may be, `[K]`: the first can only be a colour.
    """
    clear = 1 << bits
    place = np.arange(CODES - 1 - clear, dtype=np.int64)
    defined = clear + 2 + np.maximum(place - 1, 0)
    widths = np.searchsorted(1 << np.arange(WIDEST), defined, "right")
    return np.concatenate([[0], np.cumsum(widths)]), np.where(place, clear + 1 + place, clear - 1)


def sound(data: bytes, bits: int, pixels: int, colours: int) -> bool:
    """Return whether LZW codes are all defined when they come, and make at least so many pixels of so many colours.

    Args:
        data: The blocks' content.
        bits: Of a colour: the frame's "code size".
        pixels: Of the frame.
        colours: Of its table.
    """
    if not 1 <= bits <= 8:
        return False
    octets = np.frombuffer(data + bytes(4), np.uint8).astype(np.int64)
    clear, (offsets, highest), end = 1 << bits, layout(bits), 8 * len(data)
    bit, made, tables, fresh = 0, 0, 0, True
    lengths = np.zeros(0, np.int64)
    while tables < MAX_TABLES:
        places = bit + (offsets if fresh else WIDEST * np.arange(len(offsets)))
        codes = _codes(octets, places)
        good = (places[1:] <= end) & (codes <= (highest if fresh else CODES))
        good &= np.where(codes < clear, codes < colours, codes > clear + 1)
        count = len(codes) if good.all() else int(good.argmin())
        lengths = _lengths(codes, clear) if fresh else lengths
        made += int(np.where(codes < clear, 1, 1 + lengths[codes - clear - 2])[:count].sum())
        if made >= pixels:
            return True
        fresh = count < len(codes)
        if fresh and (codes[count] != clear or places[count + 1] > end):
            return False
        bit, tables = int(places[count + fresh]), tables + fresh
    return False


def _codes(octets: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the numbers between neighbouring places in a stream of bits, the first bit the lowest."""
    first = np.minimum(places[:-1] >> 3, len(octets) - 3)
    window = octets[first] | octets[first + 1] << 8 | octets[first + 2] << 16
    return window >> (places[:-1] & 7) & (1 << np.diff(places)) - 1


def _lengths(codes: np.ndarray, clear: int) -> np.ndarray:
    """Return how many pixels each code of a new table makes, int64 `[K]`.

    A code is one colour, or one pixel more than the code that stood before the one that defined it: chains that are
    followed in jumps of doubling length.
    """
    count = len(codes)
    before = np.where(codes < clear + 2, count, codes - clear - 2)
    before = np.append(np.where(before < np.arange(count), before, count), count)
    lengths = np.append(np.ones(count, np.int64), 0)
    while (before < count).any():
        lengths, before = lengths + lengths[before], before[before]
    return lengths[:-1]


def pixels(header: Header) -> np.ndarray:
    """Return uint8 `[h, w, 3]`."""
    with Image.open(io.BytesIO(header.plain), formats=("GIF",)) as image:
        return np.asarray(image.convert("RGB"))
