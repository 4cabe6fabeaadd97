"""Image files -> pixels, as `predict` has them, within limits that are checked before anything is unpacked."""

import io

import numpy as np
from PIL import Image

from kerasnets.data import decode
from kerasnets.data.codecs import rules
from kerasnets.serve.refusals import Refused

_SCANS = 16
"""Passes over all pixels of the largest image that a JPEG may ask for: each takes time and few bytes of the file."""


def size(encoded: bytes, most: int) -> int:
    """Return height times width as the file's header has them; 0 where there is none, which `pixels` will say.

    Raises:
        Refused: it is more than `most`, or would take too long.
    """
    kind = rules.kind(encoded)
    if kind is None:
        return 0
    if kind == "PNG":  # as the decoder reads it; Pillow would unpack texts and profiles on its way
        return _within(rules.big(encoded, 16, 4) * rules.big(encoded, 20, 4), most)
    try:
        with Image.open(io.BytesIO(encoded), formats=(kind,)) as image:
            found = image.width * image.height
    except Image.DecompressionBombError:
        found = rules.MAX_PIXELS
    except Exception:  # whatever Pillow's plugins raise of a broken file: the decoder has the words for it
        return 0
    _within(found, most)
    if kind == "JPEG" and found * encoded.count(b"\xff\xda") > _SCANS * most:
        raise Refused("a JPEG of too many scans for its size")
    return found


def _within(found: int, most: int) -> int:
    if found > most:
        raise Refused(f"an image of more than {most:,} pixels")
    return found


def pixels(encoded: bytes, channels: int) -> np.ndarray:
    """Return an image file's pixels, uint8 `[1, H, W, C]`.

    Raises:
        Refused: it is broken, or of a kind that is not read.
    """
    try:
        return decode.pillow(encoded, channels)[None]
    except decode.DecodeError as error:
        raise Refused(f"an image cannot be read: {error}") from error
