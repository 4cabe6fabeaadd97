"""What probabilities say: how sure, and whether sure enough. Imports no TensorFlow."""

import numpy as np


def margins(probabilities: np.ndarray) -> np.ndarray:
    """Return how far each image's best class `[N]` is ahead of the second."""
    ordered = np.sort(probabilities, axis=1)
    lead: np.ndarray = ordered[:, -1] - ordered[:, -2]
    return lead


def unknown(probabilities: np.ndarray, below: float) -> np.ndarray:
    """Return bool `[N]`: which images' best probability, of float32 `[N, K]`, is below a limit."""
    found: np.ndarray = probabilities.max(axis=1) < np.float32(below)
    return found
