"""Which examples a training step takes: positions in an epoch, of the whole batch or of one worker's part of it."""

import math
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

Tensor = Any


@dataclass(frozen=True)
class Share:
    """One worker's part of every batch: a run of neighbours, so that all parts in order are the batch.

    Attributes:
        index: which part, from 0.
        count: how many parts there are.
        together: neighbours that are never parted (MixUp and CutMix mix pairs).
    """

    index: int = 0
    count: int = 1
    together: int = 1

    def of(self, examples: Tensor) -> tuple[Tensor, Tensor]:
        """Return where the part of a batch of so many examples begins and ends; small batches leave parts empty."""
        groups = -(-examples // self.together)
        first, last = (groups * part // self.count * self.together for part in (self.index, self.index + 1))
        return tf.minimum(first, examples), tf.minimum(last, examples)

    def room(self, batch_size: int) -> int:
        """Return the most examples that a part of a batch can have."""
        groups = math.ceil(batch_size / self.together)
        return math.ceil(groups / self.count) * self.together


@dataclass(frozen=True)
class Steps:
    """Which positions of an epoch a step takes.

    Attributes:
        examples: in an epoch.
        batch_size: of a whole batch.
        share: the part of it that is made here.
    """

    examples: int
    batch_size: int
    share: Share = Share()

    def __len__(self) -> int:
        return math.ceil(self.examples / self.batch_size)

    def __call__(self, step: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the epoch, the first position and the one after the last of a step counted over all epochs."""
        begin = step % len(self) * self.batch_size
        first, last = self.share.of(tf.minimum(tf.constant(self.batch_size, tf.int64), self.examples - begin))
        return step // len(self), begin + first, begin + last

    def some(self, first: Tensor, last: Tensor) -> Tensor:
        """Return the positions from `first` to before `last`; of an empty part one, which is made and then cut off.

        Operations on images are not all made for none.
        """
        return tf.minimum(tf.range(first, tf.maximum(last, first + 1)), self.examples - 1)

    @property
    def room(self) -> int:
        """The most examples that a step takes."""
        return self.share.room(self.batch_size)
