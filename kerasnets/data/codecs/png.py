"""PNG: chunks with their checksums, and pixels through Pillow."""

import io
import zlib
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
from PIL import Image

from kerasnets.data.codecs import rules
from kerasnets.data.codecs.alpha import on_white
from kerasnets.data.codecs.rules import DecodeError, Header

START = b"\x89PNG\r\n\x1a\n"
IHDR = b"\0\0\0\x0dIHDR"
IEND = b"\0\0\0\0IEND\xaeB`\x82"
HEADER_END = 33  # of the signature and IHDR
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of each colour type
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
PALETTE = 3
KEY_LENGTHS = {0: 2, 2: 6}  # of tRNS; one byte for each colour of a palette
SMALL_LETTER = 0x20  # of a chunk's first letter: decoders may pass it over
KNOWN = (b"IHDR", b"PLTE", b"IDAT", b"IEND")

_PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))  # Adam7
_PIECE = 1 << 20  # bytes that are unpacked at a time
_LARGEST_WINDOW = b"\x70"  # of zlib, in the first byte of a stream
_TOO_MUCH = 1024  # bytes behind the last row that libpng looks at

Chunk = tuple[int, int]  # where it begins, length of its content


def header(encoded: bytes) -> Header:
    """Walk the chunks to IEND (PNG specification, section 5); pixels are the first run of IDAT chunks."""
    at, tiff, parts, known, end = 8, -1, 0, True, -1
    palette, key, pixels = (-1, 0), (-1, 0), (-1, 0)
    while at < len(encoded) and parts < rules.MAX_PARTS:
        length, tag, parts = rules.big(encoded, at, 4), encoded[at + 4 : at + 8], parts + 1
        if at + 12 + length > len(encoded):
            break
        before, after = pixels[0] < 0, at + 12 + length
        if tag == b"IEND":
            end = at
            break
        if tag == b"IDAT" and (before or pixels[1] == at):
            pixels = (at if before else pixels[0], after)
        elif tag == b"PLTE" and before and palette[0] < 0:
            palette = (at, length)
        elif tag == b"tRNS" and before and key[0] < 0:
            key = (at, length)
        elif tag == b"eXIf" and before and tiff < 0:
            tiff = at + 8
        known = known and (tag in KNOWN or bool(tag[0] & SMALL_LETTER))
        at = after
    if end < 0:
        return Header(rules.PARTS if parts == rules.MAX_PARTS else rules.PNG_SHORT)
    refusal, key = _refusal(encoded, palette, key, known and pixels[0] >= 0)
    alpha = key[0] >= 0 or rules.big(encoded, 25, 1) in (4, 6)
    return Header(refusal, tiff, alpha, b"" if refusal else _plain(encoded, palette, key, pixels))


def _refusal(encoded: bytes, palette: Chunk, key: Chunk, sound: bool) -> tuple[int, Chunk]:
    """Return what is wrong, and the chunk of transparency, (-1, 0) where it does not fit: libpng drops it then."""
    width, height, depth, colours = (rules.big(encoded, place, n) for place, n in ((16, 4), (20, 4), (24, 1), (25, 1)))
    if width * height > rules.MAX_PIXELS or max(width, height) > rules.MAX_SIDE:
        return rules.LARGE, key
    rest = rules.at(encoded, 26, 3)
    sound = sound and encoded[8:16] == IHDR and rest[:2] == b"\0\0" and rest[2] < 2 and width > 0 and height > 0
    entries = palette[1] // 3 if colours == PALETTE else 0
    if colours == PALETTE:
        sound = sound and palette[0] >= 0 and 0 < palette[1] <= 768 and palette[1] % 3 == 0
    if not sound or depth not in DEPTHS.get(colours, ()):
        return rules.PNG_BROKEN, key
    fits = 0 < key[1] <= min(entries, 1 << depth) if colours == PALETTE else key[1] == KEY_LENGTHS.get(colours)
    if not fits:
        return 0, (-1, 0)
    if not _right(encoded, key):
        return rules.PNG_BROKEN, key
    return rules.PNG_KEY * (colours != PALETTE and depth != 8), key


def _plain(encoded: bytes, palette: Chunk, key: Chunk, pixels: Chunk) -> bytes:
    """Return a PNG of header, palette, transparency and pixels."""
    colours = rules.big(encoded, 25, 1)
    pieces = [encoded[:HEADER_END]]
    pieces += [_whole(encoded, palette)] * (colours == PALETTE) + [_whole(encoded, key)] * (key[0] >= 0)
    return b"".join([*pieces, encoded[pixels[0] : pixels[1]], IEND])


