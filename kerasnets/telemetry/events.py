"""Our event files: one writer for training, one for validation, shared by all that writes to TensorBoard."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_FLOAT
from tensorboard.plugins.histogram import metadata as histogram_metadata
from tensorboard.plugins.scalar import metadata as scalar_metadata

from kerasnets.telemetry.cost import MEGABYTE

TRAIN, VALIDATION = "train", "validation"
_SCALAR = scalar_metadata.create_summary_metadata("", "")
_HISTOGRAM = histogram_metadata.create_summary_metadata("", "")


class Events:
    """Writes `<directory>/train` and `<directory>/validation`; a tag that both have is drawn as one chart.

    Many values go into one record, and a tag's metadata is written once: a sample of a deep network has hundreds of
    tags, which `tf.summary` would write one by one.

    Args:
        directory: gets them.
        max_megabytes: what those who write much ask for with `room`.
    """

    def __init__(self, directory: Path, max_megabytes: float = math.inf) -> None:
        self.directory = directory
        self._limit = max_megabytes * MEGABYTE
        self._writers: dict[str, Any] = {}
        self._known: dict[tuple[str, str], None] = {}

    def writer(self, name: str = TRAIN) -> Any:
        """Return the `tf.summary` writer called `name`."""
        if name not in self._writers:
            self._writers[name] = tf.summary.create_file_writer(str(self.directory / name))
        return self._writers[name]

    def write(self, step: int, values: Iterable[Summary.Value], name: str = TRAIN) -> None:
        """Write summary values as one record."""
        summary = Summary(value=values)
        for value in summary.value:
            if (name, value.tag) in self._known:
                value.ClearField("metadata")
            self._known[name, value.tag] = None
        if summary.value:
            with self.writer(name).as_default():
                tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step=step)

    def scalars(self, step: int, values: Mapping[str, float], name: str = TRAIN) -> None:
        """Write tag -> value."""
        self.write(step, [self.scalar(tag, value) for tag, value in values.items()], name)

    @staticmethod
    def scalar(tag: str, value: float) -> Summary.Value:
        """Return a scalar for `write`."""
        tensor = TensorProto(dtype=DT_FLOAT, float_val=[float(value)])
        return Summary.Value(tag=tag, tensor=tensor, metadata=_SCALAR)

    @staticmethod
    def histogram(tag: str, low: float, high: float, counts: np.ndarray) -> Summary.Value:
        """Return a histogram of equally wide buckets from `low` to `high` for `write`."""
        if low < high:
            edges = np.linspace(low, high, len(counts) + 1)
            rows = np.stack([edges[:-1], edges[1:], counts], axis=1)
        else:  # all entries are equal: one bucket around them, as TensorFlow writes it
            rows = np.array([[low - 0.5, low + 0.5, counts.sum()]])
        tensor = TensorProto(dtype=DT_DOUBLE, tensor_content=np.ascontiguousarray(rows, np.float64).tobytes())
        for size in rows.shape:
            tensor.tensor_shape.dim.add(size=size)
        return Summary.Value(tag=tag, tensor=tensor, metadata=_HISTOGRAM)

    @property
    def bytes(self) -> int:
        """Size of the event files so far, with what is still buffered; a run that was resumed has the same."""
        self.flush()
        found: dict[Path, list[Path]] = {}
        for path in self.directory.glob("*/events.out.tfevents.*"):
            found.setdefault(path.parent, []).append(path)
        sizes = sum(path.stat().st_size for paths in found.values() for path in paths)
        return sizes - sum(_header(path) for paths in found.values() for path in paths[1:])

    def get_state(self) -> dict[str, Any]:
        """Return what a run that is resumed needs; what was written is in the files."""
        return {"known": [list(pair) for pair in self._known]}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `get_state` returned."""
        self._known = {(name, tag): None for name, tag in state["known"]}

    def room(self, size: int) -> bool:
        """Tell whether so many bytes more are within the limit."""
        return self.bytes + size <= self._limit

    def flush(self) -> None:
        """Write what is buffered."""
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """Write what is buffered and close the files; safe to call twice."""
        for writer in self._writers.values():
            writer.close()


def _header(path: Path) -> int:
    """Return the bytes of an event file's first record, which only names the format: length, two checksums, content."""
    with path.open("rb") as file:
        length = file.read(8)
    return int.from_bytes(length, "little") + 16 if length else 0
