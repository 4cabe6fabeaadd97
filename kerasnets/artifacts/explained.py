"""The `explain` endpoint against Grad-CAM as Keras computes it, with a gradient through the whole network."""

import keras
import numpy as np
import tensorflow as tf

from kerasnets.artifacts.compare import refuse
from kerasnets.artifacts.feed import Feed
from kerasnets.artifacts.formats import Format
from kerasnets.artifacts.process import ProcessRunner
from kerasnets.artifacts.reference import Reference
from kerasnets.gradcam import layers

TOLERANCE = 1e-4
"""Of a map's value before it is divided by the largest, relative to the largest sum of sizes that a place adds up."""


def check(form: Format, runner: ProcessRunner, reference: Reference, feed: Feed, images: np.ndarray) -> float:
    """Compare heatmaps of raw pixels `[N, H, W, C]`: of the best class of each, and of the class after it.

    Returns:
        The largest difference of a map's value, which is in 0..1.

    Raises:
        CheckFailed: a map is wrong, or its probabilities are not those of the `image` endpoint.
    """
    fed = feed.prepare(images, reference.preprocessing)
    inputs = feed.finish(fed.astype(np.float32), reference.preprocessing, np)
    probabilities = runner(fed)
    best = probabilities.argmax(axis=1).astype(np.int32)
    largest = 0.0
    for asked, meant in ((np.full_like(best, -1), best), ((best + 1) % len(reference.labels),) * 2):
        found = runner.explained(fed, asked)
        if not np.allclose(found["probabilities"], probabilities, atol=form.TOLERANCE):
            refuse(form, "explain", "its probabilities are not those of the image endpoint", "they must be")
        expected, allowed = _expected(reference.model, inputs, meant)
        if found["heatmaps"].shape != expected.shape:
            refuse(form, "explain", f"maps {list(found['heatmaps'].shape)}", f"must be {list(expected.shape)}")
        differences = np.abs(found["heatmaps"] - expected)
        if not (differences <= allowed).all():
            worst = (differences - allowed).max(axis=(1, 2)).argmax()
            of = f"at most {allowed[worst].item():.3g} is allowed"
            refuse(form, "explain", f"a heatmap differs from Keras' by {differences[worst].max():.3g}", of)
        largest = max(largest, float(differences.max()))
    return largest


def _expected(model: keras.Model, inputs: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the maps `[N, h, w]` of classes int32 `[N]`, and how far float32 lets each be off, `[N, 1, 1]`.

    Where Keras' map is 0 everywhere, the other has to be too; unless its largest sum is 0 but for rounding, which the
    division by the largest value blows up to anything.
    """
    name = layers.choose(model, None)
    both = keras.Model(model.input, [layers.spatial(model)[name], model.output])
    with tf.GradientTape() as tape:
        images = tf.constant(inputs)
        tape.watch(images)
        features, logits = both(images, training=False)
        scores = tf.gather(logits, classes, batch_dims=1)
    gradients = tape.gradient(scores, features).numpy()
    terms = features.numpy() * gradients.mean(axis=(1, 2), keepdims=True)
    summed = terms.sum(axis=-1)
    maps = np.maximum(summed, 0.0)
    highest = maps.max(axis=(1, 2), keepdims=True)
    rounding = TOLERANCE * np.abs(terms).sum(axis=-1).max(axis=(1, 2), keepdims=True)
    divisor = np.where(highest > 0, highest, 1.0)
    near = summed.max(axis=(1, 2), keepdims=True) > -rounding
    return maps / divisor, np.where(highest > 0, np.minimum(1.0, rounding / divisor), np.where(near, 1.0, 0.0))
