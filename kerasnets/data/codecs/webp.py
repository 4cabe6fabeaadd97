"""WebP: the chunks of a still image, and pixels through Pillow."""

import io

import numpy as np
from PIL import Image

from kerasnets.data.codecs import rules
from kerasnets.data.codecs.alpha import on_white
from kerasnets.data.codecs.rules import Header

ALPHA_FLAG, ANIMATED_FLAG = 4, 1  # bits of VP8X's first byte
START = 12
EXIF_START = b"Exif\0\0"


def header(encoded: bytes) -> Header:
    """Walk the chunks (WebP container specification): VP8X, ALPH, VP8 or VP8L, EXIF; the first of each counts."""
    end = 8 + rules.little(encoded, 4, 4)
    first: dict[bytes, tuple[int, int]] = {}
    at, parts, whole = START, 0, end <= len(encoded)
    while at + 8 <= end <= len(encoded) and parts < rules.MAX_PARTS:
        tag, length = encoded[at : at + 4], rules.little(encoded, at + 4, 4)
        whole = whole and at + 8 + length <= end
        first.setdefault(tag, (at, length))
        at, parts = at + 8 + length + length % 2, parts + 1
    if parts == rules.MAX_PARTS or not whole:
        return Header(rules.PARTS if parts == rules.MAX_PARTS else rules.WEBP_SHORT)
    refusal, alpha, plain = _still(encoded, first)
    return Header(refusal, _tiff(encoded, first), alpha, plain)


def _tiff(encoded: bytes, first: dict[bytes, tuple[int, int]]) -> int:
    if b"EXIF" not in first:
        return -1
    at = first[b"EXIF"][0] + 8
    return at + len(EXIF_START) * (encoded[at : at + len(EXIF_START)] == EXIF_START)


def _still(encoded: bytes, first: dict[bytes, tuple[int, int]]) -> tuple[int, bool, bytes]:
    """Return the refusal, whether there is alpha, and the chunks that a still image needs as a file."""
    extended, lossless = first.get(b"VP8X", (-1, 0))[0] == START, b"VP8L" in first
    flags = rules.little(encoded, START + 8, 1) if extended else 0
    if flags >> ANIMATED_FLAG & 1:
        return rules.WEBP_ANIMATED, False, b""
    if lossless == (b"VP8 " in first):
        return rules.WEBP_BROKEN, False, b""
    at, length = first[b"VP8L" if lossless else b"VP8 "]
    width, height, alpha = _lossless(encoded, at) if lossless else _lossy(encoded, at)
    if width * height > rules.MAX_PIXELS:
        return rules.LARGE, False, b""
    canvas = rules.at(encoded, START + 12, 6)
    if extended and (rules.little(canvas, 0, 3) + 1, rules.little(canvas, 3, 3) + 1) != (width, height):
        return rules.WEBP_BROKEN, False, b""
    image = _chunk(encoded, at, length)
    if not lossless and b"ALPH" in first and flags >> ALPHA_FLAG & 1:
        header = b"VP8X\x0a\0\0\0" + bytes([1 << ALPHA_FLAG, 0, 0, 0]) + canvas
        return 0, True, _file(header + _chunk(encoded, *first[b"ALPH"]) + image)
    return 0, alpha, _file(image)


def _lossy(encoded: bytes, at: int) -> tuple[int, int, bool]:
    """Return width, height and whether there is alpha, of a VP8 chunk."""
    return rules.little(encoded, at + 14, 2) & 0x3FFF, rules.little(encoded, at + 16, 2) & 0x3FFF, False


def _lossless(encoded: bytes, at: int) -> tuple[int, int, bool]:
    packed = rules.little(encoded, at + 9, 4)
    return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1, bool(packed >> 28 & 1)


def _chunk(encoded: bytes, at: int, length: int) -> bytes:
    return encoded[at : at + 8 + length] + b"\0" * (length % 2)


def _file(chunks: bytes) -> bytes:
    return b"RIFF" + (4 + len(chunks)).to_bytes(4, "little") + b"WEBP" + chunks


def pixels(header: Header) -> np.ndarray:
    """Return uint8 `[h, w, 3]`, as stored, on white."""
    with Image.open(io.BytesIO(header.plain), formats=("WEBP",)) as image:
        if header.alpha:
            return on_white(np.asarray(image.convert("RGBA")))
        return np.asarray(image.convert("RGB"))
