"""Files that are written whole or not at all, and where those are kept that can be made again."""

import os
from pathlib import Path


def cache_root() -> Path:
    """Return the user's directory for what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kerasnets"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file aside, put it onto the disk and rename it."""
    aside = path.with_name(f".{path.name}.tmp")
    aside.write_bytes(content)
    sync(aside)
    os.replace(aside, path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Have a file or a directory written to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
