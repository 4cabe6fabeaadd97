"""What lies below a folder: files, and what looks like files and is none. Imports no TensorFlow."""

import errno
import os
import stat
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from kerasnets.errors import UserError

MOST_BYTES = 1 << 30  # of one encoded image: more than the largest that is decoded can take


class Kind(Enum):
    """What a name stands for. A link counts as what it leads to."""

    FILE = "file"
    NOWHERE = "link that leads nowhere"
    SPECIAL = "pipe, socket or device"
    AGAIN = "link to a folder that is listed anyway"
    HIDDEN = "hidden"


class Entry(NamedTuple):
    """A name below a folder, with `/` between its parts."""

    name: str
    kind: Kind


def below(directory: str, prefix: str = "") -> Iterator[Entry]:
    """Yield what is in a folder, sorted, then what is in the folders in it, one after the other.

    Linked folders are followed, but not to where the walk is, was, or will come by itself: nothing is listed twice
    and the walk ends. Folders are kept in a list, not on Python's stack, which is short for a path of 4,000 characters.

    Args:
        directory: Where to begin.
        prefix: What all names begin with.

    Raises:
        UserError: A folder cannot be read.
    """
    walked = [os.path.realpath(directory)]
    waiting = [(directory, prefix)]
    while waiting:
        folder, prefix = waiting.pop()
        inner = []
        for entry in _sorted(folder):
            name = prefix + entry.name
            if entry.name.startswith("."):
                yield Entry(name, Kind.HIDDEN)
            elif not _is_folder(entry):
                yield Entry(name, _kind(entry))
            elif entry.is_symlink() and not _is_new(os.path.realpath(entry.path), walked):
                yield Entry(name, Kind.AGAIN)
            else:
                inner.append((entry.path, f"{name}/"))
        waiting += reversed(inner)


def _sorted(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f"folder {folder} cannot be read: {error.strerror}") from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _kind(entry: os.DirEntry[str]) -> Kind:
    try:
        if entry.is_file():
            return Kind.FILE
        entry.stat()
    except OSError:
        return Kind.NOWHERE
    return Kind.SPECIAL


def _is_new(target: str, walked: list[str]) -> bool:
    """Return whether a folder neither is in, nor holds, one that is walked; if so, count it among them."""
    if any(_holds(folder, target) or _holds(target, folder) for folder in walked):
        return False
    walked.append(target)
    return True


def _holds(folder: str, target: str) -> bool:
    return target == folder or target.startswith(folder.rstrip("/") + "/")


def content(path: str | os.PathLike[str]) -> bytes:
    """Return a file's bytes, and never wait for somebody to write them, as reading a pipe does.

    Raises:
        OSError: It cannot be read, is no regular file, or is too large for an image.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, f"not a file but a {Kind.SPECIAL.value}", os.fspath(path))
        if status.st_size > MOST_BYTES:
            raise OSError(errno.EFBIG, f"{status.st_size:,} bytes are more than an image has", os.fspath(path))
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)
