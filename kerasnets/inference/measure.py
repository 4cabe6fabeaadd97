"""How good are these probabilities? scikit-learn's metrics, and the calibration error that it lacks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn import metrics

TOP = 5
BINS = 15


@dataclass(frozen=True)
class Measures:
    """What `measure` found."""

    labels: tuple[str, ...]
    images: int
    accuracy: float
    top5: float | None
    """Share of images whose class is among the five best; None with five classes or fewer."""
    per_class: dict[str, dict[str, float | int]]
    """Class -> precision, recall, f1 (0 where nothing was predicted or there), and support, its number of images."""
    confusion: np.ndarray
    """int64 `[K, K]`: rows are the true classes, columns the predicted ones."""
    ece: float
    """Expected calibration error, 15 bins."""

    def document(self) -> dict[str, Any]:
        """Return the measures as `evaluate --json` prints them."""
        return {
            "schema": 1,
            "accuracy": self.accuracy,
            "top5": self.top5,
            "per_class": self.per_class,
            "confusion": self.confusion.tolist(),
            "ece": self.ece,
            "images": self.images,
            "labels": list(self.labels),
        }


def calibration_error(probabilities: np.ndarray, targets: np.ndarray, bins: int = BINS) -> float:
    """Return the expected calibration error of `[N, K]` probabilities for true classes `[N]`.

    The mean, over equally wide bins of the best class's probability, of how far accuracy and probability are apart,
    weighted by the images in each bin (Guo et al. 2017, "On Calibration of Modern Neural Networks", sec. 2).
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    # Bins are open below and closed above, as in the paper.
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(place, weights=confidence - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(targets))


def measure(probabilities: np.ndarray, targets: np.ndarray, labels: Sequence[str]) -> Measures:
    """Measure probabilities float32 `[N, K]` against true classes int `[N]`, N at least 1."""
    classes, predicted = np.arange(len(labels)), probabilities.argmax(axis=1)
    scores = metrics.precision_recall_fscore_support(targets, predicted, labels=classes, zero_division=0)
    names = ("precision", "recall", "f1")
    per_class = {
        label: {**{name: float(scores[i][k]) for i, name in enumerate(names)}, "support": int(scores[3][k])}
        for k, label in enumerate(labels)
    }
    top5 = None
    if len(labels) > TOP:
        top5 = float(metrics.top_k_accuracy_score(targets, probabilities, k=TOP, labels=classes))
    return Measures(
        labels=tuple(labels),
        images=len(targets),
        accuracy=float(metrics.accuracy_score(targets, predicted)),
        top5=top5,
        per_class=per_class,
        confusion=metrics.confusion_matrix(targets, predicted, labels=classes),
        ece=calibration_error(probabilities, targets),
    )
