"""One image: what is wrong with it, and what is needed to find its like."""

import hashlib
import os
from typing import NamedTuple

import numpy as np
from PIL import Image

from kerasnets.data import decode
from kerasnets.data.check.findings import Finding
from kerasnets.data.codecs import gif, rules
from kerasnets.data.decode import DecodeError

EXTENSIONS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "WEBP": (".webp",),
}
SIDE = 16  # of the picture that is kept of each image, pixels
LONG = 5.0  # aspect ratio from which an image is odd: a central crop loses four fifths of it
_PNG_HEAD = 4096  # bytes of a PNG in which an animation says that it is one
_SAMPLED = 32  # side of the picture that is hashed
_KEPT = 8  # lowest frequencies, each way, that make up the hash
_KINDS = {
    rules.UNKNOWN: "not_image",
    rules.LARGE: "bomb",
    rules.WEBP_ANIMATED: "animated",
    **dict.fromkeys(
        (rules.JPEG_SHORT, rules.PNG_SHORT, rules.GIF_SHORT, rules.BMP_SHORT, rules.WEBP_SHORT), "truncated"
    ),
}
_REFUSALS = {rules.REFUSALS[number]: kind for number, kind in _KINDS.items()}
_SIGNS = {  # what other content begins with
    "TIFF": (b"II*\0", b"MM\0*"),
    "HEIC or AVIF": (b"\0\0\0\x1cftyp", b"\0\0\0\x18ftyp", b"\0\0\0\x20ftyp"),
    "JPEG XL": (b"\xff\x0a", b"\0\0\0\x0cJXL "),
    "JPEG 2000": (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
    "SVG": (b"<svg",),
    "HTML or XML": (b"<!DOCTYPE", b"<!doctype", b"<html", b"<?xml"),
    "PDF": (b"%PDF",),
    "ZIP": (b"PK\3\4",),
}


class Look(NamedTuple):
    """What was seen of one image.

    Attributes:
        findings: About this image alone.
        digest: Of its content, 16 bytes.
        size: Height and width in pixels; (0, 0) where it cannot be decoded.
        hash: 64 bits that images which look alike share; see `perceived`.
        picture: It, grey, `SIDE` x `SIDE` bytes.
    """

    findings: tuple[Finding, ...]
    digest: bytes
    size: tuple[int, int] = (0, 0)
    hash: int = 0
    picture: bytes = bytes(SIDE * SIDE)


def encoded(name: str, content: bytes) -> Look:
    """Look at an encoded image, called `name`."""
    digest = hashlib.blake2b(content, digest_size=16).digest()
    if not content:
        return Look((Finding("empty", (name,)),), digest)
    try:
        pixels = decode.pillow(content, 3)
    except DecodeError as error:
        said = str(error)
        other = next((f"its content is {kind}" for kind, starts in _SIGNS.items() if content.startswith(starts)), said)
        kind = _REFUSALS.get(said, "broken")
        return Look((Finding(kind, (name,), other if kind == "not_image" else said),), digest)
    findings = (*_format(name, content), *_shape(name, pixels))
    return Look(findings, digest, pixels.shape[:2], *perceived(pixels))


def raw(name: str, pixels: np.ndarray) -> Look:
    """Look at an image in memory, uint8 `[h, w, 1 or 3]`."""
    digest = hashlib.blake2b(pixels.tobytes(), digest_size=16).digest()
    return Look(_shape(name, pixels), digest, pixels.shape[:2], *perceived(decode.with_channels(pixels, 3)))


def is_image(start: bytes) -> bool:
    """Return whether content that begins so would be taken for an image if its name said so."""
    return rules.kind(start) is not None


def _format(name: str, content: bytes) -> tuple[Finding, ...]:
    kind = rules.kind(content) or ""
    found = []
    extension = os.path.splitext(name)[1].lower()
    if extension and extension not in EXTENSIONS[kind]:
        found.append(Finding("wrong_extension", (name,), f"its content is {kind}"))
    moving = (kind == "PNG" and b"acTL" in content[:_PNG_HEAD]) or (kind == "GIF" and gif.animated(content))
    return (*found, Finding("first_frame", (name,))) if moving else tuple(found)


def _shape(name: str, pixels: np.ndarray) -> tuple[Finding, ...]:
    height, width = pixels.shape[:2]
    if max(height, width) < LONG * min(height, width):
        return ()
    return (Finding("aspect", (name,), f"{width} x {height} pixels"),)


def perceived(pixels: np.ndarray) -> tuple[int, bytes]:
    """Return a perceptual hash of RGB pixels, and a small grey picture.

    The signs of an image's lowest frequencies against their median, after Zauner 2010 ("Implementation and benchmarking
    of perceptual image hash functions", section 3.2.1): they survive another size, compression, and brightness.
    """
    image = Image.fromarray(pixels).resize((_SAMPLED, _SAMPLED), Image.Resampling.BILINEAR, reducing_gap=2.0)
    grey = np.asarray(image.convert("L"), np.float32)
    frequencies = (_COSINES @ grey @ _COSINES.T).reshape(-1)
    bits = frequencies > np.median(frequencies[1:])
    small = grey.reshape(SIDE, _SAMPLED // SIDE, SIDE, _SAMPLED // SIDE).mean(axis=(1, 3)).round().astype(np.uint8)
    return int.from_bytes(np.packbits(bits).tobytes(), "big"), small.tobytes()


_COSINES = np.cos(np.pi * np.outer(np.arange(_KEPT), 2 * np.arange(_SAMPLED) + 1) / (2 * _SAMPLED)).astype(np.float32)
