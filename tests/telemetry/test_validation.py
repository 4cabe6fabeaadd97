import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax, softmax
from sklearn.metrics import average_precision_score, confusion_matrix

from kerasnets.telemetry import summaries, validation
from kerasnets.telemetry.validation import THRESHOLDS, WORST, Validation, ValidationCounts, average_precision, hardest

CLASSES = 7


def outputs(examples: int, classes: int = CLASSES, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return labels `[N]` and logits `[N, K]` of which about half are right."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, examples)
    logits = generator.normal(0, 2, (examples, classes)).astype(np.float32)
    logits[np.arange(examples), labels] += 2
    return labels, logits


def gathered(counts: ValidationCounts, labels: np.ndarray, logits: np.ndarray, jit: bool = False) -> Validation:
    """Feed batches of 64, the last one smaller, through a traced step."""
    step = tf.function(counts.update, reduce_retracing=not jit, jit_compile=jit)
    targets = np.eye(logits.shape[1], dtype=np.float32)[labels]
    for start in range(0, len(labels), 64):
        step(tf.constant(targets[start : start + 64]), tf.constant(logits[start : start + 64]))
    return counts.results()


@pytest.mark.parametrize("jit", [False, True])
def test_counts_are_scikit_learns(jit: bool) -> None:
    labels, logits = outputs(203)
    found = gathered(ValidationCounts(CLASSES), labels, logits, jit)
    expected = confusion_matrix(labels, logits.argmax(axis=1), labels=range(CLASSES))
    assert found.confusion is not None and found.positives is not None and found.negatives is not None
    np.testing.assert_array_equal(found.confusion, expected)
    np.testing.assert_array_equal(found.examples, expected.sum(axis=1))
    np.testing.assert_array_equal(found.correct, np.diagonal(expected))
    assert found.nonfinite == 0
    probabilities = softmax(logits, axis=1)
    for place in range(CLASSES):
        curve = summaries.curve(found.positives[place], found.negatives[place])
        for column in (0, 1, 13, 25, THRESHOLDS - 1):
            said = probabilities[:, place] >= column / (THRESHOLDS - 1)
            (tn, fp), (fn, tp) = confusion_matrix(labels == place, said, labels=[False, True])
            assert curve[:4, column].tolist() == [tp, fp, tn, fn]


@pytest.mark.parametrize("jit", [False, True])
def test_worst_mistakes_are_those_of_highest_loss(jit: bool) -> None:
    labels, logits = outputs(203)
    found = gathered(ValidationCounts(CLASSES), labels, logits, jit).worst
    loss = -log_softmax(logits.astype(np.float64), axis=1)[np.arange(len(labels)), labels]
    guess = logits.argmax(axis=1)
    wrong = np.flatnonzero(guess != labels)
    expected = wrong[np.argsort(-loss[wrong])][:WORST]
    assert len(wrong) > WORST
    assert [mistake.place for mistake in found] == expected.tolist()
    assert [mistake.label for mistake in found] == labels[expected].tolist()
    assert [mistake.predicted for mistake in found] == guess[expected].tolist()
    np.testing.assert_allclose([mistake.loss for mistake in found], loss[expected], rtol=1e-5)
    probabilities = softmax(logits, axis=1)[expected, guess[expected]]
    np.testing.assert_allclose([mistake.probability for mistake in found], probabilities, rtol=1e-5)


def test_fewer_mistakes_than_are_kept() -> None:
    logits = np.eye(3, dtype=np.float32)[[0, 1, 2, 2]] * 5
    found = gathered(ValidationCounts(3), np.array([0, 1, 2, 1]), logits)
    assert [(m.place, m.label, m.predicted) for m in found.worst] == [(3, 1, 2)]


def test_reset_forgets() -> None:
    counts = ValidationCounts(CLASSES)
    gathered(counts, *outputs(203, seed=1))
    counts.reset()
    labels, logits = outputs(30)
    found, expected = gathered(counts, labels, logits), gathered(ValidationCounts(CLASSES), labels, logits)
    assert found.confusion is not None and found.positives is not None
    np.testing.assert_array_equal(found.confusion, expected.confusion)
    np.testing.assert_array_equal(found.positives, expected.positives)
    assert found.worst == expected.worst
    assert found.examples.sum() == 30


def test_nonfinite_outputs_are_counted_and_left_out() -> None:
    labels, logits = outputs(100)
    broken = logits.copy()
    broken[10], broken[20, 3], broken[30, 0] = np.nan, np.inf, -np.inf
    kept = np.setdiff1d(np.arange(100), [10, 20, 30])
    found = gathered(ValidationCounts(CLASSES), labels, broken)
    expected = gathered(ValidationCounts(CLASSES), labels[kept], logits[kept])
    assert found.nonfinite == 3
    np.testing.assert_array_equal(found.confusion, expected.confusion)
    np.testing.assert_array_equal(found.positives, expected.positives)
    np.testing.assert_array_equal(found.negatives, expected.negatives)
    assert [m.place for m in found.worst] == kept[[m.place for m in expected.worst]].tolist()


def test_nothing_finite() -> None:
    found = gathered(ValidationCounts(3), np.zeros(9, int), np.full((9, 3), np.nan, np.float32))
    assert (found.nonfinite, found.worst, found.examples.sum()) == (9, (), 0)


def test_soft_targets_count_as_their_largest() -> None:
    counts = ValidationCounts(2)
    counts.update(tf.constant([[0.3, 0.7]]), tf.constant([[2.0, 1.0]], tf.bfloat16))
    assert counts.results().confusion.tolist() == [[0, 0], [1, 0]]  # type: ignore[union-attr]


def test_many_classes_have_no_matrix() -> None:
    classes = validation.MOST_CLASSES + 1
    labels, logits = outputs(300, classes)
    found = gathered(ValidationCounts(classes), labels, logits)
    assert found.confusion is None and found.positives is None and found.negatives is None
    np.testing.assert_array_equal(found.examples, np.bincount(labels, minlength=classes))
    right = labels[labels == logits.argmax(axis=1)]
    assert len(right)
    np.testing.assert_array_equal(found.correct, np.bincount(right, minlength=classes))
    assert len(found.worst) == WORST


def test_average_precision_is_scikit_learns() -> None:
    labels, logits = outputs(2000)
    # Probabilities at the centres of the buckets, so that both see the same ties.
    bucket = np.floor(softmax(logits, axis=1)[:, 0] * (THRESHOLDS - 1)).astype(int)
    of_class = labels == 0
    positives, negatives = (np.bincount(bucket[x], minlength=THRESHOLDS) for x in (of_class, ~of_class))
    expected = average_precision_score(of_class, bucket)
    assert average_precision(positives, negatives) == pytest.approx(expected, rel=1e-6)


def test_hardest_classes() -> None:
    positives = np.zeros((4, THRESHOLDS), int)
    negatives = np.zeros((4, THRESHOLDS), int)
    positives[0, 40], negatives[0, 3] = 10, 10  # perfect
    positives[1, 3], negatives[1, 40] = 10, 90  # worst
    positives[2, 20], negatives[2, 20] = 10, 10
    negatives[3, 20] = 10  # no examples
    assert hardest(positives, negatives, 2) == [1, 2]


TWO_REPLICAS = """
import numpy as np, tensorflow as tf
from kerasnets.telemetry.validation import ValidationCounts

processor = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
generator = np.random.default_rng(0)
labels, logits = generator.integers(0, 5, 61), generator.normal(size=(61, 5)).astype(np.float32)
targets = np.eye(5, dtype=np.float32)[labels]
with strategy.scope():
    counts = ValidationCounts(5)
batches = strategy.experimental_distribute_dataset(tf.data.Dataset.from_tensor_slices((targets, logits)).batch(16))

@tf.function
def step(targets, logits):
    strategy.run(counts.update, (targets, logits))

for _ in range(2):
    counts.reset()
    for batch in batches:
        step(*batch)
alone = ValidationCounts(5)
alone.update(tf.constant(targets), tf.constant(logits))
found, expected = counts.results(), alone.results()
np.testing.assert_array_equal(found.confusion, expected.confusion)
np.testing.assert_array_equal(found.positives, expected.positives)
assert found.examples.sum() == 61 and found.worst == expected.worst and len(found.worst) == 25
print("same")
"""


@pytest.mark.slow
def test_replicas_are_summed() -> None:
    done = subprocess.run([sys.executable, "-c", TWO_REPLICAS], capture_output=True, text=True)
    assert done.stdout == "same\n", done.stderr
