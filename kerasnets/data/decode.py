"""Encoded bytes -> RGB pixels, the same in Pillow (here) and in TensorFlow (`decode_graph.py`).

Every image becomes 8-bit RGB first, then loses its colours if one channel is wanted:

| input                    | becomes                                                                           |
|--------------------------|-----------------------------------------------------------------------------------|
| JPEG                     | as libjpeg decodes it (accurate integer DCT); grey is repeated, YCCK becomes CMYK |
| CMYK (JPEG)              | each of the three inks' light times the black's: `c * k // 255`, as Adobe stores them |
| PNG                      | palette looked up, 1, 2 and 4 bits stretched, 16 bits shifted down by 8           |
| alpha (PNG, still WebP)  | composited on white: `(c * a + 255 * (255 - a) + 127) // 255`                     |
| GIF                      | first frame; a transparent pixel shows its palette colour                         |
| BMP                      | uncompressed 8 bits (palette), 24 bits, 32 bits (fourth byte ignored)             |
| EXIF orientation         | applied: JPEG's APP1, WebP's EXIF, PNG's eXIf, each ahead of the pixels; if sound |
| one channel wanted       | luma of ITU-R 601: `(19595 R + 38470 G + 7471 B + 32768) >> 16`                   |

What the two cannot be made to agree on is refused by both with the same words (`rules.REFUSALS`), by walking the file's
parts; what is broken is refused by both. The format is that of the first bytes, never that of the file's name.
Imports no TensorFlow.
"""

import struct
import zlib
from types import ModuleType
from typing import Any

import numpy as np
from PIL import UnidentifiedImageError

from kerasnets.data.codecs import bmp, gif, jpeg, png, rules, webp
from kerasnets.data.codecs.rules import DecodeError

__all__ = ["DecodeError", "MIRRORED", "TURNED", "UPSIDE_DOWN", "pillow", "tensorflow", "with_channels"]

TURNED = (5, 6, 7, 8)  # EXIF orientations whose rows are the picture's columns
MIRRORED = (2, 3, 6, 7)  # left and right change places, after the turn
UPSIDE_DOWN = (3, 4, 7, 8)  # top and bottom change places, after the turn

_CODECS: dict[str, ModuleType] = {"JPEG": jpeg, "PNG": png, "GIF": gif, "BMP": bmp, "WEBP": webp}
_BROKEN = (  # what Pillow and its plugins raise for files that they cannot read
    *(OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, KeyError, AttributeError, OverflowError),
    *(struct.error, zlib.error),
)


def pillow(encoded: bytes, channels: int) -> np.ndarray:
    """Return an encoded image's pixels, uint8 `[h, w, channels]`, upright.

    Args:
        encoded: The content of a file.
        channels: 1 (luma) or 3 (RGB).

    Raises:
        DecodeError: The image is broken, or refused by name.
    """
    kind = rules.kind(encoded)
    if kind is None:
        raise DecodeError(rules.REFUSALS[rules.UNKNOWN])
    header = _CODECS[kind].header(encoded)
    if header.refusal:
        raise DecodeError(rules.REFUSALS[header.refusal])
    try:
        pixels = _CODECS[kind].pixels(header)
    except DecodeError:
        raise
    except _BROKEN as error:
        said = "" if isinstance(error, UnidentifiedImageError) else f" ({error})"
        raise DecodeError(f"a broken {kind} image{said}") from error
    return with_channels(_upright(pixels, rules.orientation(encoded, header.tiff)), channels)


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
    total = (pixels.astype(np.int32) * np.array(rules.LUMA, np.int32)).sum(axis=-1, keepdims=True)
    return ((total + 32768) >> 16).astype(np.uint8)


def _upright(pixels: np.ndarray, turn: int) -> np.ndarray:
    pixels = pixels.swapaxes(0, 1) if turn in TURNED else pixels
    pixels = pixels[:, ::-1] if turn in MIRRORED else pixels
    return np.ascontiguousarray(pixels[::-1] if turn in UPSIDE_DOWN else pixels)
