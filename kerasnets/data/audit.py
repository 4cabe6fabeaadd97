"""What is wrong with the files of a data set, one by one. Imports no TensorFlow."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from kerasnets.data import decode
from kerasnets.data.decode import DecodeError
from kerasnets.data.sources import Split


@dataclass(frozen=True)
class Problem:
    """A file that cannot be used: its index in the split, and why, without the path."""

    index: int
    path: Path
    reason: str


def unreadable(
    split: Split, channels: int = 3, workers: int = 0, progress: Callable[[], object] | None = None
) -> list[Problem]:
    """Return every file of a split that cannot be decoded, in order; none for images in memory.

    Args:
        split: What to look at.
        channels: 1 or 3.
        workers: Threads that decode; 0: one a core and a few more.
        progress: Called after each file.
    """
    if split.paths is None:
        return []
    problems = []
    with ThreadPoolExecutor(workers or None) as pool:
        reasons = pool.map(lambda path: _reason(path, channels), split.paths)
        for index, (path, reason) in enumerate(zip(split.paths, reasons, strict=True)):
            if reason is not None:
                problems.append(Problem(index, path, reason))
            if progress is not None:
                progress()
    return problems


def _reason(path: Path, channels: int) -> str | None:
    try:
        decode.pillow(path.read_bytes(), channels)
    except DecodeError as error:
        return str(error)
    except OSError as error:
        return str(error.strerror)
    return None
