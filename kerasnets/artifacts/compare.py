"""One artefact against the Keras model: differences, top-1, accuracy, and what of them is allowed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Never

import numpy as np

from kerasnets.artifacts.answers import margins, unknown
from kerasnets.artifacts.feed import Feed
from kerasnets.artifacts.formats import Format
from kerasnets.artifacts.gate import Drop, judge, measure
from kerasnets.artifacts.process import ProcessRunner
from kerasnets.artifacts.reference import Reference, softmax
from kerasnets.errors import CheckFailed
from kerasnets.run import Run

LOGITS_TOLERANCE = 1e-3
# A logit is read back as the logarithm of a float32 probability, which says nothing below the smallest normal numbers.
_SMALLEST_PROBABILITY = 1e-30
_ROUNDING = 1e-4
"""Of a sum of probabilities."""
_KERAS_TOLERANCE = 1e-4
"""Of a probability of the Keras model itself, between training's batches and those here."""


def refuse(form: Format, check: str, found: str, allowed: str) -> Never:
    """Raise the CheckFailed of a check that did not hold."""
    raise CheckFailed(f"{form.NAME}: {check}: {found}; {allowed}")


@dataclass(frozen=True)
class Parity:
    """What comparing an artefact with the Keras model found; differences are the largest of all images."""

    images: int
    """Validation images compared."""
    probabilities: float
    """Absolute difference of a probability."""
    logits: float
    """Difference of a logit, relative to the largest of its image (to 1 where that is smaller)."""
    close_calls: int
    """Images whose two best classes are closer than twice the tolerance: their top-1 may differ."""
    accuracy: float
    """Of the artefact on the validation split."""
    keras_accuracy: float
    recorded_accuracy: float | None
    """As training wrote it to metrics.json."""
    encoded: float | None
    """Absolute difference of a probability of the `bytes` endpoint; None where the format has none."""
    drop: Drop | None
    """How far the accuracy of a lossy format falls; None of the others, whose answers are the model's."""


def logits_difference(probabilities: np.ndarray, logits: np.ndarray) -> float:
    """Return the largest difference of what the probabilities say about logits, both `[N, K]`.

    Probabilities fix an image's logits up to a constant, which is chosen so that those of the best class agree.
    """
    compared = softmax(logits) >= _SMALLEST_PROBABILITY
    best = logits.argmax(axis=1)[:, np.newaxis]
    found = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
    shifted = found - np.take_along_axis(found, best, axis=1) + np.take_along_axis(logits, best, axis=1)
    scale = np.maximum(np.abs(logits).max(axis=1, keepdims=True), 1.0)
    return float((np.where(compared, np.abs(shifted - logits), 0.0) / scale).max())


def distance(probabilities: np.ndarray, logits: np.ndarray) -> float:
    """Return how far answers are from Keras', both `[N, K]`: half the sum of an image's differences, on average."""
    return float(np.abs(probabilities - softmax(logits)).sum(axis=1).mean() / 2)


