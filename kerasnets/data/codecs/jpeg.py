"""JPEG: segments up to the end marker, and pixels through Pillow."""

import io
import re
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from kerasnets.data.codecs import rules
from kerasnets.data.codecs.rules import Header

CONTENT, AGAIN = 0xC0, 0xD8  # markers below the first have no content, nor has a second start of an image
SCAN, END, EXIF, JFIF, ADOBE, COMMENT, TEMPORARY = 0xDA, 0xD9, 0xE1, 0xE0, 0xEE, 0xFE, 0x01
FRAMES = tuple(m for m in range(0xC0, 0xD0) if m not in (0xC4, 0xC8, 0xCC))
PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
COMPONENTS, COEFFICIENTS = 4, 64
EXIF_START = b"Exif\0\0"
ADOBE_START, JFIF_START = b"Adobe", b"JFIF\0"
APP_LENGTH = {ADOBE: 14, JFIF: 16}  # from which libjpeg takes them for what they say

_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)  # no stuffed byte, restart or fill byte


@dataclass
class _Seen:
    """What segments have said so far.

    Attributes:
        left: For each component, bits that its coefficients still lack: 0 once a scan has brought them whole.
        kept: Segments ahead of the scans that decide about pixels.
    """

    encoded: bytes
    tiff: int = -1
    pixels: int = 0
    inks: int = 0
    adobe: bool = False
    scans: int = 0
    first_scan: int = -1
    progressive: bool = False
    left: dict[int, list[int]] = field(default_factory=dict)
    kept: list[bytes] = field(default_factory=list)

    def take(self, at: int, marker: int, length: int) -> None:
        segment = self.encoded[at : at + length]
        if marker in FRAMES:
            self._frame(at, marker)
        elif marker == SCAN:
            self._scan(at)
        if self.first_scan < 0:
            self._ahead(at, marker, segment)

    def _frame(self, at: int, marker: int) -> None:
        self.pixels = max(self.pixels, rules.big(self.encoded, at + 5, 2) * rules.big(self.encoded, at + 7, 2))
        if not self.inks:
            self.inks, self.progressive = rules.big(self.encoded, at + 9, 1), marker in PROGRESSIVE
            ids = rules.at(self.encoded, at + 10, 3 * COMPONENTS)[::3]
            self.left = {name: [1] * COEFFICIENTS for name in ids[: self.inks]}

    def _scan(self, at: int) -> None:
        self.scans, self.first_scan = self.scans + 1, at if self.first_scan < 0 else self.first_scan
        count = rules.big(self.encoded, at + 4, 1)
        start, end, bits = rules.at(self.encoded, at + 5 + 2 * count, 3)
        first, last, low = (start, end, bits & 15) if self.progressive else (0, COEFFICIENTS - 1, 0)
        for name in rules.at(self.encoded, at + 5, 2 * COMPONENTS)[: 2 * count : 2]:
            for place in range(first, min(last + 1, COEFFICIENTS)) if name in self.left else ():
                self.left[name][place] = low

    def _ahead(self, at: int, marker: int, segment: bytes) -> None:
        if marker == EXIF and self.tiff < 0 and segment[4:10] == EXIF_START:
            self.tiff = at + 10
        long = len(segment) >= 2 + APP_LENGTH.get(marker, 0)
        adobe = marker == ADOBE and long and segment[4:9] == ADOBE_START
        jfif = marker == JFIF and long and segment[4:9] == JFIF_START
        self.adobe = self.adobe or adobe
        if adobe or jfif or not (0xE0 <= marker <= 0xEF or marker in (COMMENT, TEMPORARY)):
            self.kept.append(segment)

    def refusal(self, whole: bool) -> int:
        """Return what is wrong; `whole`: the end marker was reached."""
        if self.pixels > rules.MAX_PIXELS:
            return rules.LARGE
        if self.inks == 4 and not self.adobe:
            return rules.JPEG_CMYK
        if self.scans > rules.MAX_SCANS:
            return rules.JPEG_SCANS
        return 0 if whole and not any(map(any, self.left.values())) else rules.JPEG_SHORT


def header(encoded: bytes) -> Header:
    """Walk the segments as libjpeg does, bytes between them passed over (ITU-T T.81, annex B).

    Every coefficient has to have come in full: what libjpeg makes of a progressive image without its last scans
    differs from version to version. Of what is ahead of the scans, `plain` keeps tables, frame, and JFIF's and Adobe's
    segments.
    """
    seen, at, parts, whole = _Seen(encoded, kept=[encoded[:2]]), 2, 0, False
    while not whole and parts < rules.MAX_PARTS and (found := _MARKER.search(encoded, at)):
        at, marker, parts = found.start(), encoded[found.start() + 1], parts + 1
        whole = marker == END
        empty = marker < CONTENT or marker == AGAIN or whole
        length = 2 if empty else 2 + rules.big(encoded, at + 2, 2)
        if not empty and length < 4:  # a segment counts its own length
            break
        if not whole:
            seen.take(at, marker, length)
        at += length
    if not whole and parts == rules.MAX_PARTS:
        return Header(rules.PARTS)
    scans = encoded[seen.first_scan : at] if seen.first_scan >= 0 else b""
    return Header(seen.refusal(whole), seen.tiff, False, b"".join(seen.kept) + scans)


def pixels(header: Header) -> np.ndarray:
    """Return uint8 `[h, w, 3]`, as stored."""
    with Image.open(io.BytesIO(header.plain), formats=("JPEG",)) as image:
        if image.mode != "CMYK":
            return np.asarray(image.convert("RGB"))
        # Pillow turns the numbers round to inks; Adobe stores their light, and their product is what TensorFlow takes.
        light = 255 - np.asarray(image).astype(np.int32)
        return (light[..., :3] * light[..., 3:] // 255).astype(np.uint8)
