"""Resized pixels on disk, mapped into memory: made once, shared by runs, made anew when anything about them changed."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from kerasnets.durable import sync
from kerasnets.errors import UserError


@dataclass(frozen=True)
class PixelFile:
    """A file of pixels `[n, h, w, C]`, rows that are not used left out as holes.

    Attributes:
        path: Its name has a hash of all that decides its content.
        shape: Of the pixels.
        used: Rows that are filled.
        dtype: float32 or uint8.
    """

    path: Path
    shape: tuple[int, int, int, int]
    used: int
    dtype: np.dtype

    @classmethod
    def of(cls, directory: Path, key: str, shape: tuple[int, int, int, int], used: int, dtype: np.dtype) -> "PixelFile":
        """Return the file for a key: whatever the pixels depend on, in words."""
        name = hashlib.sha256(f"{key} {shape}".encode(errors="surrogateescape")).hexdigest()[:32]
        return cls(directory / f"{name}.{dtype}", shape, used, dtype)

    @property
    def _row(self) -> int:
        return int(np.prod(self.shape[1:])) * self.dtype.itemsize

    @property
    def _aside(self) -> Path:
        """Where it is made: a place, and a lock, of its own, whatever else is kept under the same key."""
        return self.path.with_name(f"{self.path.name}.tmp")

    @property
    def there(self) -> bool:
        """Whether it was made, to the end."""
        return self.path.is_file() and self.path.stat().st_size == self.shape[0] * self._row

    def make(self, rows: Iterable[tuple[int, np.ndarray]]) -> None:
        """Write (index, pixels `[h, w, C]`) to the file; waits while another process does.

        Raises:
            UserError: It cannot be written; the disk may be full.
        """
        aside = self._aside
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with aside.open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if not self.there:
                    self._fill(file, rows)
        except OSError as error:
            raise UserError(
                f"data.cache_dir: {self.path.parent}: {error.strerror}; {self._megabytes} are wanted"
            ) from error

    def _fill(self, file: BinaryIO, rows: Iterable[tuple[int, np.ndarray]]) -> None:
        free = shutil.disk_usage(self.path.parent).free
        if self.used * self._row > free:
            raise UserError(
                f"data.cache_dir: {self.path.parent}: {self._megabytes} are wanted, {free / 1e6:,.1f} MB are free"
            )
        aside = self._aside
        try:
            with aside.open("r+b") as out:
                out.truncate(0)
                for index, pixels in rows:
                    out.seek(index * self._row)
                    out.write(np.ascontiguousarray(pixels, self.dtype).data)
                out.truncate(self.shape[0] * self._row)
            sync(aside)
            os.replace(aside, self.path)
        except BaseException:
            file.truncate(0)  # not removed: another process may wait for the lock on it
            raise

    @property
    def _megabytes(self) -> str:
        return f"{self.used * self._row / 1e6:,.1f} MB"

    def mapped(self) -> np.ndarray:
        """Return the pixels, read from disk as they are touched."""
        return np.memmap(self.path, self.dtype, "c", shape=self.shape)
