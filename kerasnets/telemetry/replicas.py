"""The replicas of `tf.distribute`, which train on parts of a batch: sums and gathers over them inside a step.

With one replica there is nothing to do and nothing is added to the graph.
"""

from collections.abc import Sequence
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


def logs(values: dict[str, Any]) -> dict[str, Any]:
    """Return what a step shows, in the shape that Keras wants: with several workers it takes means over an axis."""
    several = isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy)
    return {name: tf.reshape(value, [1]) for name, value in values.items()} if several else values


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
