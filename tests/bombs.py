"""Image files that are small and want much: what unpacks to a thousand times its size, or takes long to decode."""

import io
import zlib

from PIL import Image

from kerasnets.data.codecs.png import START, chunk


def png(width: int, height: int) -> bytes:
    """Return a PNG of black pixels, about a thousandth of the size that they take.

    A row is compressed once, up to a full flush, after which the same bytes mean the same row again; the checksum
    (Adler-32, RFC 1950) of zeros follows from how many there are.
    """
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    row = bytes(1 + 3 * width)
    packer = zlib.compressobj(9, wbits=-15)
    packed = packer.compress(row) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = (len(row) * height % 65_521 << 16 | 1).to_bytes(4, "big")
    rows = b"\x78\xda" + packed * height + packer.flush() + checksum
    return START + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def scans(side: int, count: int) -> bytes:
    """Return a grey progressive JPEG whose first scan comes `count` times: each is a pass over all pixels."""
    file = io.BytesIO()
    Image.new("L", (side, side), 90).save(file, "JPEG", progressive=True)
    content = file.getvalue()
    first = content.index(b"\xff\xda")
    second = content.index(b"\xff", first + 2 + int.from_bytes(content[first + 2 : first + 4], "big"))
    return content[:first] + content[first:second] * count + content[second:]
