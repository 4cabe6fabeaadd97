"""How good are these probabilities? scikit-learn's metrics, and the calibration error that it lacks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

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
    unknown_below: float | None = None
    """The best probability below which the model says "unknown"; None where it always answers."""
    answered: float | None = None
    """Share of images that are not unknown; None where it always answers."""
    accuracy_answered: float | None = None
    """Share of the answered images that are right; None where none is, or it always answers."""

    def document(self) -> dict[str, Any]:
        """Return the measures as `evaluate --json` prints them."""
        names = ("unknown_below", "answered", "accuracy_answered")
        selective = {name: getattr(self, name) for name in names} if self.unknown_below is not None else {}
        return {
            "schema": 1,
            "accuracy": self.accuracy,
            "top5": self.top5,
            "per_class": self.per_class,
            "confusion": self.confusion.tolist(),
            "ece": self.ece,
            "images": self.images,
            "labels": list(self.labels),
            **selective,
        }


@dataclass(frozen=True)
class Reliability:
    """Confidence and accuracy in equally wide bins of the best class's probability; NaN in empty bins.

    Attributes:
        count: int `[bins]`, images in each.
        confidence: float `[bins]`, the mean probability of the best class.
        accuracy: float `[bins]`, the share of images that are right.
    """

    count: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def ece(self) -> float:
        """Expected calibration error.

        The mean over the bins of how far accuracy and confidence are apart, weighted by the images in each (Guo et al.
        2017, "On Calibration of Modern Neural Networks", sec. 2).
        """
        gaps = np.abs(np.nan_to_num(self.accuracy - self.confidence))
        return float((self.count * gaps).sum() / self.count.sum())


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> Reliability:
    """Bin N images by the best class's probability, float `[N]`; `right` says whether it is the true class."""
    # Bins are open below and closed above, as in the paper.
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        means = (np.bincount(place, weights=values, minlength=bins) / count for values in (confidence, right))
        return Reliability(count, *means)


def calibration_error(probabilities: np.ndarray, targets: np.ndarray, bins: int = BINS) -> float:
    """Return the expected calibration error of `[N, K]` probabilities for true classes `[N]`."""
    return reliability(probabilities.max(axis=1), probabilities.argmax(axis=1) == targets, bins).ece


def scores(targets: np.ndarray, predicted: np.ndarray, labels: Sequence[str]) -> dict[str, dict[str, float | int]]:
    """Return class -> precision, recall, f1 and support of int `[N]` predicted classes; see `Measures.per_class`."""
    from sklearn import metrics  # here, since training imports this file long before it measures

    found = metrics.precision_recall_fscore_support(targets, predicted, labels=np.arange(len(labels)), zero_division=0)
    names = ("precision", "recall", "f1")
    return {
        label: {**{name: float(found[i][k]) for i, name in enumerate(names)}, "support": int(found[3][k])}
        for k, label in enumerate(labels)
    }


def measure(
    probabilities: np.ndarray, targets: np.ndarray, labels: Sequence[str], *, unknown_below: float | None = None
) -> Measures:
    """Measure probabilities float32 `[N, K]` against true classes int `[N]`, N at least 1.

    With `unknown_below`, also how many images have a best probability that is not below it, and how many of these are
    right (El-Yaniv and Wiener 2010, "On the Foundations of Noise-free Selective Classification": coverage and risk).
    """
    from sklearn import metrics

    classes, predicted = np.arange(len(labels)), probabilities.argmax(axis=1)
    top5 = None
    if len(labels) > TOP:
        top5 = float(metrics.top_k_accuracy_score(targets, probabilities, k=TOP, labels=classes))
    return Measures(
        labels=tuple(labels),
        images=len(targets),
        accuracy=float(metrics.accuracy_score(targets, predicted)),
        top5=top5,
        per_class=scores(targets, predicted, labels),
        confusion=metrics.confusion_matrix(targets, predicted, labels=classes),
        ece=calibration_error(probabilities, targets),
        unknown_below=unknown_below,
        **_selective(probabilities, predicted == targets, unknown_below),
    )


def _selective(probabilities: np.ndarray, right: np.ndarray, below: float | None) -> dict[str, float | None]:
    if below is None:
        return {}
    answered = probabilities.max(axis=1) >= np.float32(below)
    share = float(right[answered].mean()) if answered.any() else None
    return {"answered": float(answered.mean()), "accuracy_answered": share}