def _right(encoded: bytes, chunk: Chunk) -> bool:
    """Return whether a chunk's checksum is right."""
    at, length = chunk
    return zlib.crc32(encoded[at + 4 : at + 8 + length]) == rules.big(encoded, at + 8 + length, 4)


def _whole(encoded: bytes, chunk: Chunk) -> bytes:
    return encoded[chunk[0] : chunk[0] + 12 + chunk[1]]


def pixels(header: Header) -> np.ndarray:
    """Return uint8 `[h, w, 3]`, as stored, on white.

    Raises:
        DecodeError: A checksum is wrong, or there are fewer pixels than the header says.
    """
    with Image.open(_checked(header.plain), formats=("PNG",)) as image:
        if image.mode == "I;16":
            return np.repeat((np.asarray(image) >> 8).astype(np.uint8)[..., None], 3, axis=-1)
        if header.alpha:
            return on_white(np.asarray(image.convert("RGBA")))
        return np.asarray(image.convert("RGB"))


def _checked(plain: bytes) -> io.BytesIO:
    """Return the file as Pillow reads it without fault: it fills up missing rows, and stops at what follows the last.

    So the rows are unpacked here, as libpng does it. Colours past a palette's end are black, as in libpng too.
    """
    file, packed = io.BytesIO(), []
    file.write(START)
    for at, length in _chunks(plain):
        tag, body = plain[at + 4 : at + 8], plain[at + 8 : at + 8 + length]
        if not _right(plain, (at, length)):
            raise DecodeError(f"a broken PNG image (wrong checksum of {tag.decode('latin-1')})")
        if tag == b"IDAT":
            packed.append(body)
        elif tag != b"IEND":
            file.write(chunk(tag, body.ljust(768, b"\0") if tag == b"PLTE" else body))
    stored = zlib.compressobj(0)
    for rows in _rows(packed, plain):
        file.write(chunk(b"IDAT", stored.compress(rows)))
    file.write(chunk(b"IDAT", stored.flush()) + IEND)
    return file


def _chunks(plain: bytes) -> Iterator[Chunk]:
    at = 8
    while at < len(plain):
        yield at, (length := rules.big(plain, at, 4))
        at += 12 + length


def chunk(tag: bytes, body: bytes) -> bytes:
    """Return a chunk with its length and checksum."""
    checksum = zlib.crc32(body, zlib.crc32(tag))
    return b"".join([len(body).to_bytes(4, "big"), tag, body, checksum.to_bytes(4, "big")])


class _Stream:
    """A zlib stream in pieces, read by the byte."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._stream = zlib.decompressobj(0)  # in the window that its own header asks for
        self._pieces = (piece[at : at + _PIECE] for piece in pieces for at in range(0, len(piece), _PIECE))
        self._tail = b""

    def read(self, count: int) -> bytes:
        """Return `count` bytes, fewer where the stream ends."""
        found: list[bytes] = []
        while count and not self._stream.eof:
            piece = self._tail or next(self._pieces, b"")
            found.append(self._stream.decompress(piece, count))
            count -= len(found[-1])
            self._tail = self._stream.unconsumed_tail
            if not piece and not found[-1]:
                break
        return b"".join(found)

    @property
    def ended(self) -> bool:
        return self._stream.eof


def _rows(packed: list[bytes], plain: bytes) -> Iterator[bytes]:
    """Yield the rows as libpng unpacks them: in a window smaller than zlib's largest, one by one.

    After the last, what is too much or damaged does not matter to it; that the stream does not end does.
    """
    stream, lengths = _Stream(packed), _lengths(plain)
    if packed[0][:1] >= _LARGEST_WINDOW:
        total = sum(lengths)
        lengths = (min(_PIECE, total - at) for at in range(0, total, _PIECE))
    try:
        for length in lengths:
            rows = stream.read(length)
            if len(rows) < length:
                raise DecodeError("a broken PNG image (fewer pixels than its header says)")
            yield rows
    except zlib.error as error:
        raise DecodeError(f"a broken PNG image ({error})") from error
    with suppress(zlib.error):
        if len(stream.read(_TOO_MUCH)) < _TOO_MUCH and not stream.ended:
            raise DecodeError("a broken PNG image (its pixels' data does not end)")


def _lengths(plain: bytes) -> Iterator[int]:
    """Yield the bytes of each row, with the one that says its filter."""
    width, height, depth, colours = (rules.big(plain, place, n) for place, n in ((16, 4), (20, 4), (24, 1), (25, 1)))
    passes = _PASSES if rules.big(plain, 28, 1) else ((0, 0, 1, 1),)
    for top, left, down, right in passes:
        columns = -(-(width - left) // right)
        if columns > 0:
            row = 1 + (columns * CHANNELS[colours] * depth + 7) // 8
            yield from [row] * -(-(height - top) // down)
