"""Grad-CAM as TensorFlow operations: the same in a notebook, in a run and in an exported graph."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

BEST = -1
"""In the place of a class: the one with the highest logit."""


def heatmaps(model: keras.Model, layer: str, inputs: tf.Tensor, classes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return where the evidence for a class is (Selvaraju et al. 2017, equations 1 and 2), and the logits `[N, K]`.

    The features of a layer, weighted by the mean gradient of the class' logit over places, summed, negative ones cut
    off; then each map is divided by its largest value. A map is 0 everywhere where nothing speaks for the class.

    Args:
        model: functional, from preprocessed images to logits.
        layer: one of `layers.spatial`.
        inputs: preprocessed images.
        classes: int32 `[N]`; -1: the best.

    Returns:
        float32 `[N, h, w]` in 0..1, and the logits `[N, K]`.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        features, logits = _run(model, layer, inputs, tape)
        logits = tf.cast(logits, tf.float32)
        count = logits.shape[-1]
        tf.debugging.assert_less(classes, count, f"there are {count} classes")
        chosen = tf.where(classes < 0, tf.argmax(logits, axis=1, output_type=tf.int32), classes)
        score = tf.reduce_sum(logits * tf.one_hot(chosen, count))
    gradients = tf.cast(tape.gradient(score, features), tf.float32)
    weights = tf.reduce_mean(gradients, axis=(1, 2), keepdims=True)
    maps = tf.nn.relu(tf.reduce_sum(weights * tf.cast(features, tf.float32), axis=-1))
    highest = tf.reduce_max(maps, axis=(1, 2), keepdims=True)
    return tf.math.divide_no_nan(maps, highest), logits


def _run(model: keras.Model, layer: str, inputs: tf.Tensor, tape: tf.GradientTape) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the features of a layer and the logits. What the tape records begins at the features.

    A model with both outputs would do, but leaves the gradients of all layers in an exported graph.
    """
    seen: list[tf.Tensor] = []

    def tapped(operation: Any) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            found = operation(*arguments, **named)
            if operation.name == layer:
                tape.watch(found)
                seen.append(found)
            return found

        return call

    logits = model._run_through_graph(inputs, operation_fn=tapped)
    return seen[0], logits
