"""Opens a run's Keras model in a process of its own and answers with Keras' `predict`."""

import sys
from pathlib import Path
from typing import Any

import numpy as np

NAME = "keras"
READER = __file__
FILE = "model.keras"
INDEPENDENT_OF: tuple[str, ...] = ()


def read(path: Path) -> "KerasRunner":
    """Load the best weights of the run that this file belongs to."""
    sys.path.insert(0, str(Path(__file__).parents[2]))  # of `python -I`, which looks into installed packages alone
    return KerasRunner(path.parent)


class KerasRunner:
    """Keras' `predict` behind NumPy's preprocessing."""

    def __init__(self, directory: Path) -> None:
        from kerasnets.artifacts.graph import load
        from kerasnets.artifacts.reference import softmax
        from kerasnets.data.preprocessing import Preprocessing
        from kerasnets.run import Run

        run = Run.open(directory)
        self.labels, self.signatures = run.labels, dict[str, Any]()
        self._preprocessing, self._model, self._softmax = Preprocessing.load(directory), load(run)[1], softmax

    def outputs(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Map raw pixels `[N, H, W, C]` to probabilities `[N, K]`."""
        return {"probabilities": self(images)}

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Map raw pixels `[N, H, W, C]` to probabilities `[N, K]`."""
        inputs = self._preprocessing.apply(images.astype(np.float32), np)
        return self._softmax(self._model.predict(inputs, batch_size=len(inputs), verbose=0))
