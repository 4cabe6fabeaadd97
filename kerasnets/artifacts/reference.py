"""The Keras model itself as a runner: what every artefact is measured against."""

import numpy as np
import tensorflow as tf

from kerasnets.artifacts.feed import Feed
from kerasnets.artifacts.graph import load
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.run import Run

RAW = Feed()


class Reference:
    """A run's best weights behind NumPy's preprocessing, apart from the graph that the artefacts are written from.

    Its logits are divided by `temperature`. `unknown_below` is what the run's config wants.
    `left_out` names the layers with weights that only auxiliary heads have: no artefact may hold one.
    """

    def __init__(self, run: Run, temperature: float = 1.0) -> None:
        self.labels = run.labels
        self.preprocessing = Preprocessing.load(run.path)
        self.unknown_below = run.config.export.unknown_below
        full, model = load(run)
        kept = {layer.name for layer in model.layers}
        self.left_out = frozenset({layer.name for layer in full.layers if layer.weights} - kept)
        spec = tf.TensorSpec([None, *model.input_shape[1:]], tf.float32)
        self.model = model
        self._logits = tf.function(lambda inputs: model(inputs, training=False), input_signature=[spec])
        self._temperature = np.float32(temperature)

    def logits(self, images: np.ndarray, feed: Feed = RAW) -> np.ndarray:
        """Map raw pixels `[N, H, W, C]` 0..255, or what `feed` makes of them, to the main head's logits `[N, K]`."""
        inputs = feed.finish(images.astype(np.float32), self.preprocessing, np)
        return np.asarray(self._logits(tf.constant(inputs, tf.float32))) / self._temperature

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Map raw pixels `[N, H, W, C]` to probabilities `[N, K]`."""
        return softmax(self.logits(images))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the softmax of each row of `[N, K]`."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return probabilities
