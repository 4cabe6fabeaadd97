"""Files that are on the disk, whole or not at all, and known by their hash. Imports nothing of ours."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sync(path: Path) -> None:
    """Wait until a file or directory is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write aside; it takes the place of `path` when all went well, and is removed otherwise."""
    aside = path.with_name(f".{path.name}.tmp{path.suffix}")
    aside.unlink(missing_ok=True)  # a kill may have left it
    try:
        yield aside
        sync(aside)
        os.replace(aside, path)
        sync(path.parent)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: bytes) -> None:
    """Write a file aside, put it onto the disk and rename it."""
    with replacing(path) as aside:
        aside.write_bytes(content)


def sha256(path: Path) -> str:
    """Return the hash of a file's content, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
