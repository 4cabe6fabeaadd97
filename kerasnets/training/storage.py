"""A run directory that cannot be written to any more: disk full, read-only, taken away."""

import contextlib
import errno
from collections.abc import Iterator

import tensorflow as tf

from kerasnets.errors import UserError
from kerasnets.run import Run
from kerasnets.training.checkpoint.store import Store

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota of the disk is used up",
    errno.EFBIG: "a file may not grow any more",
    errno.EROFS: "the disk is read-only",
    errno.EIO: "the disk fails",
}
_WORDS = {"no space left": errno.ENOSPC, "file too large": errno.EFBIG, "read-only file system": errno.EROFS}


@contextlib.contextmanager
def naming_lost_storage(run: Run) -> Iterator[None]:
    """Turn a write into the run directory that failed into one message that says how to go on."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        reason = _reason(run, error)
        if reason is None:
            raise
        paths = Store(run.checkpoints).paths()
        last = f"the last checkpoint is {paths[-1].name}" if paths else "there is no checkpoint yet"
        again = f"when that is mended: kerasnets train --resume {run.path}"
        raise UserError(f"run {run.path} cannot be written to: {reason}; {last}; {again}") from error


def _reason(run: Run, error: OSError | tf.errors.OpError) -> str | None:
    """Return why the run cannot be written to; None for an error that is about something else."""
    text = str(error)
    for words, number in _WORDS.items():
        if words in text.lower():
            return _REASONS[number]
    if isinstance(error, OSError):
        if error.errno in _REASONS:
            return _REASONS[error.errno]
        if not str(error.filename or "").startswith(str(run.path)):
            return None
        return f"{error.filename}: {error.strerror}"
    return f"{run.path} is gone" if not run.path.is_dir() else None
