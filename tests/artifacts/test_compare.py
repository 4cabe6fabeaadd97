"""What differences of probabilities and logits mean."""

import numpy as np
import pytest

from kerasnets.artifacts.compare import logits_difference, margins
from kerasnets.artifacts.reference import softmax

LOGITS = np.array([[1.0, 3.0, -2.0], [10.0, -4.0, 8.0]], np.float32)


def test_logits_are_compared_up_to_a_constant() -> None:
    assert logits_difference(softmax(LOGITS + 7), LOGITS) < 1e-6


def test_the_difference_is_relative_to_the_largest_logit_of_the_image() -> None:
    moved = LOGITS.copy()
    moved[1, 1] += 0.5
    assert logits_difference(softmax(moved), LOGITS) == pytest.approx(0.05, rel=1e-4)


def test_below_one_the_difference_is_absolute() -> None:
    logits = np.array([[0.1, 0.2]], np.float32)
    assert logits_difference(softmax(logits + np.array([[0.03, 0.0]], np.float32)), logits) == pytest.approx(
        0.03, rel=1e-3
    )


def test_probabilities_that_underflow_say_nothing() -> None:
    logits = np.array([[0.0, 90.0, -60.0]], np.float32)
    probabilities = softmax(logits)
    probabilities[0, 2] = 0.0
    assert logits_difference(probabilities, logits) < 1e-6


def test_margins() -> None:
    found = margins(np.array([[0.2, 0.7, 0.1], [0.4, 0.2, 0.4]], np.float32))
    np.testing.assert_allclose(found, [0.5, 0.0], atol=1e-7)
