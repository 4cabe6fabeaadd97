"""Random numbers that are a function of (seed, epoch, position) alone, a whole batch in one operation."""

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

Tensor = Any

_PHILOX = 1  # the generator's number in TensorFlow
_BLOCK = 4  # float32 numbers that one value of Philox's counter yields (Salmon et al. 2011)
_KEY_BITS = 63


@dataclass(frozen=True)
class Draws:
    """Streams of uniform numbers in [0, 1).

    Attributes:
        seed: The run's.
        stream: Tells uses of the same seed apart.
        count: Numbers that each example takes.
    """

    seed: int
    stream: int
    count: int

    def __call__(self, epoch: Tensor, first: Tensor, examples: Tensor) -> Tensor:
        """Return float32 `[examples, count]` for the positions `first`, `first + 1`, … of an epoch.

        The counter of the generator is the position, so that a position's numbers are the same in any batch.
        """
        blocks = max(-(-self.count // _BLOCK), 1)
        key = tf.constant([(self.seed << 8 | self.stream) % (1 << _KEY_BITS)], tf.uint64)
        counter = tf.cast(tf.stack([tf.cast(first, tf.int64) * blocks, tf.cast(epoch, tf.int64)]), tf.uint64)
        shape = tf.stack([tf.cast(examples, tf.int32), blocks * _BLOCK])
        return tf.raw_ops.StatelessRandomUniformV2(shape=shape, key=key, counter=counter, alg=_PHILOX)[:, : self.count]
