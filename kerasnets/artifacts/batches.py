"""Images of many sizes in batches that fit into memory. Imports no TensorFlow."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np

from kerasnets.data.raw import kept, raw_images
from kerasnets.data.sources import Split

LARGEST_PIXELS = 16 * 2**20
"""Height x width x images of a batch: 200 MB of float32 RGB. A larger image goes alone."""

Item = TypeVar("Item")


def groups(items: Iterable[Item], shape: Callable[[Item], tuple[int, ...] | None], size: int) -> Iterator[list[Item]]:
    """Yield neighbours of one image shape `(h, w, c)` together, at most `size`; an item without a shape goes alone."""
    group: list[Item] = []
    for item in items:
        found = shape(item)
        if group and not (found is not None and found == shape(group[0]) and _fits(len(group) + 1, found, size)):
            yield group
            group = []
        group.append(item)
    if group:
        yield group


def _fits(count: int, shape: tuple[int, ...], size: int) -> bool:
    return count <= size and count * shape[0] * shape[1] <= LARGEST_PIXELS


def raw_batches(
    split: Split, channels: int, size: int, skip: frozenset[int]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield raw pixels float32 `[N, H, W, C]` 0..255 and labels int32 `[N]` of a split, in order.

    Raises:
        DecodeError: a file cannot be decoded; the message begins with its path.
    """
    indices = kept(split, skip)
    pairs = zip(raw_images(split, channels, indices), split.labels[indices], strict=True)
    for group in groups(pairs, lambda pair: pair[0].shape, size):
        yield np.stack([image for image, _ in group]).astype(np.float32), np.array([label for _, label in group])
