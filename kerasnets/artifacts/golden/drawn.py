"""The golden images themselves: drawn by Pillow alone, one of each kind in the table of `data/decode.py`."""

import io
from typing import Any

from PIL import Image

_WIDTH, _HEIGHT = 67, 51  # odd, so that chroma and row padding have something to round
_LARGER = (331, 257)  # than the input of most models
_ORIENTATION_TAG = 0x0112
_ADOBE_YCCK = 2


def pictures() -> dict[str, bytes]:
    """Return file name -> encoded image: colour modes, EXIF orientations, JPEG's kinds and odd sizes, 70 kB in all.

    The first word of a name is its subject: `mode`, `exif`, `jpeg` or `size`.
    """
    return {**_modes(), **_orientations(), **_jpegs(), **_sizes()}


def _drawing(width: int = _WIDTH, height: int = _HEIGHT) -> Image.Image:
    """Return a picture with edges and soft colours that no turn or mirror leaves as it is."""
    across = Image.linear_gradient("L").rotate(90).resize((width, height))
    around = Image.radial_gradient("L").crop((0, 0, 200, 160)).resize((width, height))
    edges = Image.effect_mandelbrot((width, height), (-2.0, -1.2, 0.7, 0.8), 60)
    return Image.merge("RGB", (across, around, edges))


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _modes() -> dict[str, bytes]:
    drawing = _drawing()
    clear = drawing.copy()
    clear.putalpha(Image.linear_gradient("L").resize(drawing.size))
    palette = drawing.quantize(64)
    return {
        "mode-1.png": _encoded(drawing.convert("1"), "PNG"),
        "mode-l.png": _encoded(drawing.convert("L"), "PNG"),
        "mode-la.png": _encoded(clear.convert("LA"), "PNG"),
        "mode-l-16-bits.png": _encoded(_sixteen_bits(drawing), "PNG"),
        "mode-p.png": _encoded(palette, "PNG"),
        "mode-p-2-bits.png": _encoded(drawing.quantize(4), "PNG", bits=2),
        "mode-p-one-transparent.png": _encoded(palette, "PNG", transparency=3),
        "mode-p-alpha-each.png": _encoded(palette, "PNG", transparency=bytes(range(0, 256, 4))),
        "mode-rgb.png": _encoded(drawing, "PNG"),
        "mode-rgba.png": _encoded(clear, "PNG"),
        "mode-p.gif": _encoded(palette, "GIF"),
        "mode-p-transparent.gif": _encoded(palette, "GIF", transparency=3),
        "mode-p-animated.gif": _encoded(palette, "GIF", save_all=True, append_images=[palette.rotate(180)]),
        "mode-l.bmp": _encoded(drawing.convert("L"), "BMP"),
        "mode-p.bmp": _encoded(palette, "BMP"),
        "mode-rgb.bmp": _encoded(_drawing(23, 17), "BMP"),
        "mode-rgba.bmp": _encoded(clear.resize((19, 13)), "BMP"),
        "mode-rgb.webp": _encoded(drawing, "WEBP", quality=80),
        "mode-rgb-lossless.webp": _encoded(drawing, "WEBP", lossless=True),
        "mode-rgba.webp": _encoded(clear, "WEBP", lossless=True, exact=True),
        "mode-cmyk.jpg": _encoded(drawing.convert("CMYK"), "JPEG"),
        "mode-ycck.jpg": _ycck(drawing),
    }


def _sixteen_bits(drawing: Image.Image) -> Image.Image:
    """Return 16-bit grey whose low bytes are not its high ones."""
    grey = drawing.convert("L").tobytes()
    return Image.frombytes("I;16", drawing.size, b"".join(bytes((255 - value, value)) for value in grey))


def _ycck(drawing: Image.Image) -> bytes:
    """Return a CMYK JPEG whose Adobe segment says YCCK: Pillow reads such files and writes none."""
    content = bytearray(_encoded(drawing.convert("CMYK"), "JPEG"))
    content[content.index(b"Adobe") + 11] = _ADOBE_YCCK
    return bytes(content)


def _orientations() -> dict[str, bytes]:
    """Return the eight orientations as JPEG; PNG and WebP keep theirs elsewhere: a turn and a mirror of each."""
    found = {}
    kinds = [("JPEG", "jpg", range(1, 9)), ("PNG", "png", (6, 7)), ("WEBP", "webp", (5, 8))]
    for kind, ending, orientations in kinds:
        for orientation in orientations:
            tags = Image.Exif()
            tags[_ORIENTATION_TAG] = orientation
            options = {"lossless": True} if kind == "WEBP" else {}
            found[f"exif-{orientation}.{ending}"] = _encoded(_drawing(43, 29), kind, exif=tags, **options)
    return found


def _jpegs() -> dict[str, bytes]:
    drawing = _drawing()
    names = ("4-4-4", "4-2-2", "4-2-0")
    subsampled = {f"jpeg-{name}.jpg": _encoded(drawing, "JPEG", subsampling=name.replace("-", ":")) for name in names}
    return {
        **subsampled,
        "jpeg-coarse.jpg": _encoded(drawing, "JPEG", quality=20),
        "jpeg-fine.jpg": _encoded(drawing, "JPEG", quality=98, subsampling=0),
        "jpeg-grey.jpg": _encoded(drawing.convert("L"), "JPEG"),
        "jpeg-progressive.jpg": _encoded(drawing, "JPEG", progressive=True),
        "jpeg-restarts.jpg": _encoded(drawing, "JPEG", restart_marker_rows=1),
    }


def _sizes() -> dict[str, bytes]:
    small = [(1, 1), (1, 37), (41, 1), (2, 3), (13, 11), (32, 32), (131, 17)]
    pngs = {f"size-{w}x{h}.png": _encoded(_drawing(w, h), "PNG") for w, h in small}
    jpegs = {f"size-{w}x{h}.jpg": _encoded(_drawing(w, h), "JPEG") for w, h in ((1, 1), (7, 5), (17, 131), _LARGER)}
    return {**pngs, **jpegs}
