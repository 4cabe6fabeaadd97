"""`data.cache`: files decoded and resized once, their pixels kept in memory or on disk."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from kerasnets import __version__
from kerasnets.data.cache_root import cache_root
from kerasnets.data.encoded import Encoded
from kerasnets.data.pixels import PixelFile
from kerasnets.data.steps import Steps
from kerasnets.data.streams import FileStream, Order, Resize, options
from kerasnets.errors import UserError

Tensor = Any

Progress = Callable[[str, int], AbstractContextManager[Callable[[], object]]]
"""From words and a total to a block in which the function moves on by one."""


@contextmanager
def silent(words: str, total: int) -> Iterator[Callable[[], object]]:
    yield lambda: None


@dataclass(frozen=True)
class Cache:
    """Where resized pixels are kept.

    Attributes:
        kind: "memory", for as long as the batches live; or "disk", for other runs, too.
        directory: Of the files; None: in the user's cache.
        progress: Shows how far decoding has come.
    """

    kind: Literal["memory", "disk"]
    directory: Path | None = None
    progress: Progress = silent

    def pixels(self, files: Encoded, indices: np.ndarray, resize: Resize, workers: int, exact: bool) -> Tensor:
        """Return images at the model's size, `[n, h, w, C]`, those at `indices` filled in.

        Args:
            files: Of the split.
            indices: Of the images that are used.
            resize: To the model's size.
            workers: Images decoded at the same time.
            exact: float32, as evaluation has them; else uint8, rounded, a quarter of the memory: for training.

        Raises:
            UserError: Windows are random, or the disk is full.
        """
        if resize.window is not None:
            raise UserError(
                f"data.cache: '{self.kind}' keeps resized images, which random_resized_crop cannot use; take 'none'"
            )
        shape = (len(files), *resize.preprocessing.image_size, resize.preprocessing.channels)
        dtype = np.dtype(np.float32 if exact else np.uint8)
        rows = self._rows(files, indices, resize, workers, dtype)
        if self.kind == "memory":
            images = np.zeros(shape, dtype)
            for index, pixels in rows:
                images[index] = pixels
            return tf.constant(images)
        key = f"{files.fingerprint(indices)} {_definition(resize)}"
        file = PixelFile.of(self.directory or cache_root() / "pixels", key, shape, len(indices), dtype)
        if not file.there:
            file.make(rows)
        return tf.experimental.dlpack.from_dlpack(file.mapped().__dlpack__())  # the file itself, not a copy of it

    def _rows(
        self, files: Encoded, indices: np.ndarray, resize: Resize, workers: int, dtype: np.dtype
    ) -> Iterator[tuple[int, np.ndarray]]:
        stream = FileStream(files, Order.of(indices, 0, False), resize, Steps(len(indices), 1), workers, exact=True)
        found = stream.batches(
            0, len(indices), lambda pixels, *_: pixels, lambda pixels, index, *_: (pixels[0], index[0])
        )
        with self.progress(f"decode for data.cache={self.kind}", len(indices)) as advance:
            for pixels, index in found.with_options(options()):
                yield int(index), pixels.numpy() if dtype.kind == "f" else np.rint(pixels).astype(dtype)
                advance()


def _definition(resize: Resize) -> str:
    """Return what decides resized pixels beside the files: settings, code, and how this machine rounds."""
    preprocessing = resize.preprocessing
    zero = tf.constant(0, tf.int64)
    probe = np.random.default_rng(0).integers(0, 256, (1, 301, 227, preprocessing.channels), np.uint8)
    digest = hashlib.sha256(resize(tf.constant(probe), zero, zero).numpy().tobytes())
    if preprocessing.resize == "pad" and preprocessing.mean_image is not None:
        digest.update(preprocessing.mean_image.tobytes())
    bare = replace(preprocessing, mean=(), std=(), mean_image=None)
    return f"{__version__} {tf.__version__} {bare} {digest.hexdigest()}"
