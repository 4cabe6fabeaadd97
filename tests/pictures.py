"""Encoded images of every kind, made by the tests from a photograph of scikit-image."""

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import skimage.data
from PIL import Image

_ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
WIDTH, HEIGHT = 67, 51  # odd, so that chroma and row padding have something to round


@cache
def _astronaut() -> Image.Image:
    return Image.fromarray(skimage.data.astronaut())


@cache
def _resized(width: int, height: int) -> Image.Image:
    return _astronaut().resize((width, height))


def photo(width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """Return a photograph, a copy: it is read once, and resized once to each size."""
    return _resized(width, height).copy()


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def with_alpha() -> Image.Image:
    pixels = np.array(photo().convert("RGBA"))
    pixels[..., 3] = np.arange(WIDTH) * 3
    return Image.fromarray(pixels)


def chunk(tag: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + tag + content + struct.pack(">I", zlib.crc32(tag + content))


def raw_png(
    depth: int, colours: int, before: bytes = b"", seed: int = 0, size: tuple[int, int] = (9, 5), laced: bool = False
) -> bytes:
    """Return a PNG of random pixels: kinds that Pillow does not write."""
    width, height = size
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colours]
    rng = np.random.default_rng(seed)
    rows = b""
    for top, left, down, right in _ADAM7 if laced else ((0, 0, 1, 1),):
        row = (len(range(left, width, right)) * channels * depth + 7) // 8
        for _ in range(top, height, down) if row else ():
            rows += b"\0" + rng.integers(0, 256, row, dtype=np.uint8).tobytes()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, laced))
    return b"\x89PNG\r\n\x1a\n" + header + before + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def exif(orientation: int, big_endian: bool = True) -> bytes:
    """Return EXIF data as a camera writes it: three tags, the orientation last."""
    order = ">" if big_endian else "<"
    entries = [(0x0100, 3, 1, WIDTH), (0x0101, 3, 1, HEIGHT), (0x0112, 3, 1, orientation)]
    packed = b"".join(struct.pack(f"{order}HHIHxx", *entry) for entry in entries)
    start = b"MM\0*" if big_endian else b"II*\0"
    return b"Exif\0\0" + start + struct.pack(f"{order}IH", 8, 3) + packed + b"\0\0\0\0"


