"""What both halves of every codec share: limits, the words of refusals, and how bytes are read. Imports no TensorFlow.

Each codec first walks its format's parts, without trusting any number in them, and puts together `plain`: a file of the
parts that pixels depend on and nothing else. Both decoders are given that. What one library is lenient about and the
other is not never reaches them.
"""

from dataclasses import dataclass

from kerasnets.errors import UserError

MAX_PIXELS = 89_478_485  # Pillow's own limit against decompression bombs: a quarter of a gibibyte of RGB
MAX_SIDE = 1_000_000  # libpng's own limit
MAX_PARTS = 65_536  # chunks, segments or blocks that are walked: more would cost minutes, and is no picture
MAX_SCANS = 500  # of a progressive JPEG; each is a pass over all pixels
LUMA = (19595, 38470, 7471)  # of 65536, as Pillow has them
KINDS = ("JPEG", "PNG", "GIF", "BMP", "WEBP")
STARTS = (  # index into KINDS; WebP's start is in two pieces
    (0, b"\xff\xd8\xff"),
    (1, b"\x89PNG\r\n\x1a\n"),
    (2, b"GIF87a"),
    (2, b"GIF89a"),
    (3, b"BM"),
)

REFUSALS = (
    "",
    "not a JPEG, PNG, GIF, BMP or WebP image",
    f"more than {MAX_PIXELS:,} pixels",
    f"made of more than {MAX_PARTS:,} parts",
    "a JPEG that is cut short or whose segments are broken",
    f"a JPEG of more than {MAX_SCANS} scans",
    "a CMYK JPEG without the segment of Adobe that says what its numbers mean",
    "a PNG that is cut short",
    "a PNG whose header, palette or transparency is broken",
    "a PNG with a transparent colour and neither 8 bits nor a palette",
    "a GIF whose first frame does not fill it",
    "a GIF that is cut short",
    "a GIF whose colours or codes are damaged",
    "a BMP other than uncompressed with 8, 24 or 32 bits",
    "a BMP that is cut short",
    "an animated WebP",
    "a WebP that is cut short",
    "a WebP whose parts do not fit together",
)
UNKNOWN, LARGE, PARTS = 1, 2, 3
JPEG_SHORT, JPEG_SCANS, JPEG_CMYK = 4, 5, 6
PNG_SHORT, PNG_BROKEN, PNG_KEY = 7, 8, 9
GIF_FRAME, GIF_SHORT, GIF_CODES = 10, 11, 12
BMP_KIND, BMP_SHORT = 13, 14
WEBP_ANIMATED, WEBP_SHORT, WEBP_BROKEN = 15, 16, 17

ORIENTATION_TAG = 0x0112
MAX_TAGS = 512  # of one EXIF directory; more is a broken one


class DecodeError(UserError):
    """The bytes are not an image that both decoders read alike; the message says why, without the file's name."""


@dataclass(frozen=True)
class Header:
    """What a walk over a file's parts found.

    Attributes:
        refusal: Index into `REFUSALS`; 0 is none.
        tiff: Where the EXIF data begins, or -1.
        alpha: Whether there are transparent pixels to composite.
        plain: A file of the parts that pixels depend on.
    """

    refusal: int = 0
    tiff: int = -1
    alpha: bool = False
    plain: bytes = b""


def at(encoded: bytes, place: int, count: int) -> bytes:
    """Return `count` bytes, zeros past the end."""
    return encoded[place : place + count].ljust(count, b"\0")


def little(encoded: bytes, place: int, count: int) -> int:
    """Return a number whose first byte counts least; bytes past the end are 0."""
    return int.from_bytes(at(encoded, place, count), "little")


def big(encoded: bytes, place: int, count: int) -> int:
    """Return a number whose first byte counts most; bytes past the end are 0."""
    return int.from_bytes(at(encoded, place, count), "big")


def kind(encoded: bytes) -> str | None:
    """Return the format that the first bytes say, one of `KINDS`."""
    if encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP":
        return "WEBP"
    return next((KINDS[index] for index, start in STARTS if encoded.startswith(start)), None)


def orientation(encoded: bytes, tiff: int) -> int:
    """Return the EXIF orientation 1..8 in the TIFF directory at `tiff`; 1 where there is none or it is broken."""
    if tiff < 0:
        return 1
    start = at(encoded, tiff, 4)
    if start not in (b"II*\0", b"MM\0*"):
        return 1
    number = little if start == b"II*\0" else big
    directory = tiff + number(encoded, tiff + 4, 4)
    for i in range(min(number(encoded, directory, 2), MAX_TAGS)):
        entry = directory + 2 + 12 * i
        if number(encoded, entry, 2) == ORIENTATION_TAG:
            value = number(encoded, entry + 8, 2)
            return value if 1 <= value <= 8 else 1
    return 1
