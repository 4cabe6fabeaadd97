"""What is wrong with the files of a data set, one by one. Imports no TensorFlow."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kerasnets.data import decode
from kerasnets.data.decode import DecodeError
from kerasnets.data.encoded import Encoded
from kerasnets.data.sources import Split
from kerasnets.data.threads import in_threads


@dataclass(frozen=True)
class Problem:
    """An image that cannot be used: its index in the split, where it lies, and why."""

    index: int
    path: str
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
    files = split.files
    if files is None:
        return []
    problems = []
    reasons = in_threads(lambda index: _reason(files, index, channels), np.arange(len(files)), workers)
    for index, reason in enumerate(reasons):
        if reason is not None:
            problems.append(Problem(index, files.name(index), reason))
        if progress is not None:
            progress()
    return problems


def _reason(files: Encoded, index: int, channels: int) -> str | None:
    try:
        decode.pillow(files.read(index), channels)
    except DecodeError as error:
        return str(error)
    except OSError as error:
        return str(error.strerror)
    return None
