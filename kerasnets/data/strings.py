"""Many strings in one buffer: a million file names in the memory of their bytes and 12 more each."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Self, overload

import numpy as np

_AT_ONCE = 65_536  # strings whose places are Python numbers at the same time


class Strings(Sequence[str]):
    """Reads like a tuple of str. Parts of it share its buffer.

    As a tuple of str a million names of 40 bytes take 97 MB, as paths 320 MB; so 52 MB.
    """

    def __init__(self, buffer: Any, starts: np.ndarray, lengths: np.ndarray) -> None:
        """Take bytes, UTF-8 with the bytes of file names that are not (PEP 383), and where each string lies in them."""
        self.buffer = memoryview(buffer)
        self.starts = starts.astype(np.int64, copy=False)
        self.lengths = lengths.astype(np.int32, copy=False)

    @classmethod
    def of(cls, items: Iterable[str]) -> Self:
        """Return the strings of an iterable, which is not kept."""
        buffer, lengths = bytearray(), array("i")
        coming = map(encoded, items)
        while parts := list(islice(coming, _AT_ONCE)):
            lengths.extend(map(len, parts))
            buffer += b"".join(parts)
        sizes = np.array(lengths, np.int32)
        return cls(buffer, np.cumsum(sizes, dtype=np.int64) - sizes, sizes)

    def take(self, index: np.ndarray) -> Self:
        """Return the strings at `index`."""
        return type(self)(self.buffer, self.starts[index], self.lengths[index])

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> str | Self:
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        return decoded(self.bytes_at(index))

    def bytes_at(self, index: int) -> memoryview:
        """Return one string as it lies in the buffer."""
        start = int(self.starts[index])
        return self.buffer[start : start + int(self.lengths[index])]

    def __iter__(self) -> Iterator[str]:
        return map(decoded, self.views())

    def views(self) -> Iterator[memoryview]:
        """Yield the strings as they lie in the buffer."""
        for first in range(0, len(self), _AT_ONCE):
            starts = self.starts[first : first + _AT_ONCE]
            ends = starts + self.lengths[first : first + _AT_ONCE]
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
                yield self.buffer[start:end]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Strings({', '.join(map(repr, self[:3]))}{', …' * (len(self) > 3)}; {len(self):,})"


def encoded(text: str) -> bytes:
    """Return UTF-8, with bytes of file names that are not as they were."""
    return text.encode("utf-8", "surrogateescape")


def decoded(content: bytes | memoryview) -> str:
    """Return what `encoded` was given."""
    return str(content, "utf-8", "surrogateescape")


def repeated(strings: Strings) -> str | None:
    """Return a string that is there more than once, or None; in 16 bytes of memory a string."""
    hashes = np.fromiter(map(hash, strings), np.int64, len(strings))
    order = np.argsort(hashes, kind="stable")
    same = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]])
    suspects: set[str] = set()
    for place in np.unique(np.concatenate([order[same], order[same + 1]])).tolist():
        if strings[place] in suspects:
            return strings[place]
        suspects.add(strings[place])
    return None
