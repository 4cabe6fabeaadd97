"""Gradient accumulation: a batch goes through the network in parts, one after another, so that fewer activations live.

The parts but the first run in a loop of the graph, before the first, which is the one that observers see.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

Batch = tuple[Any, Any, Any]
"""Images, targets and sample weights (or None), each `[N, …]` or a structure of such."""


@dataclass(frozen=True, eq=False)
class Given:
    """What a part, or several, gave: gradients (dense, zeros where the loss reaches nothing), loss, outputs in order of
    `tf.nest.flatten`."""

    gradients: Sequence[tf.Tensor]
    loss: tf.Tensor
    outputs: Sequence[tf.Tensor]


@dataclass(frozen=True, eq=False)
class Rest:
    """What the parts but the first gave, gradients and loss multiplied by their shares of the batch and summed.

    Attributes:
        given: of those parts.
        share: the first part's share of the batch's examples.
    """

    given: Given
    share: tf.Tensor

    def loss(self, first: tf.Tensor) -> tf.Tensor:
        """Return the whole batch's loss."""
        return first * self.share + self.given.loss

    def outputs(self, first: Any) -> Any:
        """Return the whole batch's outputs, in the structure and order that the network gives."""
        pairs = zip(tf.nest.flatten(first), self.given.outputs, strict=True)
        return tf.nest.pack_sequence_as(first, [tf.concat(pair, axis=0) for pair in pairs])

    def gradients(self, first: Sequence[tf.Tensor | None]) -> list[tf.Tensor | None]:
        """Return the whole batch's gradients."""
        pairs = zip(first, self.given.gradients, strict=True)
        return [None if a is None else a * self.share + b for a, b in pairs]


def accumulate(
    batch: Batch, parts: int, run: Callable[[Batch], Given], variables: Sequence[Any], outputs: Sequence[Any]
) -> tuple[Batch, Rest]:
    """Run all parts of a batch but the first.

    Args:
        batch: N examples.
        parts: how many parts; fewer where there are fewer examples. Their sizes differ by one at most.
        run: computes one part.
        variables: whose gradients `run` gives.
        outputs: symbolic tensors, or other things with dtype and shape, like the outputs that `run` gives.

    Returns:
        The first part, which is not computed before the others are done, and what the others gave.
    """
    examples = tf.shape(tf.nest.flatten(batch)[0])[0]
    count = tf.clip_by_value(examples, 1, parts)

    def part(number: Any) -> tuple[Batch, tf.Tensor]:
        start, end = number * examples // count, (number + 1) * examples // count
        share = tf.cast(end - start, tf.float32) / tf.cast(tf.maximum(examples, 1), tf.float32)
        return tf.nest.map_structure(lambda x: None if x is None else x[start:end], batch), share

    def body(number: Any, sums: list[tf.Tensor], loss: tf.Tensor, kept: list[tf.TensorArray]) -> tuple[Any, ...]:
        with tf.control_dependencies(sums):  # one part's activations are gone before the next part's come
            inputs, share = part(tf.identity(number))
        given = run(inputs)
        sums = [total + gradient * share for total, gradient in zip(sums, given.gradients, strict=True)]
        kept = [array.write(number - 1, found) for array, found in zip(kept, given.outputs, strict=True)]
        return number + 1, sums, loss + given.loss * share, kept

    zeros = [tf.zeros(variable.shape, variable.dtype) for variable in variables]
    arrays = [
        tf.TensorArray(like.dtype, count - 1, infer_shape=False, element_shape=[None, *like.shape[1:]])
        for like in outputs
    ]
    start = (tf.constant(1), zeros, tf.zeros(()), arrays)
    _, sums, loss, kept = tf.while_loop(lambda number, *_: number < count, body, start, parallel_iterations=1)
    given = Given(sums, loss, [array.concat() for array in kept])
    with tf.control_dependencies([*sums, loss]):
        first, share = part(tf.constant(0))
        first = tf.nest.map_structure(lambda x: None if x is None else tf.identity(x), first)
    return first, Rest(given, share)
