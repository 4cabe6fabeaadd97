"""Files that cannot be decoded: found before a run, or named together when a run meets the first of them."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from kerasnets import environment
from kerasnets.config import Data
from kerasnets.console import progress
from kerasnets.data import audit
from kerasnets.data.audit import Problem
from kerasnets.data.sources import Dataset
from kerasnets.errors import UserError

_UNREADABLE = (  # what decoding raises; the last three where a file became a folder, or may not be read
    *(tf.errors.InvalidArgumentError, tf.errors.NotFoundError, tf.errors.DataLossError),
    *(tf.errors.FailedPreconditionError, tf.errors.PermissionDeniedError, tf.errors.UnknownError),
)


def unreadable(data: Data, dataset: Dataset) -> list[tuple[str, Problem]]:
    """Return (split, problem) for every file that cannot be decoded, over all splits; shows progress."""
    workers, channels = data.workers or environment.cores(), data.channels or 3
    files = sum(len(split) for split in dataset.splits.values() if split.files is not None)
    found: list[tuple[str, Problem]] = []
    with progress("check files", total=files) as advance:
        for name, split in dataset.splits.items():
            found += [(name, problem) for problem in audit.unreadable(split, channels, workers, advance)]
    return found


def refusal(problems: list[tuple[str, Problem]]) -> UserError:
    """Return the error that lists every unreadable file."""
    lines = [f"{problem.path}: {problem.reason}" for _, problem in problems]
    title = f"{len(lines)} of the images cannot be read; data.skip_corrupt=true leaves them out:"
    return UserError("\n  ".join([title, *lines]))


@contextlib.contextmanager
def naming_bad_files(data: Data, dataset: Dataset) -> Iterator[None]:
    """Turn a failed decode into one message that lists every unreadable file of the data set."""
    try:
        yield
    except (*_UNREADABLE, UserError) as error:
        problems = unreadable(data, dataset)
        if not problems:
            raise
        raise refusal(problems) from error
