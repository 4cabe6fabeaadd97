"""One encoded image through all four decoders: training's graph, Pillow, the export's `bytes` signature, `predict`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kerasnets.data import decode
from kerasnets.data.decode import DecodeError
from kerasnets.inference.predict import Prediction, Predictor

TOLERANCE = 1e-4  # of a probability, between a SavedModel and ONNX


@dataclass(frozen=True)
class Ways:
    """A published version, opened."""

    predictor: Predictor
    model: Any

    @classmethod
    def open(cls, version: Path) -> "Ways":
        return cls(Predictor(version), tf.saved_model.load(str(version)))

    def verdict(self, content: bytes, path: Path) -> str:
        """Return "decoded" or "refused" where all four agree, else who does what; `path` is written to."""
        pillow, graph = _pillow(content), _graph(content)
        path.write_bytes(content)
        served, predicted = self._served(content), self._predicted(path)
        results = {"pillow": pillow, "training": graph, "bytes": served, "predict": predicted}
        done = [name for name, result in results.items() if result is not None]
        if not done:
            return "refused"
        if len(done) < len(results):
            return f"only {', '.join(done)}"
        if not np.array_equal(pillow, graph):  # type: ignore[arg-type]
            return "other pixels"
        wanted = self._image(pillow)  # type: ignore[arg-type]
        far = max(np.abs(wanted - served).max(), np.abs(wanted - predicted).max())  # type: ignore[operator]
        return "decoded" if far <= TOLERANCE else "other probabilities"

    def _image(self, pixels: np.ndarray) -> np.ndarray:
        found = self.model.signatures["serving_default"](image=tf.constant(pixels[None], tf.float32))
        return found["probabilities"].numpy()[0]

    def _served(self, content: bytes) -> np.ndarray | None:
        try:
            return self.model.signatures["bytes"](image_bytes=tf.constant([content]))["probabilities"].numpy()[0]
        except tf.errors.InvalidArgumentError:
            return None

    def _predicted(self, path: Path) -> np.ndarray | None:
        labels = self.predictor.labels
        result = next(iter(self.predictor([str(path)], top=len(labels), batch_size=1)))
        if not isinstance(result, Prediction):
            return None
        found = dict(result.classes)
        return np.array([found[label] for label in labels])


def _pillow(content: bytes) -> np.ndarray | None:
    try:
        return decode.pillow(content, 3)
    except DecodeError:
        return None


def _graph(content: bytes) -> np.ndarray | None:
    try:
        return decode.tensorflow(tf.constant(content), 3).numpy()
    except tf.errors.InvalidArgumentError:
        return None
