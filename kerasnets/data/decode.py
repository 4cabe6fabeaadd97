"""Encoded bytes -> RGB pixels, the same in Pillow (here) and in TensorFlow (`decode_graph.py`).

Every image becomes 8-bit RGB first, then loses its colours if one channel is wanted:

| input                    | becomes                                                                           |
|--------------------------|-----------------------------------------------------------------------------------|
| JPEG                     | as libjpeg decodes it (accurate integer DCT); grey is repeated, CMYK and YCCK converted |
| PNG                      | palette looked up, 1, 2 and 4 bits stretched, 16 bits shifted down by 8           |
| alpha (PNG, still WebP)  | composited on white: `(c * a + 255 * (255 - a) + 127) // 255`                     |
| GIF                      | first frame; a transparent pixel shows its palette colour                         |
| BMP                      | uncompressed 8 bits (palette), 24 bits, 32 bits (fourth byte ignored)             |
| EXIF orientation         | applied: JPEG's APP1, WebP's EXIF, PNG's eXIf ahead of its pixels; if sound    |
| one channel wanted       | luma of ITU-R 601: `(19595 R + 38470 G + 7471 B + 32768) >> 16`                   |

What the two cannot be made to agree on is refused by both with the same words (`REFUSALS`), by reading the header.
What is broken is refused by both; only damaged pixels of a GIF, which has no checksum, may pass TensorFlow.
The format is that of the first bytes, never that of the file's name. Imports no TensorFlow.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from kerasnets.errors import UserError

MAX_PIXELS = 89_478_485  # Pillow's own limit against decompression bombs: a quarter of a gibibyte of RGB
LUMA = (19595, 38470, 7471)  # of 65536, as Pillow has them
KINDS = ("JPEG", "PNG", "GIF", "BMP", "WEBP")

UNKNOWN, LARGE, PNG_KEY, GIF_FRAME, BMP_KIND, BMP_SHORT, WEBP_ANIMATED = range(1, 8)
REFUSALS = (
    "",
    "not a JPEG, PNG, GIF, BMP or WebP image",
    f"more than {MAX_PIXELS:,} pixels",
    "a PNG with a transparent colour and neither 8 bits nor a palette",
    "a GIF whose first frame does not fill it",
    "a BMP other than uncompressed with 8, 24 or 32 bits",
    "a BMP that is cut short",
    "an animated WebP",
)

TURNED = (5, 6, 7, 8)  # EXIF orientations whose rows are the picture's columns
MIRRORED = (2, 3, 6, 7)  # left and right change places, after the turn
UPSIDE_DOWN = (3, 4, 7, 8)  # top and bottom change places, after the turn
ORIENTATION_TAG = 0x0112
MAX_TAGS = 512  # of one EXIF directory; more is a broken one


class DecodeError(UserError):
    """The bytes are not an image that both decoders read alike; the message says why, without the file's name."""


@dataclass(frozen=True)
class Header:
    """What the first bytes say.

    Attributes:
        refusal: Index into `REFUSALS`; 0 is none.
        tiff: Where the EXIF data begins, or -1.
        alpha: Whether there are transparent pixels to composite.
    """

    refusal: int = 0
    tiff: int = -1
    alpha: bool = False


def pillow(encoded: bytes, channels: int) -> np.ndarray:
    """Return an encoded image's pixels, uint8 `[h, w, channels]`, upright.

    Args:
        encoded: The content of a file.
        channels: 1 (luma) or 3 (RGB).

    Raises:
        DecodeError: The image is broken, or refused by name.
    """
    kind = _kind(encoded)
    if kind is None:
        raise DecodeError(REFUSALS[UNKNOWN])
    header = _HEADERS[kind](encoded)
    if header.refusal:
        raise DecodeError(REFUSALS[header.refusal])
    try:
        pixels = _rgb(encoded, kind, header.alpha)
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError) as error:
        said = "" if isinstance(error, UnidentifiedImageError) else f" ({error})"
        raise DecodeError(f"a broken {kind} image{said}") from error
    pixels = _upright(pixels, orientation(encoded, header.tiff))
    return with_channels(pixels, channels)


