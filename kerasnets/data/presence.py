"""Which of many listed files are not there: by listing their folders, which takes a request a folder, not a file."""

import os
from collections.abc import Iterator

import numpy as np

from kerasnets.data.encoded import Files

_FEW = 10_000  # files that are asked for one by one: their folders may hold many others


def missing(files: Files) -> np.ndarray:
    """Return the indices of those that are no files, ascending."""
    suspects = np.arange(len(files))
    if len(files) > _FEW:
        names = np.fromiter((hash(name) for name in files.names), np.int64, len(files))
        suspects = np.flatnonzero(~np.isin(names, np.fromiter(_hashes(files), np.int64)))
    return suspects[[not os.path.isfile(files.name(index)) for index in suspects.tolist()]]


def _hashes(files: Files) -> Iterator[int]:
    """Yield the hash of the name of every file in the folders that the files are in, written as the files are."""
    for folder in {name.rpartition("/")[0] for name in files.names}:
        prefix = f"{folder}/" if folder else ""
        try:
            with os.scandir(os.path.join(files.root, folder) or ".") as entries:
                yield from (hash(prefix + entry.name) for entry in entries if entry.is_file())
        except OSError:
            continue  # no such folder: its files are asked for one by one