class Comparison:
    """Collects the figures of one artefact, and refuses it as soon as one is out of bounds.

    Of a lossy format no probability or logit is out of bounds, as long as it is a probability: only accuracy counts,
    the artefact's for the gate and Keras' own against what training recorded.
    """

    def __init__(self, form: Format, runner: ProcessRunner, reference: Reference, feed: Feed) -> None:
        self.form = form
        self._runner, self._reference, self._feed = runner, reference, feed
        self._probabilities, self._logits = 0.0, 0.0
        self._encoded: float | None = None
        self._images = self._right = self._right_in_keras = self._close_calls = self._close_in_keras = 0
        self._pairs: list[np.ndarray] = []
        self._splits: dict[str, None] = {}

    def compare(self, images: np.ndarray, what: str) -> tuple[np.ndarray, np.ndarray]:
        """Compare the `image` endpoint on raw pixels `[N, H, W, C]`; return its probabilities and Keras' logits.

        Raises:
            CheckFailed: shape, dtype, a probability, a logit or a top-1 is wrong.
        """
        fed = self._feed.prepare(images, self._reference.preprocessing)
        outputs, logits = self._runner.outputs(fed), self._reference.logits(fed, self._feed)
        self._check_unknown(outputs, what)
        found = outputs["probabilities"]
        self._probabilities = max(self._probabilities, self._close(found, logits, what))
        difference = logits_difference(found, logits)
        if not self.form.LOSSY and not difference <= LOGITS_TOLERANCE:
            allowed = f"at most {LOGITS_TOLERANCE:g} of the largest is allowed"
            refuse(self.form, "logits", f"differ from Keras' by {difference:.3g} on {what}", allowed)
        self._logits = max(self._logits, difference)
        return found, logits

    def _close(self, found: np.ndarray, logits: np.ndarray, what: str) -> float:
        """Return the largest difference of a probability from Keras'."""
        if found.shape != logits.shape or found.dtype != np.float32:
            must = f"must be float32{list(logits.shape)}"
            refuse(self.form, "shape", f"{found.dtype}{list(found.shape)} came out for {what}", must)
        expected, tolerance = softmax(logits), self.form.TOLERANCE
        difference = float(np.abs(found - expected).max())
        if self.form.LOSSY:
            if not np.abs(found.sum(axis=1) - 1.0).max() <= _ROUNDING:
                refuse(self.form, "probabilities", f"do not sum to 1 on {what}", "they must")
            if found.min() < 0.0:
                refuse(self.form, "probabilities", f"fall to {found.min():.3g} on {what}", "none may be below 0")
            return difference
        if not difference <= tolerance:
            allowed = f"at most {tolerance:g} is allowed"
            refuse(self.form, "probabilities", f"differ from Keras' by {difference:.3g} on {what}", allowed)
        flipped = (found.argmax(axis=1) != expected.argmax(axis=1)) & (margins(expected) > 2 * tolerance)
        if flipped.any():
            refuse(self.form, "top-1", f"differs from Keras' for {flipped.sum()} images of {what}", "none may")
        return difference

    def _check_unknown(self, outputs: Mapping[str, np.ndarray], what: str) -> None:
        """See that `unknown` says what the artefact's own probabilities say."""
        below = self._reference.unknown_below
        if below is not None and not np.array_equal(outputs["unknown"], unknown(outputs["probabilities"], below)):
            must = f"must be where the best probability is below {below:g}"
            refuse(self.form, "unknown", f"is {outputs['unknown'].tolist()} for {what}", must)

    def encoded(self, files: Sequence[bytes], images: Sequence[np.ndarray]) -> None:
        """Compare the `bytes` endpoint on encoded files with Keras on their pixels, each `[1, H, W, C]`.

        Raises:
            CheckFailed: a probability is wrong, or `classes` and `scores` do not follow from the probabilities.
        """
        outputs = self._runner.encoded(files)
        self._check_unknown(outputs, f"{len(files)} encoded images")
        logits = np.concatenate([self._reference.logits(image) for image in images])
        difference = self._close(outputs["probabilities"], logits, f"{len(files)} encoded images")
        order = np.argsort(-outputs["probabilities"], axis=1, kind="stable")
        scores = np.take_along_axis(outputs["probabilities"], order, axis=1)
        classes = np.array(self._reference.labels)[order]
        if not (np.array_equal(outputs["scores"], scores) and np.array_equal(outputs["classes"], classes)):
            refuse(self.form, "bytes", "classes and scores are not the probabilities in order", "they must be")
        self._encoded = max(self._encoded or 0.0, difference)

    def add(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Compare a batch of the validation split with labels `[N]`."""
        found, logits = self.compare(images, f"validation images {self._images} to {self._images + len(images) - 1}")
        self._weigh("validation", found, logits, labels)
        lead = margins(softmax(logits))
        self._images += len(images)
        self._right += int((found.argmax(axis=1) == labels).sum())
        self._right_in_keras += int((logits.argmax(axis=1) == labels).sum())
        self._close_calls += int((lead <= 2 * self.form.TOLERANCE).sum())
        self._close_in_keras += int((lead <= 2 * _KERAS_TOLERANCE).sum())

    def weigh(self, split: str, images: np.ndarray, labels: np.ndarray) -> None:
        """Count a batch of another split as well for how far a lossy format's accuracy falls."""
        found, logits = self.compare(images, f"{split} images")
        self._weigh(split, found, logits, labels)

    def _weigh(self, split: str, found: np.ndarray, logits: np.ndarray, labels: np.ndarray) -> None:
        self._splits[split] = None
        self._pairs.append(np.stack([answers.argmax(axis=1) == labels for answers in (found, logits)]))

    def finish(self, run: Run, *, force: bool = False) -> Parity:
        """Check the accuracies of the whole split and return the figures.

        Raises:
            CheckFailed: the artefact's accuracy is not Keras', or not the one that training recorded. Of a lossy
                format: Keras' accuracy is not that one, the artefact's falls too far, or too few images say so (but
                with `force`).
        """
        recorded, drop = recorded_accuracy(run), None
        if self.form.LOSSY:
            self._check_recorded(recorded, self._right_in_keras, self._close_in_keras, "Keras gets ")
            right, in_keras = np.concatenate(self._pairs, axis=1)
            drop = measure(right, in_keras, tuple(self._splits), run.config.export.max_accuracy_drop)
            judge(self.form, drop, force=force)
        else:
            self._check_accuracies(recorded)
        return Parity(
            images=self._images,
            probabilities=self._probabilities,
            logits=self._logits,
            close_calls=self._close_calls,
            accuracy=self._right / self._images,
            keras_accuracy=self._right_in_keras / self._images,
            recorded_accuracy=recorded,
            encoded=self._encoded,
            drop=drop,
        )

    def _check_accuracies(self, recorded: float | None) -> None:
        if abs(self._right - self._right_in_keras) > self._close_calls:
            must = f"Keras gets {self._right_in_keras}"
            refuse(self.form, "accuracy", f"{self._right} of {self._images} validation images right", must)
        self._check_recorded(recorded, self._right, self._close_calls)

    def _check_recorded(self, recorded: float | None, right: int, close_calls: int, who: str = "") -> None:
        # Training measures the saved float32 weights as well, whatever precision it trained in.
        if recorded is not None and abs(right - recorded * self._images) > close_calls + 0.5:
            found = f"{who}{right / self._images:.4f} of the validation images right"
            refuse(self.form, "accuracy", found, f"metrics.json says {recorded:.4f}")


def recorded_accuracy(run: Run) -> float | None:
    """Return the accuracy on the validation split that training recorded; None where it stopped before."""
    if not (run.path / "metrics.json").is_file():
        return None
    return float(run.read_json("metrics.json")["validation"]["accuracy"])