def jpeg_with(segment: bytes) -> bytes:
    """Return a JPEG that begins with an APP1 segment of any content; Pillow writes no broken one."""
    content = encoded(photo(), "JPEG")
    return content[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + content[2:]


def ycck() -> bytes:
    """Return a CMYK JPEG whose Adobe segment says YCCK, as Photoshop writes them."""
    content = bytearray(encoded(photo().convert("CMYK"), "JPEG"))
    content[content.index(b"Adobe") + 11] = 2
    return bytes(content)


def gif_with(canvas: tuple[int, int] = (WIDTH, HEIGHT), offset: tuple[int, int] = (0, 0)) -> bytes:
    """Return a GIF with another canvas, or another place of its frame, than Pillow writes."""
    content = bytearray(encoded(photo(), "GIF"))
    frame = content.index(b"\x2c\0\0\0\0" + struct.pack("<HH", WIDTH, HEIGHT))
    content[frame + 1 : frame + 5] = struct.pack("<HH", *offset)
    content[6:10] = struct.pack("<HH", *canvas)
    return bytes(content)


def upside_down_bmp(bits: str) -> bytes:
    """Return a BMP whose first row is the top one (a negative height)."""
    content = bytearray(encoded(photo().convert(bits), "BMP"))
    content[22:26] = struct.pack("<i", -HEIGHT)
    return bytes(content)


def few_colours_bmp() -> bytes:
    """Return an 8-bit BMP with a palette of 17 colours."""
    return encoded(photo().quantize(17), "BMP")


def noise(width: int = 150, height: int = 120) -> Image.Image:
    """Return random pixels: they fill a GIF's table of codes again and again."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def small_window() -> bytes:
    """Return a PNG whose pixels are packed with zlib's smallest window, as libpng does for small images."""
    content = raw_png(8, 0, size=(40, 30))
    packer = zlib.compressobj(9, wbits=9)
    rows = b"".join(b"\0" + bytes(range(y, y + 40)) for y in range(30))
    return content[:33] + chunk(b"IDAT", packer.compress(rows) + packer.flush()) + chunk(b"IEND", b"")


def _bmp(mode: str) -> Callable[[], bytes]:
    return lambda: encoded(photo().convert(mode), "BMP")


def _png(mode: str, **options: Any) -> Callable[[], bytes]:
    return lambda: encoded(photo().convert(mode), "PNG", **options)


READABLE: dict[str, Callable[[], bytes]] = {
    "jpeg 4:4:4": lambda: encoded(photo(), "JPEG", subsampling=0, quality=95),
    "jpeg 4:2:2": lambda: encoded(photo(), "JPEG", subsampling=1, quality=75),
    "jpeg 4:2:0": lambda: encoded(photo(), "JPEG", subsampling=2, quality=30),
    "jpeg progressive": lambda: encoded(photo(), "JPEG", progressive=True),
    "jpeg grey": lambda: encoded(photo().convert("L"), "JPEG"),
    "jpeg cmyk": lambda: encoded(photo().convert("CMYK"), "JPEG"),
    "jpeg ycck": ycck,
    "jpeg with restarts": lambda: encoded(photo(), "JPEG", restart_marker_rows=1),
    "jpeg 1x1": lambda: encoded(photo(1, 1), "JPEG"),
    "jpeg 1x40": lambda: encoded(photo(1, 40), "JPEG"),
    "jpeg and more bytes": lambda: encoded(photo(), "JPEG") + b"more",
    "png 1 bit": _png("1"),
    "png grey": _png("L"),
    "png palette": _png("P"),
    "png rgb": _png("RGB"),
    "png grey alpha": lambda: encoded(with_alpha().convert("LA"), "PNG"),
    "png rgb alpha": lambda: encoded(with_alpha(), "PNG"),
    "png grey, one transparent": _png("L", transparency=100),
    "png rgb, one transparent": lambda: encoded(photo(), "PNG", transparency=photo().getpixel((3, 3))),
    "png palette, one transparent": _png("P", transparency=3),
    "png palette, alpha each": _png("P", transparency=bytes(range(200))),
    "png palette of 1 bit": lambda: encoded(photo().quantize(2), "PNG", bits=1, transparency=1),
    "png palette of 2 bits": lambda: encoded(photo().quantize(4), "PNG", bits=2),
    "png palette of 4 bits": lambda: encoded(photo().quantize(16), "PNG", bits=4, transparency=1),
    **{
        f"png depth {depth}, colour type {colours}": lambda depth=depth, colours=colours: raw_png(depth, colours)
        for depth, colours in (*((d, 0) for d in (1, 2, 4, 8, 16)), (8, 2), (16, 2), (16, 4), (16, 6))
    },
    "png interlaced": lambda: raw_png(8, 6, size=(13, 11), laced=True),
    "png interlaced, narrow": lambda: raw_png(2, 0, size=(1, 3), laced=True),
    "png in a small window": small_window,
    "gif": lambda: encoded(photo(), "GIF"),
    "gif not interlaced": lambda: encoded(photo(), "GIF", interlace=0),
    "gif of two colours": lambda: encoded(photo().convert("1"), "GIF"),
    "gif grey": lambda: encoded(photo().convert("L"), "GIF"),
    "gif animated": lambda: encoded(photo(), "GIF", save_all=True, append_images=[photo().rotate(90)]),
    "gif transparent": lambda: encoded(photo().convert("P"), "GIF", transparency=3),
    "gif with comment": lambda: encoded(photo(), "GIF", comment=b"x" * 600),
    "bmp grey": _bmp("L"),
    "bmp palette": _bmp("P"),
    "bmp palette of 17": few_colours_bmp,
    "bmp rgb": _bmp("RGB"),
    "bmp rgb, top row first": lambda: upside_down_bmp("RGB"),
    "bmp palette, top row first": lambda: upside_down_bmp("P"),
    "bmp 32 bits": lambda: encoded(with_alpha(), "BMP"),
    "bmp and more bytes": lambda: encoded(photo(), "BMP") + b"more",
    "webp": lambda: encoded(photo(), "WEBP"),
    "webp lossless": lambda: encoded(photo(), "WEBP", lossless=True),
    "webp alpha": lambda: encoded(with_alpha(), "WEBP"),
    "webp lossless alpha": lambda: encoded(with_alpha(), "WEBP", lossless=True, exact=True),
}
