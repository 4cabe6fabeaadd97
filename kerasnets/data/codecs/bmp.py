"""BMP: uncompressed, read here as it is stored."""

import numpy as np

from kerasnets.data.codecs import rules
from kerasnets.data.codecs.rules import Header

HEADERS = (40, 52, 56, 64, 108, 124)  # lengths of BITMAPINFOHEADER and those that begin like it
BITS = (8, 24, 32)
FILE_HEADER = 14
COLOURS = 256


def header(encoded: bytes) -> Header:
    """Read the header; everything is where it says."""
    offset, size = rules.little(encoded, 10, 4), rules.little(encoded, 14, 4)
    width, height, bits = _shape(encoded)
    odd = rules.little(encoded, 30, 4) or width < 1 or not height or offset < FILE_HEADER + size
    if size not in HEADERS or bits not in BITS or odd:
        return Header(rules.BMP_KIND)
    if width * abs(height) > rules.MAX_PIXELS:
        return Header(rules.LARGE)
    return Header(rules.BMP_SHORT * (offset + _stride(width, bits) * abs(height) > len(encoded)), plain=encoded)


def pixels(header: Header) -> np.ndarray:
    """Return uint8 `[h, w, 3]`."""
    encoded = header.plain
    (width, height, bits), offset = _shape(encoded), rules.little(encoded, 10, 4)
    stride, rows = _stride(width, bits), abs(height)
    padded = np.frombuffer(encoded, np.uint8, stride * rows, offset).reshape(rows, stride)
    stored = padded[:, : width * bits // 8].reshape(rows, width, bits // 8)
    found = _palette(encoded)[stored[..., 0]] if bits == 8 else stored[..., 2::-1]
    return found if height < 0 else found[::-1]


def _shape(encoded: bytes) -> tuple[int, int, int]:
    """Return width, height (negative where the top row comes first) and bits a pixel."""
    width, height = (int.from_bytes(rules.at(encoded, place, 4), "little", signed=True) for place in (18, 22))
    return width, height, rules.little(encoded, 28, 2)


def _stride(width: int, bits: int) -> int:
    """Return the bytes of a row, a multiple of 4."""
    return (width * bits + 31) // 32 * 4


def _palette(encoded: bytes) -> np.ndarray:
    """Return the colours, uint8 `[256, 3]`, black for those that are not there."""
    count = min(rules.little(encoded, 46, 4) or COLOURS, COLOURS)
    stored = rules.at(encoded, FILE_HEADER + rules.little(encoded, 14, 4), 4 * count)
    palette = np.zeros((COLOURS, 3), np.uint8)
    palette[:count] = np.frombuffer(stored, np.uint8).reshape(count, 4)[:, 2::-1]
    return palette
