"""What a validation pass shows besides loss and accuracy, gathered from that pass itself: no image is run twice."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from kerasnets.telemetry import replicas, summaries
from kerasnets.telemetry.replicas import state

WORST = 25
"""Mistakes that are kept: those with the highest loss."""
THRESHOLDS = 51
"""Of PR curves: 0, 0.02, … 1."""
MOST_CLASSES = 1000
"""With more classes there is neither a confusion matrix nor a PR curve, only each class's accuracy."""


@dataclass(frozen=True)
class Mistake:
    """A wrongly classified example: its place in the validation order, from 0, classes, probability of the predicted
    class, and loss."""

    place: int
    label: int
    predicted: int
    probability: float
    loss: float


@dataclass(frozen=True, eq=False)
class Validation:
    """What a validation pass gave. Examples with NaN or infinite logits are counted and otherwise left out.

    Attributes:
        examples: int64 `[K]`, of each true class.
        correct: int64 `[K]`, those that were classified rightly.
        confusion: int64 `[K, K]`, true x predicted class; None with more than `MOST_CLASSES`.
        positives: int64 `[K, THRESHOLDS]`: examples of the class by the probability that it was given, see
            `summaries.pr_curve`; None as above.
        negatives: the same of all other examples.
        worst: at most `WORST` mistakes, the highest loss first.
        nonfinite: examples with NaN or infinite logits.
    """

    examples: np.ndarray
    correct: np.ndarray
    confusion: np.ndarray | None
    positives: np.ndarray | None
    negatives: np.ndarray | None
    worst: tuple[Mistake, ...]
    nonfinite: int


def _counter(shape: Sequence[int], name: str) -> tf.Variable:
    """Return counts of zero.

    float32 holds integers exactly up to 16.7 million, and runs on every device; int32 variables do not.
    """
    return state(tf.zeros(shape), tf.float32, name)


class ValidationCounts(tf.Module):
    """Gathers `Validation` on the device, batch by batch: `reset`, `update` inside the traced test step, `results`.

    Args:
        classes: K.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self._classes = classes
        self._pairs = classes <= MOST_CLASSES
        # Columns: of each class its examples and those classified rightly; with pairs the confusion matrix instead.
        self._confusion = _counter([classes, classes if self._pairs else 2], "validation_confusion")
        self._buckets = _counter([2, classes, THRESHOLDS if self._pairs else 0], "validation_buckets")
        self._nonfinite = _counter([], "validation_nonfinite")
        self._seen = _counter([], "validation_seen")
        self._worst = _counter([WORST, 5], "validation_worst")
        self.reset()

    def reset(self) -> None:
        """Forget everything; call it before each pass."""
        for variable in (self._confusion, self._buckets, self._nonfinite, self._seen):
            variable.assign(tf.zeros(variable.shape))
        self._worst.assign(tf.fill(self._worst.shape, -np.inf))

    def update(self, targets: tf.Tensor, logits: tf.Tensor) -> None:
        """Add a batch, or one replica's part of it: one-hot or soft targets `[N, K]`, logits `[N, K]`.

        Every replica counts the whole batch, so that each knows all there is, and where in the batch an example was.
        """
        both = replicas.gathered(tf.concat([tf.cast(x, tf.float32) for x in (targets, logits)], axis=1))
        targets, logits = tf.split(both, 2, axis=1)
        finite = tf.reduce_all(tf.math.is_finite(logits), axis=1)
        logits = tf.where(finite[:, None], logits, 0.0)
        label, guess = (tf.argmax(x, axis=1, output_type=tf.int32) for x in (targets, logits))
        counted = tf.cast(finite, tf.float32)
        log_probabilities = tf.nn.log_softmax(logits)
        if self._pairs:
            self._count(self._confusion, label * self._classes + guess, counted)
            self._count_probabilities(label, tf.exp(log_probabilities), counted)
        else:
            right = tf.cast(label == guess, tf.float32)
            self._count(self._confusion, label * 2, counted)
            self._count(self._confusion, label * 2 + 1, counted * right)
        self._keep_worst(label, guess, log_probabilities, finite)
        self._nonfinite.assign_add(tf.reduce_sum(1.0 - counted))
        self._seen.assign_add(tf.cast(tf.shape(logits)[0], tf.float32))

    @staticmethod
    def _count(counter: tf.Variable, places: tf.Tensor, weights: tf.Tensor) -> None:
        """Add weights to the places of a counter, which are numbered row by row."""
        size = int(np.prod(counter.shape))
        counter.assign_add(tf.reshape(tf.math.unsorted_segment_sum(weights, places, size), counter.shape))

    def _count_probabilities(self, label: tf.Tensor, probabilities: tf.Tensor, counted: tf.Tensor) -> None:
        bucket = tf.cast(tf.floor(probabilities * (THRESHOLDS - 1)), tf.int32)
        bucket = tf.clip_by_value(bucket, 0, THRESHOLDS - 1)
        classes = tf.range(self._classes)[None]
        other = tf.cast(classes != label[:, None], tf.int32)
        places = (other * self._classes + classes) * THRESHOLDS + bucket
        weights = tf.broadcast_to(counted[:, None], tf.shape(places))
        self._count(self._buckets, tf.reshape(places, [-1]), tf.reshape(weights, [-1]))

    def _keep_worst(self, label: tf.Tensor, guess: tf.Tensor, log_probabilities: tf.Tensor, finite: tf.Tensor) -> None:
        loss = -tf.gather(log_probabilities, label, batch_dims=1)
        rank = tf.where(finite & (label != guess), loss, -np.inf)
        place = self._seen + tf.cast(tf.range(tf.shape(label)[0]), tf.float32)
        probability = tf.exp(tf.reduce_max(log_probabilities, axis=1))
        columns = [rank, place, tf.cast(label, tf.float32), tf.cast(guess, tf.float32), probability]
        rows = tf.concat([self._worst, tf.stack(columns, axis=1)], axis=0)
        self._worst.assign(tf.gather(rows, tf.math.top_k(rows[:, 0], WORST).indices))

    def results(self) -> Validation:
        """Return what was gathered since `reset`."""
        confusion, buckets = (np.rint(x.numpy()).astype(np.int64) for x in (self._confusion, self._buckets))
        return Validation(
            examples=confusion.sum(axis=1) if self._pairs else confusion[:, 0],
            correct=np.diagonal(confusion).copy() if self._pairs else confusion[:, 1],
            confusion=confusion if self._pairs else None,
            positives=buckets[0] if self._pairs else None,
            negatives=buckets[1] if self._pairs else None,
            worst=self._mistakes(),
            nonfinite=int(self._nonfinite.numpy()),
        )

    def _mistakes(self) -> tuple[Mistake, ...]:
        rows = (row for row in self._worst.numpy().tolist() if row[0] > -np.inf)
        return tuple(Mistake(int(p), int(a), int(b), probability, loss) for loss, p, a, b, probability in rows)


def hardest(positives: np.ndarray, negatives: np.ndarray, most: int) -> list[int]:
    """Return, in order, the classes with the lowest average precision; those without examples count as the easiest."""
    precision = [average_precision(p, n) if p.any() else 1.0 for p, n in zip(positives, negatives, strict=True)]
    return sorted(np.argsort(precision, kind="stable")[:most].tolist())


def average_precision(positives: np.ndarray, negatives: np.ndarray) -> float:
    """Return the area under a precision-recall curve of counts `[T]`: precision weighted by the rise of recall."""
    *_, precision, recall = summaries.curve(positives, negatives)
    return float(-np.sum(np.diff(np.append(recall, 0.0)) * precision))
