"""Which images are the same, and which look alike, among 100,000 and more: never each compared with each."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

BANDS = 8  # of 8 bits: hashes that differ in at most 6 bits of 64 share two whole ones
NEAR = BANDS - 2
NEIGHBOURS = 32  # with the same two bands, in the order of the whole hash, that an image is compared with
ALIKE = 0.993  # correlation of two small pictures from which on they are the same picture
PLAIN = 4.0  # standard deviation, in grey levels, below which a picture shows nothing to compare
EQUALS = 8  # with the same hash
_AT_ONCE = 65_536  # pairs


def same(digests: np.ndarray) -> list[np.ndarray]:
    """Return the groups of equal rows, as their indices, of uint8 `[n, 16]`."""
    keys = np.ascontiguousarray(digests).view([("a", "u8"), ("b", "u8")]).reshape(-1)
    _, number = np.unique(keys, return_inverse=True)
    return _groups(number)


def alike(hashes: np.ndarray, pictures: np.ndarray) -> list[np.ndarray]:
    """Return the groups of images that look alike, as their indices.

    Args:
        hashes: uint64 `[n]`.
        pictures: uint8 `[n, pixels]`.
    """
    shown = np.flatnonzero(pictures.std(axis=1, dtype=np.float32) >= PLAIN)
    found = [pairs[_correlate(pictures, pairs)] for pairs in _candidates(hashes[shown], shown)]
    if not found:
        return []
    pairs = np.concatenate(found)
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(len(hashes),) * 2)
    return _groups(connected_components(graph, directed=False)[1])


def _groups(number: np.ndarray) -> list[np.ndarray]:
    """Return the indices of each group of two and more, given each item's group number."""
    order = np.argsort(number, kind="stable")
    _, counts = np.unique(number, return_counts=True)
    return [group for group in np.split(order, np.cumsum(counts)[:-1]) if len(group) > 1]


def _candidates(hashes: np.ndarray, names: np.ndarray) -> Iterator[np.ndarray]:
    """Yield pairs `[m, 2]` of names whose hashes differ in `NEAR` bits at most.

    Those of the same hash are compared with the next few of them; one of them is compared with other hashes.
    """
    order = np.argsort(hashes, kind="stable")
    for step in range(1, min(EQUALS, len(order) - 1) + 1):
        equal = np.flatnonzero(hashes[order[step:]] == hashes[order[:-step]])
        yield np.stack([names[order[equal]], names[order[equal + step]]], axis=1)
    hashes, firsts = np.unique(hashes, return_index=True)
    names = names[firsts]
    bands = [(hashes >> np.uint64(8 * band)).astype(np.uint8).astype(np.uint16) for band in range(BANDS)]
    for high, low in combinations(bands, 2):
        key = high << 8 | low
        order = np.lexsort((hashes, key))
        key, in_order = key[order], hashes[order]
        for step in range(1, min(NEIGHBOURS, len(order) - 1) + 1):
            shared = np.flatnonzero(key[step:] == key[:-step])
            if not shared.size:
                break
            shared = shared[np.bitwise_count(in_order[shared] ^ in_order[shared + step]) <= NEAR]
            yield np.stack([names[order[shared]], names[order[shared + step]]], axis=1)


def _correlate(pictures: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return for each pair whether its pictures are the same but for brightness, contrast and noise."""
    found = np.zeros(len(pairs), bool)
    for first in range(0, len(pairs), _AT_ONCE):
        left, right = (pictures[pairs[first : first + _AT_ONCE, i]].astype(np.float32) for i in (0, 1))
        left, right = (x - x.mean(axis=1, keepdims=True) for x in (left, right))
        spread = np.sqrt((left**2).mean(axis=1) * (right**2).mean(axis=1))
        found[first : first + _AT_ONCE] = (left * right).mean(axis=1) >= ALIKE * spread
    return found
