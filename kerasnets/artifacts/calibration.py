"""The training images by which formats with 8-bit activations measure how large activations become."""

from collections.abc import Iterator

import numpy as np

from kerasnets.artifacts.batches import groups
from kerasnets.data import sources
from kerasnets.data.raw import kept, raw_images
from kerasnets.errors import CheckFailed
from kerasnets.run import Run

IMAGES = 256
"""Drawn from the training split by the run's seed; all of a smaller one."""
_BATCH = 16


def images(run: Run, channels: int) -> Iterator[np.ndarray]:
    """Yield raw pixels float32 `[N, H, W, channels]` 0..255 of the run's training images, the same in each call.

    Raises:
        DecodeError: a file cannot be decoded; the message begins with its path.
    """
    split = sources.load(run.config.data, seed=run.config.seed).train
    usable = kept(split, run.skipped("train"))
    drawn = np.random.default_rng(run.config.seed).permutation(usable)[:IMAGES]
    for group in groups(raw_images(split, channels, np.sort(drawn)), lambda image: image.shape, _BATCH):
        yield np.stack(group).astype(np.float32)


def require(batches: Iterator[np.ndarray], form: str) -> Iterator[np.ndarray]:
    """Yield the batches; the format named `form` cannot do without one.

    Raises:
        CheckFailed: there is none.
    """
    first = next(batches, None)
    if first is None:
        raise CheckFailed(f"{form}: there are no training images to measure activations on")
    yield first
    yield from batches


def nothing() -> Iterator[np.ndarray]:
    """Yield no image: of a graph that was made without data."""
    return iter(())