def tensorflow(encoded: Any, channels: int) -> Any:
    """Return what `pillow` returns, as TensorFlow operations: scalar string -> uint8 `[h, w, channels]`.

    Raises:
        tf.errors.InvalidArgumentError: When run, where `pillow` raises DecodeError.
    """
    from kerasnets.data import decode_graph

    return decode_graph.decoder(channels)(encoded)


def with_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Return uint8 `[…, 1 or 3]` as `[…, channels]`: colours to luma, or grey repeated."""
    if pixels.shape[-1] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=-1)
    total = (pixels.astype(np.int32) * np.array(LUMA, np.int32)).sum(axis=-1, keepdims=True)
    return ((total + 32768) >> 16).astype(np.uint8)


def _rgb(encoded: bytes, kind: str, alpha: bool) -> np.ndarray:
    """Return uint8 `[h, w, 3]`, as stored."""
    if kind == "PNG":  # reading alone leaves the checksums of the pixels out
        with Image.open(io.BytesIO(encoded), formats=(kind,)) as image:
            image.verify()
    with Image.open(io.BytesIO(encoded), formats=(kind,)) as image:
        if image.mode == "I;16":
            return np.repeat((np.asarray(image) >> 8).astype(np.uint8)[..., None], 3, axis=-1)
        if alpha:
            return _on_white(np.asarray(image.convert("RGBA")))
        pixels = np.asarray(image.convert("RGB"))
        for frame in range(1, getattr(image, "n_frames", 1) if kind == "GIF" else 1):
            image.seek(frame)  # TensorFlow reads all frames: a break in a later one is a break
            image.load()
        return pixels


def _on_white(pixels: np.ndarray) -> np.ndarray:
    colours, alpha = pixels[..., :3].astype(np.int32), pixels[..., 3:].astype(np.int32)
    return ((colours * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _upright(pixels: np.ndarray, turn: int) -> np.ndarray:
    pixels = pixels.swapaxes(0, 1) if turn in TURNED else pixels
    pixels = pixels[:, ::-1] if turn in MIRRORED else pixels
    return np.ascontiguousarray(pixels[::-1] if turn in UPSIDE_DOWN else pixels)


def _at(encoded: bytes, at: int, count: int) -> bytes:
    """Return `count` bytes, zeros past the end."""
    return encoded[at : at + count].ljust(count, b"\0")


def _little(encoded: bytes, at: int, count: int) -> int:
    return int.from_bytes(_at(encoded, at, count), "little")


def _big(encoded: bytes, at: int, count: int) -> int:
    return int.from_bytes(_at(encoded, at, count), "big")


def _kind(encoded: bytes) -> str | None:
    if encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP":
        return "WEBP"
    starts = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"GIF8": "GIF", b"BM": "BMP"}
    return next((kind for start, kind in starts.items() if encoded.startswith(start)), None)


def _jpeg(encoded: bytes) -> Header:
    """Walk the segments up to the frame's header (ITU-T T.81, annex B)."""
    at, tiff = 2, -1
    while at < len(encoded):
        head = _at(encoded, at, 10)
        marker, length = head[1], int.from_bytes(head[2:4], "big")
        if head[0] != 0xFF or marker in (0xD9, 0xDA):
            break
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD7:  # no content
            at += 2
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = _big(encoded, at + 5, 2), _big(encoded, at + 7, 2)
            return Header(LARGE * (height * width > MAX_PIXELS), tiff)
        else:
            if marker == 0xE1 and head[4:10] == b"Exif\0\0" and tiff < 0:
                tiff = at + 10
            at += 2 + length
    return Header(0, tiff)


def _png(encoded: bytes) -> Header:
    """Walk the chunks up to the pixels (PNG specification, section 5)."""
    at, tiff, key = 8, -1, False
    while at < len(encoded):
        length, tag = _big(encoded, at, 4), _at(encoded, at + 4, 4)
        if tag in (b"IDAT", b"IEND"):
            break
        tiff = at + 8 if tag == b"eXIf" and tiff < 0 else tiff
        key = key or tag == b"tRNS"
        at += 12 + length
    depth, colours = _big(encoded, 24, 1), _big(encoded, 25, 1)
    large = _big(encoded, 16, 4) * _big(encoded, 20, 4) > MAX_PIXELS
    odd_key = key and colours != 3 and depth != 8
    return Header(LARGE if large else PNG_KEY * odd_key, tiff, key or colours in (4, 6))


