"""Encoded images by number, wherever they lie. Imports no TensorFlow unless a graph is built."""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from kerasnets.data.strings import Strings, encoded
from kerasnets.data.tree import content

Tensor = Any


class Encoded(ABC):
    """Images as JPEG, PNG, … bytes: files of their own, or records of shards."""

    @abstractmethod
    def __len__(self) -> int:
        """Return how many there are."""

    @abstractmethod
    def take(self, index: np.ndarray) -> Self:
        """Return those at `index`."""

    @abstractmethod
    def name(self, index: int) -> str:
        """Return what messages call an image: where it lies."""

    @abstractmethod
    def read(self, index: int) -> bytes:
        """Return an image's bytes.

        Raises:
            OSError: They cannot be read.
            DecodeError: They are not those that were written; the message does not name them.
        """

    @abstractmethod
    def sizes(self, indices: np.ndarray) -> np.ndarray:
        """Return the bytes of images, int64 `[n]`.

        Raises:
            OSError: A file is gone.
        """

    @abstractmethod
    def reader(self) -> Callable[[Tensor], Tensor]:
        """Return `read` as TensorFlow operations: scalar int64 -> scalar string."""

    @abstractmethod
    def fingerprint(self, indices: np.ndarray) -> str:
        """Return a digest that is another one when one of these images was changed."""


@dataclass(frozen=True, eq=False)
class Files(Encoded):
    """Image files.

    Attributes:
        root: The folder that names are relative to.
        names: With `/` between their parts; an absolute one stands for itself.
    """

    root: str
    names: Strings

    @classmethod
    def of(cls, paths: Iterable[Path]) -> Self:
        """Return the files at these paths."""
        return cls("", Strings.of(map(os.fspath, paths)))

    def __len__(self) -> int:
        return len(self.names)

    def take(self, index: np.ndarray) -> Self:
        return type(self)(self.root, self.names.take(index))

    def path(self, index: int) -> Path:
        """Return where a file is."""
        return Path(self.name(index))

    def name(self, index: int) -> str:
        return os.path.join(self.root, self.names[index])

    def read(self, index: int) -> bytes:
        return content(self.name(index))

    def sizes(self, indices: np.ndarray) -> np.ndarray:
        return np.array([os.stat(self.name(index)).st_size for index in indices.tolist()], np.int64)

    def reader(self) -> Callable[[Tensor], Tensor]:
        import tensorflow as tf

        root = encoded(os.path.join(self.root, ""))
        paths = [bytes(name) if name[:1] == b"/" else root + name for name in self.names.views()]
        names = tf.constant(paths, tf.string)
        return lambda index: tf.io.read_file(tf.gather(names, index))

    def fingerprint(self, indices: np.ndarray) -> str:
        digest = hashlib.sha256(encoded(os.path.realpath(self.root)))
        for index in indices.tolist():
            digest.update(b"\0%b\0" % encoded(self.names[index]))
            try:
                status = os.stat(self.name(index))
            except OSError:
                continue  # a file that is gone is reported when it is read
            digest.update(b"%d %d" % (status.st_size, status.st_mtime_ns))
        return digest.hexdigest()
