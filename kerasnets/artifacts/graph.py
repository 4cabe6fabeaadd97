"""Decode + preprocessing + main head + softmax: the one graph that every format is written from."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasnets import models
from kerasnets.artifacts import calibration
from kerasnets.artifacts.feed import Feed
from kerasnets.data import decode
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.errors import UserError
from kerasnets.gradcam import layers
from kerasnets.gradcam.heatmaps import heatmaps
from kerasnets.run import Run

PREPROCESSING, NETWORK = "preprocessing", "network"
"""Scopes of the names of operations, by which int8 formats know what to leave in float32."""


def scope(name: str) -> str | None:
    """Return which of the two scopes an operation's name, a path, lies in; None for what is in neither.

    The outer one counts: a layer may be called as it likes.
    """
    return next((part for part in name.split("/") if part in (PREPROCESSING, NETWORK)), None)


def load(run: Run) -> tuple[keras.Model, keras.Model]:
    """Return the run's best model with every head, and its main head alone, computing in float32.

    The second maps preprocessed images `[N, h, w, C]` to logits `[N, K]`.
    """
    full = models.load(run.model_file)
    return full, in_float32(models.main(full))


def in_float32(model: keras.Model) -> keras.Model:
    """Return `model` with the same weights and every layer computing in float32; itself where it does already."""
    if all(layer.compute_dtype == "float32" for layer in model.layers):
        return model

    def plain(layer: Any) -> Any:
        config = layer.get_config()
        return layer.__class__.from_config({**config, "dtype": "float32"} if "dtype" in config else config)

    clone = keras.models.clone_model(model, clone_function=plain)
    clone.set_weights(model.get_weights())
    return clone


@dataclass(frozen=True)
class Graph:
    """What a format needs to know to write an artefact.

    `image_function` maps raw pixels `[N, H, W, C]` 0..255 to probabilities `[N, K]`; `bytes_function` does so for
    encoded images `[N]`. Only `parameters` may be saved: they are the main head's alone.
    """

    model: keras.Model
    preprocessing: Preprocessing
    labels: tuple[str, ...]
    feed: Feed
    facts: dict[str, str]
    """Words about the model that a format with metadata carries."""
    temperature: float = 1.0
    """What logits are divided by."""
    unknown_below: float | None = None
    """The best probability below which an image's `unknown` is true; None: there is no such output."""
    calibration: Callable[[], Iterator[np.ndarray]] = calibration.nothing
    """Training images for formats that measure activations: raw pixels `[N, H, W, C]`, the same ones in each call."""

    def calibrated(self, form: str) -> Iterator[np.ndarray]:
        """Yield the calibration images as the artefact takes them; raise CheckFailed for `form` if there are none."""
        for images in calibration.require(self.calibration(), form):
            yield self.feed.prepare(images, self.preprocessing)

    @property
    def parameters(self) -> dict[str, tf.Variable]:
        """The weights of the main head's network by their plain names; states of random generators stay behind."""
        return {variable.path: variable.value for variable in self.model.weights}

    @property
    def interface(self) -> dict[str, Any]:
        """Endpoint -> names, dtypes and shapes (None: dynamic), as each `Runner.signatures` must repeat them."""
        classes = len(self.labels)
        probabilities: dict[str, Any] = {"probabilities": {"dtype": "float32", "shape": [None, classes]}}
        ranked = {
            "classes": {"dtype": "string", "shape": [None, classes]},
            "scores": {"dtype": "float32", "shape": [None, classes]},
        }
        if self.unknown_below is not None:
            probabilities["unknown"] = {"dtype": "bool", "shape": [None]}
        shape = self.feed.shape(self.preprocessing)
        image = {"image": {"dtype": self.feed.dtype, "shape": shape}}
        found = {
            "image": {"inputs": image, "outputs": probabilities},
            "bytes": {
                "inputs": {"image_bytes": {"dtype": "string", "shape": [None]}},
                "outputs": {**probabilities, **ranked},
            },
        }
        if self.explained_layer is not None:
            height, width = layers.spatial(self.model)[self.explained_layer].shape[1:3]
            maps = {"heatmaps": {"dtype": "float32", "shape": [None, height, width]}}
            classes_wanted = {"classes": {"dtype": "int32", "shape": [None]}}
            found["explain"] = {"inputs": {**image, **classes_wanted}, "outputs": {**maps, **probabilities}}
        if (head := layers.linear_head(self.model)) is not None:
            evidence = {"evidence": {"dtype": "float32", "shape": [None, *head.shape[:2], classes]}}
            found["evidence"] = {"inputs": image, "outputs": {**probabilities, **evidence}}
        return found

    def image_function(self) -> Any:
        """Return the `tf.function` of the `image` endpoint."""

        def image(image: tf.Tensor) -> dict[str, tf.Tensor]:
            with tf.name_scope(PREPROCESSING):
                inputs = self.feed.finish(tf.cast(image, tf.float32), self.preprocessing, tf)
            with tf.name_scope(NETWORK):
                logits = self.model(inputs, training=False)
            return self._outputs(logits)

        spec = tf.TensorSpec(self.feed.shape(self.preprocessing), self.feed.dtype, name="image")
        return tf.function(image, input_signature=[spec], autograph=False)

    def bytes_function(self) -> Any:
        """Return the `tf.function` of the `bytes` endpoint: `probabilities`, and `classes`, `scores` best first."""
        size, channels = self.preprocessing.image_size, self.preprocessing.channels

        def one(encoded: tf.Tensor) -> tf.Tensor:
            pixels = tf.cast(decode.tensorflow(encoded, channels), tf.float32)
            return tf.ensure_shape(self.preprocessing.apply(pixels[tf.newaxis], tf)[0], (*size, channels))

        def encoded(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            spec = tf.TensorSpec((*size, channels), tf.float32)
            inputs = tf.map_fn(one, image_bytes, fn_output_signature=spec)
            outputs = self._outputs(self.model(inputs, training=False))
            scores, order = tf.math.top_k(outputs["probabilities"], k=len(self.labels))
            classes = tf.gather(tf.constant(self.labels), order)
            return {**outputs, "classes": classes, "scores": scores}

        return tf.function(encoded, input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])

    @cached_property
    def explained_layer(self) -> str | None:
        """The layer by whose features the `explain` endpoint answers; None for a model that keeps no places apart."""
        return layers.last(self.model)

    def explain_function(self) -> Any:
        """Return the `tf.function` of the `explain` endpoint: raw pixels, a class each (-1: the best) to heatmaps."""
        layer = layers.choose(self.model, self.explained_layer)

        def explain(image: tf.Tensor, classes: tf.Tensor) -> dict[str, tf.Tensor]:
            inputs = self.feed.finish(tf.cast(image, tf.float32), self.preprocessing, tf)
            found, logits = heatmaps(self.model, layer, inputs, classes)
            return {"heatmaps": found, **self._outputs(logits)}

        image = tf.TensorSpec(self.feed.shape(self.preprocessing), self.feed.dtype, name="image")
        wanted = tf.TensorSpec([None], tf.int32, name="classes")
        return tf.function(explain, input_signature=[image, wanted], autograph=False)

    def _outputs(self, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return what every endpoint answers, given logits `[N, K]`."""
        probabilities = tf.nn.softmax(logits if self.temperature == 1 else logits / self.temperature)
        if self.unknown_below is None:
            return {"probabilities": probabilities}
        return {"probabilities": probabilities, "unknown": tf.reduce_max(probabilities, axis=1) < self.unknown_below}


def serving_graph(run: Run, temperature: float = 1.0) -> Graph:
    """Return the graph of a run's best weights, with the inputs and outputs that its config's `export` section wants.

    Raises:
        UserError: `export.unknown_below` is so low that nothing would ever be unknown.
    """
    unknown_below, classes = run.config.export.unknown_below, len(run.labels)
    if unknown_below is not None and unknown_below * classes <= 1:
        raise UserError(
            f"export.unknown_below={unknown_below:g}: the best of {classes} classes always has a probability of at "
            f"least 1/{classes}, so nothing would be unknown; use a larger one"
        )
    preprocessing = Preprocessing.load(run.path)
    return Graph(
        model=load(run)[1],
        preprocessing=preprocessing,
        labels=run.labels,
        feed=Feed.of(run.config.export),
        facts={"task": "image-classification", "model": run.config.model.name, "name": run.config.name},
        temperature=temperature,
        unknown_below=unknown_below,
        calibration=lambda: calibration.images(run, preprocessing.channels),
    )
