"""Image files that are small and want much: what unpacks to a thousand times its size, or takes long to decode."""

import io
import zlib

from PIL import Image

from kerasnets.data.codecs.png import START, chunk


def png(width: int, height: int) -> bytes:
    """Return a PNG of black pixels, a thousandth of the size that they take."""
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    packed = zlib.compressobj(9)
    row = bytes(1 + 3 * width)
    rows = b"".join(packed.compress(row) for _ in range(height)) + packed.flush()
    return START + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def scans(side: int, count: int) -> bytes:
    """Return a grey progressive JPEG whose first scan comes `count` times: each is a pass over all pixels."""
    file = io.BytesIO()
    Image.new("L", (side, side), 90).save(file, "JPEG", progressive=True)
    content = file.getvalue()
    first = content.index(b"\xff\xda")
    second = content.index(b"\xff", first + 2 + int.from_bytes(content[first + 2 : first + 4], "big"))
    return content[:first] + content[first:second] * count + content[second:]
