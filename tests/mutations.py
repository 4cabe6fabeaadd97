"""Malformed image files: real ones, changed as disks, transfers and attackers change them. A function of the seed.

Besides bytes anywhere, the parts that a format is made of are swapped, deleted, doubled and cut, and the numbers in its
headers overwritten; checksums are mended after that, so that the damage gets past them.
"""

import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from pictures import READABLE, chunk

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
ODD_NUMBERS = (0, 1, 2, 3, 7, 8, 9, 16, 127, 128, 255, 256, 65_535, 65_536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)

Parts = list[bytes]


def seeds(kind: str) -> list[bytes]:
    """Return sound files of a format, of each of its varieties."""
    return [make() for name, make in READABLE.items() if name.startswith(kind.lower())]


def mutated(kind: str, count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield `count` changed files of a format, each with the name of the change."""
    originals = seeds(kind)
    for number in range(count):
        rng = np.random.default_rng([seed, FORMATS.index(kind), number])
        content = originals[int(rng.integers(len(originals)))]
        names = list(_ANY) + list(_OF[kind])
        name = names[int(rng.integers(len(names)))]
        change = _ANY[name] if name in _ANY else _OF[kind][name]
        yield name, change(content, rng)


def _place(content: bytes, rng: np.random.Generator) -> int:
    """Return a place in the content, in its first bytes as often as anywhere."""
    return int(rng.integers(min(len(content), 64) if rng.random() < 0.3 else len(content)))


def _truncated(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(len(content) * rng.random())]


def _tail_cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: -int(rng.integers(1, 12))]


def _bits(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        changed[_place(content, rng)] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _bytes(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        changed[_place(content, rng)] = int(rng.integers(256))
    return bytes(changed)


def _inserted(content: bytes, rng: np.random.Generator) -> bytes:
    at = _place(content, rng)
    return content[:at] + rng.bytes(int(rng.integers(1, 20))) + content[at:]


def _hole(content: bytes, rng: np.random.Generator) -> bytes:
    at = _place(content, rng)
    return content[:at] + content[at + int(rng.integers(1, 40)) :]


def _zeros(content: bytes, rng: np.random.Generator) -> bytes:
    """A sector that was never written."""
    at, length = _place(content, rng), int(rng.integers(1, 200))
    return content[:at] + bytes(len(content[at : at + length])) + content[at + length :]


def _more(content: bytes, rng: np.random.Generator) -> bytes:
    return content + rng.bytes(int(rng.integers(1, 100)))


def _doubled(content: bytes, rng: np.random.Generator) -> bytes:
    return content + content


_ANY: dict[str, Callable[[bytes, np.random.Generator], bytes]] = {
    "truncated": _truncated,
    "tail cut": _tail_cut,
    "bits": _bits,
    "bytes": _bytes,
    "inserted": _inserted,
    "hole": _hole,
    "zeros": _zeros,
    "more": _more,
    "doubled": _doubled,
}


def _reordered(parts: Parts, rng: np.random.Generator) -> Parts:
    """Swap, delete or double parts, the first left where it is."""
    parts = list(parts)
    at, other = (int(rng.integers(1, len(parts))) for _ in range(2)) if len(parts) > 1 else (0, 0)
    way = rng.integers(3)
    if way == 0:
        parts[at], parts[other] = parts[other], parts[at]
    elif way == 1:
        del parts[at]
    else:
        parts.insert(other, parts[at])
    return parts


def _number(content: bytes, at: int, size: str, rng: np.random.Generator) -> bytes:
    """Overwrite the number at a place by an odd one, or by one that is near."""
    width = struct.calcsize(size)
    old = int.from_bytes(content[at : at + width], "big" if size[0] == ">" else "little")
    near = old + int(rng.integers(-3, 4))
    value = near if rng.random() < 0.5 else ODD_NUMBERS[int(rng.integers(len(ODD_NUMBERS)))]
    return content[:at] + struct.pack(size, value % (1 << 8 * width)) + content[at + width :]


def png_chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    """Return the (tag, content) of each chunk of a sound PNG."""
    found, at = [], 8
    while at < len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        found.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def _png(chunks: list[tuple[bytes, bytes]]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(tag, body) for tag, body in chunks)


def _png_parts(content: bytes, rng: np.random.Generator) -> bytes:
    whole = [chunk(tag, body) for tag, body in png_chunks(content)]
    return content[:8] + b"".join(_reordered(whole, rng))


def _png_header(content: bytes, rng: np.random.Generator) -> bytes:
    chunks = png_chunks(content)
    at, size = ((0, ">I"), (4, ">I"), (8, ">B"), (9, ">B"), (10, ">B"), (11, ">B"), (12, ">B"))[rng.integers(7)]
    chunks[0] = (b"IHDR", _number(chunks[0][1], at, size, rng))
    return _png(chunks)


def _png_body(content: bytes, rng: np.random.Generator) -> bytes:
    """Change a byte of a chunk's content; its checksum is right."""
    chunks = png_chunks(content)
    at = int(rng.choice([i for i, (_, body) in enumerate(chunks) if body]))
    chunks[at] = (chunks[at][0], _bytes(chunks[at][1], rng))
    return _png(chunks)


def _png_rows(content: bytes, rng: np.random.Generator) -> bytes:
    """Change, cut or lengthen the rows before they are compressed: Adler's checksum is right too."""
    chunks = png_chunks(content)
    rows = zlib.decompress(b"".join(body for tag, body in chunks if tag == b"IDAT"))
    rows = (_bytes, _bits, _truncated, _more)[rng.integers(4)](rows, rng)
    body = zlib.compress(rows)
    cut = int(rng.integers(len(body)))
    pieces = [(b"IDAT", body[:cut]), (b"IDAT", body[cut:])]
    first = next(i for i, (tag, _) in enumerate(chunks) if tag == b"IDAT")
    others = [item for item in chunks if item[0] != b"IDAT"]
    return _png([*others[:first], *pieces, *others[first:]])


def _png_extra(content: bytes, rng: np.random.Generator) -> bytes:
    """Put in a chunk of random content, known to decoders or not."""
    tags = (b"tRNS", b"PLTE", b"gAMA", b"sBIT", b"bKGD", b"eXIf", b"tEXt", b"iCCP", b"acTL", b"fdAT", b"zzZz", b"ZZZZ")
    chunks = png_chunks(content)
    body = rng.bytes(int(rng.choice([0, 1, 2, 3, 4, 6, 8, 12, 30, 768])))
    chunks.insert(int(rng.integers(1, len(chunks) + 1)), (tags[rng.integers(len(tags))], body))
    return _png(chunks)


def jpeg_segments(content: bytes) -> Parts:
    """Return the start marker, each segment, and all from the scan on, of a sound JPEG."""
    found, at = [content[:2]], 2
    while content[at + 1] != 0xDA:
        length = 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        found.append(content[at : at + length])
        at += length
    return [*found, content[at:]]


def _jpeg_parts(content: bytes, rng: np.random.Generator) -> bytes:
    return b"".join(_reordered(jpeg_segments(content), rng))


def _jpeg_segment(content: bytes, rng: np.random.Generator) -> bytes:
    """Change bytes of one segment: a table, the frame's header, the scan's header."""
    parts = jpeg_segments(content)
    at = int(rng.integers(1, len(parts)))
    parts[at] = parts[at][:4] + _bytes(parts[at][4:40], rng) + parts[at][40:]
    return b"".join(parts)


def _jpeg_frame(content: bytes, rng: np.random.Generator) -> bytes:
    parts = jpeg_segments(content)
    at = next(i for i, part in enumerate(parts) if part[1] in (0xC0, 0xC1, 0xC2))
    place, size = ((2, ">H"), (4, ">B"), (5, ">H"), (7, ">H"), (9, ">B"), (11, ">B"), (12, ">B"))[rng.integers(7)]
    parts[at] = _number(parts[at], place, size, rng)
    return b"".join(parts)


def _jpeg_extra(content: bytes, rng: np.random.Generator) -> bytes:
    """Put in a segment of random content: EXIF, ICC, Adobe's, a comment, a restart interval, a second table."""
    bodies = (b"Exif\0\0MM\0*", b"ICC_PROFILE\0\1\1", b"Adobe\0", b"", b"JFIF\0", b"http://ns.adobe.com/xap/1.0/\0")
    parts, body = jpeg_segments(content), bodies[rng.integers(len(bodies))] + rng.bytes(int(rng.integers(0, 40)))
    marker = bytes([0xFF, int(rng.choice([0xE0, 0xE1, 0xE2, 0xEE, 0xFE, 0xDD, 0xDB, 0xC4, 0xCC]))])
    parts.insert(int(rng.integers(1, len(parts))), marker + struct.pack(">H", len(body) + 2) + body)
    return b"".join(parts)


def _jpeg_marker(content: bytes, rng: np.random.Generator) -> bytes:
    """Put a marker into the scan."""
    parts = jpeg_segments(content)
    at = int(rng.integers(12, len(parts[-1])))
    marker = bytes([0xFF, int(rng.choice([0, 0xD0, 0xD3, 0xD7, 0xD8, 0xD9, 0xDA, 0xC0, 0xFE, 0xFF]))])
    parts[-1] = parts[-1][:at] + marker + parts[-1][at:]
    return b"".join(parts)


def webp_chunks(content: bytes) -> Parts:
    """Return each chunk of a sound WebP, with its padding."""
    found, at = [], 12
    while at < len(content):
        length = int.from_bytes(content[at + 4 : at + 8], "little")
        found.append(content[at : at + 8 + length + length % 2])
        at += 8 + length + length % 2
    return found


def _webp(parts: Parts) -> bytes:
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _webp_parts(content: bytes, rng: np.random.Generator) -> bytes:
    return _webp(_reordered([b"", *webp_chunks(content)], rng))


def _webp_extra(content: bytes, rng: np.random.Generator) -> bytes:
    parts, body = webp_chunks(content), rng.bytes(int(rng.choice([0, 2, 4, 10, 16, 100])))
    tag = (b"ICCP", b"EXIF", b"XMP ", b"ALPH", b"ANIM", b"ANMF", b"VP8 ", b"VP8L", b"VP8X", b"zzzz")[rng.integers(10)]
    parts.insert(int(rng.integers(0, len(parts) + 1)), tag + struct.pack("<I", len(body)) + body)
    return _webp(parts)


def _webp_header(content: bytes, rng: np.random.Generator) -> bytes:
    at, size = ((4, "<I"), (16, "<I"), (20, "<B"), (21, "<I"), (24, "<H"), (26, "<H"), (28, "<H"))[rng.integers(7)]
    return _number(content, at, size, rng)


def _webp_late(content: bytes, rng: np.random.Generator) -> bytes:
    """Change bytes of the pixels' own data, far from every header."""
    at = min(len(content) - 1, 60 + int(rng.integers(len(content))))
    return content[:at] + rng.bytes(1) + content[at + 1 :]


def _bmp_header(content: bytes, rng: np.random.Generator) -> bytes:
    fields = ((2, "<I"), (10, "<I"), (14, "<I"), (18, "<i"), (22, "<i"), (26, "<H"), (28, "<H"), (30, "<I"), (46, "<I"))
    at, size = fields[rng.integers(len(fields))]
    return _number(content, at, size.upper(), rng)


def _bmp_pixels(content: bytes, rng: np.random.Generator) -> bytes:
    start = int.from_bytes(content[10:14], "little")
    return content[:start] + _bytes(content[start:], rng)


def _bmp_palette(content: bytes, rng: np.random.Generator) -> bytes:
    return content[:54] + _bytes(content[54:], rng)


def gif_parts(content: bytes) -> Parts:
    """Return the header with its colours, each extension, each frame, and the trailer, of a sound GIF."""
    at = 13 + (3 << (content[10] & 7) + 1) * (content[10] >> 7)
    found = [content[:at]]
    while at < len(content):
        start = at
        if content[at] == 0x3B:
            return [*found, content[at:]]
        at += 2 if content[at] == 0x21 else 11 + (3 << (content[at + 9] & 7) + 1) * (content[at + 9] >> 7)
        while content[at]:
            at += 1 + content[at]
        at += 1
        found.append(content[start:at])
    return found


def _gif_parts(content: bytes, rng: np.random.Generator) -> bytes:
    return b"".join(_reordered(gif_parts(content), rng))


def _gif_header(content: bytes, rng: np.random.Generator) -> bytes:
    at, size = ((6, "<H"), (8, "<H"), (10, "<B"), (11, "<B"), (12, "<B"))[rng.integers(5)]
    return _number(content, at, size, rng)


def _gif_frame(content: bytes, rng: np.random.Generator) -> bytes:
    """Change a number of a frame's header, or the size of its first codes."""
    parts = gif_parts(content)
    frames = [i for i, part in enumerate(parts[1:], 1) if part[:1] == b","]
    at = frames[int(rng.integers(len(frames)))]
    codes = 10 + (3 << (parts[at][9] & 7) + 1) * (parts[at][9] >> 7)
    fields = ((1, "<H"), (3, "<H"), (5, "<H"), (7, "<H"), (9, "<B"), (codes, "<B"), (codes + 1, "<B"))
    parts[at] = _number(parts[at], *fields[rng.integers(len(fields))], rng)
    return b"".join(parts)


def _gif_colours(content: bytes, rng: np.random.Generator) -> bytes:
    return content[:13] + _bytes(content[13:300], rng) + content[300:]


def _gif_codes(content: bytes, rng: np.random.Generator) -> bytes:
    """Change bytes of the pixels alone."""
    parts = gif_parts(content)
    at = next(i for i, part in enumerate(parts[1:], 1) if part[:1] == b",")
    place = int(rng.integers(12, len(parts[at]) - 1))
    parts[at] = parts[at][:place] + rng.bytes(1) + parts[at][place + 1 :]
    return b"".join(parts)


_OF: dict[str, dict[str, Callable[[bytes, np.random.Generator], bytes]]] = {
    "JPEG": {
        "segments": _jpeg_parts,
        "segment": _jpeg_segment,
        "frame's header": _jpeg_frame,
        "extra segment": _jpeg_extra,
        "marker in the scan": _jpeg_marker,
    },
    "PNG": {
        "chunks": _png_parts,
        "header": _png_header,
        "content of a chunk": _png_body,
        "rows": _png_rows,
        "extra chunk": _png_extra,
    },
    "WEBP": {"chunks": _webp_parts, "header": _webp_header, "extra chunk": _webp_extra, "pixels": _webp_late},
    "BMP": {"header": _bmp_header, "pixels": _bmp_pixels, "palette": _bmp_palette},
    "GIF": {
        "blocks": _gif_parts,
        "header": _gif_header,
        "frame's header": _gif_frame,
        "colours": _gif_colours,
        "codes": _gif_codes,
    },
}
