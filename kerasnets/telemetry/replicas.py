"""The replicas of `tf.distribute`, which train on parts of a batch: sums and gathers over them inside a step.

With one replica there is nothing to do and nothing is added to the graph.
"""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

import keras
import tensorflow as tf


def count() -> int:
    """Return how many replicas train together, over all GPUs and machines."""
    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def summed(tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Return each tensor's sum over the replicas, the same bits on all of them."""
    if count() == 1:
        return list(tensors)
    context = tf.distribute.get_replica_context()
    return list(context.all_reduce(tf.distribute.ReduceOp.SUM, list(tensors)))


def gathered(tensor: tf.Tensor) -> tf.Tensor:
    """Return the whole batch's `[N, …]` of each replica's part of it, in order."""
    if count() == 1:
        return tensor
    # Of a tensor that no operation of the replica made, TensorFlow does not know the device.
    return tf.distribute.get_replica_context().all_gather(tf.identity(tensor), axis=0)


_counts: ContextVar[tf.Tensor | None] = ContextVar("counts", default=None)


def counting() -> tf.Tensor | None:
    """Return, inside `run`, 0 where this replica's images are a blank that statistics leave out, else 1."""
    return _counts.get()


def run(network: Callable[[tf.Tensor], Any], images: tf.Tensor) -> tuple[Any, Callable[[tf.Tensor], tf.Tensor]]:
    """Run a network on one replica's images, of which a small batch may have none.

    Not all of TensorFlow's kernels take an empty batch. So the network gets a blank image then.

    Returns:
        What the network returns; and a function that cuts the blank off again.
    """
    if count() == 1:
        return network(images), lambda output: output
    own = tf.shape(images)[0]
    blank = tf.zeros([tf.cast(own == 0, tf.int32), *images.shape[1:]], images.dtype)
    token = _counts.set(tf.cast(own > 0, tf.float32))
    try:
        return network(tf.concat([images, blank], axis=0)), lambda output: output[:own]
    finally:
        _counts.reset(token)


def logs(values: dict[str, Any]) -> dict[str, Any]:
    """Return what a step shows, in the shape that Keras wants: with several workers it takes means over an axis."""
    several = isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy)
    return {name: tf.reshape(value, [1]) for name, value in values.items()} if several else values


def state(initial: Any, dtype: tf.DType, name: str) -> tf.Variable:
    """Return a variable for what a step leaves behind; under `tf.distribute`, the first replica's."""
    return tf.Variable(
        initial,
        dtype=dtype,
        trainable=False,
        name=name,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )


class Average(keras.metrics.Mean):
    """A mean that every replica has of the whole batch; read and saved is the first replica's, not a sum."""

    def add_variable(
        self, shape: Any, initializer: Any, dtype: Any = None, aggregation: str = "only_first_replica", name: Any = None
    ) -> Any:
        return super().add_variable(shape, initializer, dtype, aggregation, name)

    def add(self, total: tf.Tensor, examples: tf.Tensor) -> None:
        """Add a batch: the sum of its values, and how many there are."""
        self.total.assign_add(total)
        self.count.assign_add(examples)


class Flags:
    """Flags that any worker raises; after the step that takes them along, all workers see them."""

    def __init__(self, count: int) -> None:
        self._own, self._all = (state(tf.zeros(count), tf.float32, name) for name in ("flags_raised", "flags_seen"))

    def raise_(self, place: int) -> None:
        """Raise one, between two steps."""
        self._own.assign(tf.tensor_scatter_nd_update(self._own, [[place]], [1.0]))

    def own(self) -> tf.Tensor:
        """Return, in a step, what is summed over the replicas."""
        return tf.identity(self._own)

    def see(self, summed: tf.Tensor) -> None:
        """Take, in a step, the sum."""
        self._all.assign(summed)

    def seen(self) -> list[bool]:
        """Return which flags were up in the last step, on any worker."""
        return [bool(value) for value in self._all.numpy()]
