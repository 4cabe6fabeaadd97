"""What a validation pass shows besides loss and accuracy, gathered from that pass itself: no image is run twice."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasnets.telemetry import pictures, summaries

WORST = 25
"""Mistakes that are kept: those with the highest loss."""
THRESHOLDS = 51
"""Of PR curves: 0, 0.02, … 1."""
MOST_CLASSES = 1000
"""With more classes there is neither a confusion matrix nor a PR curve, only each class's accuracy."""
CURVES = 25
"""The most classes whose PR curves are written."""


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
        worst: at most `WORST` mistakes, the highest loss first; empty under several replicas, which see parts of
            batches and so do not know an example's place.
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
    """Return counts of zero; under `tf.distribute` each replica counts and reading gives the sum.

    float32 holds integers exactly up to 16.7 million, and runs on every device; int32 variables do not.
    """
    return tf.Variable(
        tf.zeros(shape),
        trainable=False,
        name=name,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.SUM,
    )


class ValidationCounts:
    """Gathers `Validation` on the device, batch by batch: `reset`, `update` inside the traced test step, `results`.

    Args:
        classes: K.
    """

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._pairs = classes <= MOST_CLASSES
        self._alone = tf.distribute.get_strategy().num_replicas_in_sync == 1
        # Columns: of each class its examples and those classified rightly; with pairs the confusion matrix instead.
        self._confusion = _counter([classes, classes if self._pairs else 2], "validation_confusion")
        self._buckets = _counter([2, classes, THRESHOLDS if self._pairs else 0], "validation_buckets")
        self._nonfinite = _counter([], "validation_nonfinite")
        self._seen = _counter([], "validation_seen")
        self._worst = _counter([WORST if self._alone else 0, 5], "validation_worst")
        self.reset()

    def reset(self) -> None:
        """Forget everything; call it before each pass."""
        for variable in (self._confusion, self._buckets, self._nonfinite, self._seen):
            variable.assign(tf.zeros(variable.shape))
        if self._alone:
            self._worst.assign(tf.fill(self._worst.shape, -np.inf))

    def update(self, targets: tf.Tensor, logits: tf.Tensor) -> None:
        """Add a batch: one-hot or soft targets `[N, K]`, logits `[N, K]`."""
        logits = tf.cast(logits, tf.float32)
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
        if self._alone:
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
        if not self._alone:
            return ()
        rows = (row for row in self._worst.numpy().tolist() if row[0] > -np.inf)
        return tuple(Mistake(int(p), int(a), int(b), probability, loss) for loss, p, a, b, probability in rows)


class ValidationPages(keras.callbacks.Callback):
    """Writes what each epoch's validation pass gave: confusion matrix, worst mistakes, PR curves.

    Drawing takes tenths of a second: of a long run, the pages of about `most` epochs are written, evenly spread, and
    always those of the first and the last.

    Args:
        counts: what the test step updates.
        writer: returns the summary writer of the validation directory.
        step: returns the optimizer steps so far.
        names: of the classes.
        images: returns the images at these places of the validation order, uint8 `[M, H, W, C]`.
        draw: write pictures.
        pr_curves: write PR curves.
        most: epochs.
    """

    def __init__(
        self,
        counts: ValidationCounts,
        writer: Callable[[], Any],
        step: Callable[[], int],
        *,
        names: Sequence[str],
        images: Callable[[Sequence[int]], np.ndarray],
        draw: bool = True,
        pr_curves: bool = True,
        most: int = 20,
    ) -> None:
        super().__init__()
        self._counts = counts
        self._writer = writer
        self._step = step
        self._names = tuple(names)
        self._images = images
        self._draw = draw
        self._pr_curves = pr_curves
        self._most = most
        self._curves: list[int] | None = None
        self._written = True

    def on_test_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self._counts.reset()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._written = due(epoch, self.params["epochs"], self._most)
        if self._written:
            self.write()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        if not self._written:  # stopped early
            self.write()

    def write(self) -> None:
        """Write the pages of the latest validation pass."""
        found, step = self._counts.results(), self._step()
        with self._writer().as_default(step=step):
            if found.nonfinite:
                tf.summary.scalar("nonfinite/validation_examples", found.nonfinite)
            if self._draw:
                self._write_pictures(found, step)
            if self._pr_curves and found.positives is not None and found.negatives is not None:
                self._write_curves(found.positives, found.negatives, step)

    def _write_pictures(self, found: Validation, step: int) -> None:
        if found.confusion is not None:
            picture = pictures.confusion(found.confusion, self._names, "Confusion matrix of the validation images")
            summaries.image("validation/confusion", picture, step)
        worst = found.worst
        picture = pictures.mistakes(
            self._images([mistake.place for mistake in worst]) if worst else np.zeros((0, 1, 1, 1), np.uint8),
            [mistake.label for mistake in worst],
            [mistake.predicted for mistake in worst],
            [mistake.probability for mistake in worst],
            self._names,
            "Validation images with the highest loss",
        )
        summaries.image("validation/worst_mistakes", picture, step)

    def _write_curves(self, positives: np.ndarray, negatives: np.ndarray, step: int) -> None:
        """Write a curve for each class; of many, for those that had the lowest average precision at first."""
        if self._curves is None:
            self._curves = hardest(positives, negatives, CURVES)
        for place in self._curves:
            summaries.pr_curve(f"pr_curve/{self._names[place]}", positives[place], negatives[place], step)


def due(epoch: int, epochs: int, most: int) -> bool:
    """Tell whether an epoch, from 0, is one of about `most` evenly spread ones, or the first or last."""
    return epoch in (0, epochs - 1) or (epoch + 1) % max(1, -(-epochs // most)) == 0


def hardest(positives: np.ndarray, negatives: np.ndarray, most: int) -> list[int]:
    """Return, in order, the classes with the lowest average precision; those without examples count as the easiest."""
    precision = [average_precision(p, n) if p.any() else 1.0 for p, n in zip(positives, negatives, strict=True)]
    return sorted(np.argsort(precision, kind="stable")[:most].tolist())


def average_precision(positives: np.ndarray, negatives: np.ndarray) -> float:
    """Return the area under a precision-recall curve of counts `[T]`: precision weighted by the rise of recall."""
    *_, precision, recall = summaries.curve(positives, negatives)
    return float(-np.sum(np.diff(np.append(recall, 0.0)) * precision))