def _gif(encoded: bytes) -> Header:
    """Walk the blocks up to the first frame (GIF89a specification)."""
    size, flags = (_little(encoded, 6, 2), _little(encoded, 8, 2)), _little(encoded, 10, 1)
    at, inside = 13 + (3 << ((flags & 7) + 1)) * (flags >> 7), False
    while at < len(encoded):
        byte = encoded[at]
        if inside:  # an extension: blocks with their lengths, the last one empty
            at, inside = at + 1 + byte, byte != 0
        elif byte == 0x21:
            at, inside = at + 2, True
        else:
            break
    frame = tuple(_little(encoded, at + offset, 2) for offset in (1, 3, 5, 7))
    large = size[0] * size[1] > MAX_PIXELS
    return Header(LARGE if large else GIF_FRAME * (frame != (0, 0, *size)))


def _bmp(encoded: bytes) -> Header:
    """Read the BITMAPINFOHEADER, or one that begins like it."""
    offset, size = _little(encoded, 10, 4), _little(encoded, 14, 4)
    width, height, bits = bmp_shape(encoded)
    if size < 40 or bits not in (8, 24, 32) or _little(encoded, 30, 4) or width < 1:
        return Header(BMP_KIND)
    if width * height > MAX_PIXELS:
        return Header(LARGE)
    return Header(BMP_SHORT * (offset + (width * bits + 31) // 32 * 4 * height > len(encoded)))


def bmp_shape(encoded: bytes) -> tuple[int, int, int]:
    """Return width, height (without the sign that says which row comes first) and bits a pixel."""
    width, height = (int.from_bytes(_at(encoded, at, 4), "little", signed=True) for at in (18, 22))
    return width, abs(height), _little(encoded, 28, 2)


def _webp(encoded: bytes) -> Header:
    """Read the first chunk, and find EXIF among the others (RFC 9649, section 2)."""
    tag = _at(encoded, 12, 4)
    flags = _little(encoded, 20, 1)
    if tag == b"VP8X":
        width, height = _little(encoded, 24, 3) + 1, _little(encoded, 27, 3) + 1
        alpha, animated = bool(flags & 0x10), bool(flags & 0x02)
    elif tag == b"VP8L":
        packed = _little(encoded, 21, 4)
        width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
        alpha, animated = bool(packed >> 28 & 1), False
    else:
        width, height = _little(encoded, 26, 2) & 0x3FFF, _little(encoded, 28, 2) & 0x3FFF
        alpha, animated = False, False
    refusal = LARGE if width * height > MAX_PIXELS else WEBP_ANIMATED * animated
    return Header(refusal, _webp_tiff(encoded), alpha)


def _webp_tiff(encoded: bytes) -> int:
    at = 12
    while at < len(encoded):
        tag, length = _at(encoded, at, 4), _little(encoded, at + 4, 4)
        if tag == b"EXIF":
            return at + 8 + 6 * (_at(encoded, at + 8, 6) == b"Exif\0\0")
        at += 8 + length + length % 2
    return -1


_HEADERS: dict[str, Callable[[bytes], Header]] = {"JPEG": _jpeg, "PNG": _png, "GIF": _gif, "BMP": _bmp, "WEBP": _webp}


def orientation(encoded: bytes, tiff: int) -> int:
    """Return the EXIF orientation 1..8 in the TIFF directory at `tiff`; 1 where there is none or it is broken."""
    if tiff < 0:
        return 1
    start = _at(encoded, tiff, 4)
    if start not in (b"II*\0", b"MM\0*"):
        return 1
    number = _little if start == b"II*\0" else _big
    directory = tiff + number(encoded, tiff + 4, 4)
    for i in range(min(number(encoded, directory, 2), MAX_TAGS)):
        entry = directory + 2 + 12 * i
        if number(encoded, entry, 2) == ORIENTATION_TAG:
            value = number(encoded, entry + 8, 2)
            return value if 1 <= value <= 8 else 1
    return 1
