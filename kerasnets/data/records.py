"""Images inside the records of TFRecord files, read at random by an index of offsets. Imports no TensorFlow by itself.

A record is framed: its length (8 bytes, little-endian), a checksum of that (4), the content, a checksum of it (4).
"""

import hashlib
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from kerasnets.data.decode import DecodeError
from kerasnets.data.encoded import Encoded
from kerasnets.data.strings import Strings, encoded

Tensor = Any

HEAD, TAIL = 12, 4
PLACE = np.dtype([("file", "<i4"), ("at", "<i8"), ("size", "<i8"), ("start", "<i8"), ("length", "<i8"), ("crc", "<u4")])
"""Number of the file; offset and size of the framed record; offset in it and length of the image; CRC-32 of it all."""


class BrokenFile(ValueError):
    """A file is no sequence of whole records; the message says where, without the file's name."""


def frames(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the offset and the bytes of each framed record of a file.

    Raises:
        BrokenFile: It ends within a record.
    """
    with path.open("rb") as file:
        at = 0
        while head := file.read(HEAD):
            size = struct.unpack("<Q", head[:8])[0] + TAIL if len(head) == HEAD else 0
            rest = file.read(size) if size <= os.fstat(file.fileno()).st_size else b""
            if len(head) < HEAD or len(rest) < size:
                raise BrokenFile(f"no whole record at byte {at:,}")
            yield at, head + rest
            at += HEAD + size


@dataclass(frozen=True, eq=False)
class Records(Encoded):
    """Images in TFRecord files.

    Attributes:
        paths: The files.
        places: Where each image is, rows of `PLACE`.
        ids: What messages call each image, beside its file.
    """

    paths: Sequence[Path]
    places: np.ndarray
    ids: Strings

    def __len__(self) -> int:
        return len(self.places)

    def take(self, index: np.ndarray) -> Self:
        return type(self)(self.paths, self.places[index], self.ids.take(index))

    def name(self, index: int) -> str:
        return f"{self.paths[self.places['file'][index]]} ({self.ids[index]})"

    def read(self, index: int) -> bytes:
        found = self.places[index]
        with self.paths[found["file"]].open("rb", buffering=0) as file:
            frame = os.pread(file.fileno(), int(found["size"]), int(found["at"]))
        if len(frame) < found["size"] or zlib.crc32(frame) != found["crc"]:
            raise DecodeError("damaged: the bytes are not those of the index")
        return frame[found["start"] : found["start"] + found["length"]]

    def sizes(self, indices: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(self.places["length"][indices])

    def reader(self) -> Callable[[Tensor], Tensor]:
        """Return `read` as operations; TensorFlow checks the record's own checksums, and opens no file for long."""
        import tensorflow as tf

        paths = tf.constant([encoded(os.fspath(path)) for path in self.paths])
        file, at, start, length = (
            tf.constant(np.ascontiguousarray(self.places[key])) for key in ("file", "at", "start", "length")
        )

        def read(index: Tensor) -> Tensor:
            one, kind = tf.constant(1, tf.int64), {"output_types": [tf.string], "output_shapes": [()]}
            records = tf.raw_ops.TFRecordDatasetV2(
                filenames=[tf.gather(paths, tf.gather(file, index))],
                compression_type="",
                buffer_size=tf.constant(0, tf.int64),
                byte_offsets=[tf.gather(at, index)],
            )
            first = tf.raw_ops.TakeDataset(input_dataset=records, count=one, **kind)
            record = tf.raw_ops.DatasetToSingleElement(dataset=first, **kind)[0]
            return tf.strings.substr(record, tf.gather(start, index) - HEAD, tf.gather(length, index))

        return read

    def fingerprint(self, indices: np.ndarray) -> str:
        digest = hashlib.sha256(
            np.ascontiguousarray(self.places[["size", "start", "length", "crc"]][indices]).tobytes()
        )
        for index in indices.tolist():
            digest.update(bytes(self.ids.bytes_at(index)) + b"\0")
        return digest.hexdigest()
