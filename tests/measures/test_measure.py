"""Measures on numbers that can be worked out by hand."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kerasnets.measures import confusion
from kerasnets.measures.measure import calibration_error, measure

PROBABILITIES = np.array([[0.9, 0.1, 0.0], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.5, 0.4]], np.float32)
TARGETS = np.array([0, 1, 1, 2], np.int32)


def test_measures() -> None:
    found = measure(PROBABILITIES, TARGETS, ("a", "b", "c"))
    assert found.accuracy == 0.5
    assert found.images == 4
    assert found.top5 is None
    assert found.confusion.tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert found.per_class == {
        "a": {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "support": 1},
        "b": {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2},
        "c": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1},
    }
    # Each image has a bin of its own: |0.9 - 1| + |0.6 - 0| + |0.7 - 1| + |0.5 - 0|, of 4.
    assert found.ece == pytest.approx((0.1 + 0.6 + 0.3 + 0.5) / 4)


def test_document_has_the_keys_of_the_contract_first() -> None:
    document = measure(PROBABILITIES, TARGETS, ("a", "b", "c")).document()
    assert list(document)[:6] == ["schema", "accuracy", "top5", "per_class", "confusion", "ece"]


def test_calibration_error_averages_within_a_bin() -> None:
    probabilities = np.array([[0.81, 0.19], [0.85, 0.15], [0.83, 0.17], [0.83, 0.17]])
    # All fall into (0.8, 0.8667]: three of four are right, at a mean of 0.83.
    assert calibration_error(probabilities, np.array([0, 0, 0, 1])) == pytest.approx(0.83 - 0.75)


def test_calibration_error_of_the_certain() -> None:
    certain = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert calibration_error(certain, np.array([0, 1])) == 0.0
    assert calibration_error(certain, np.array([1, 0])) == 1.0


def test_bins_are_closed_above() -> None:
    # 0.6 is the upper end of the ninth bin of 15, 0.61 is in the tenth: apart, their errors do not cancel.
    probabilities = np.array([[0.6, 0.4], [0.61, 0.39]])
    assert calibration_error(probabilities, np.array([0, 1])) == pytest.approx((0.4 + 0.61) / 2)


def test_top5_counts_the_five_best() -> None:
    probabilities = np.tile(np.array([[0.3, 0.2, 0.15, 0.13, 0.12, 0.06, 0.04]]), (4, 1))
    assert measure(probabilities, np.array([4, 5, 0, 6]), tuple("abcdefg")).top5 == 0.5


def test_confusion_csv(tmp_path: Path) -> None:
    path = tmp_path / "confusion.csv"
    confusion.write_csv(measure(PROBABILITIES, TARGETS, ("a,1", "b", "c")), path)
    with path.open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["true \\ predicted", "a,1", "b", "c"],
            ["a,1", "1", "0", "0"],
            ["b", "1", "1", "0"],
            ["c", "0", "1", "0"],
        ]


@pytest.mark.parametrize("classes", [2, 10, 60, 1000])
def test_confusion_png(tmp_path: Path, classes: int) -> None:
    targets = np.arange(classes)
    labels = tuple(f"$class_{i}$ with a name that is rather long" for i in targets)
    found = measure(np.eye(classes)[::-1], targets, labels)
    confusion.draw(found.labels, found.confusion, tmp_path / "confusion.png", "0 of 2 right")
    with Image.open(tmp_path / "confusion.png") as image:
        pixels = np.asarray(image.convert("RGB"), dtype=int)
    assert min(pixels.shape[:2]) >= 400
    assert max(pixels.shape[:2]) <= 2100
    assert (pixels[..., 2] - pixels[..., 0] > 60).mean() > 1e-4  # blue: the diagonal and the scale


def test_what_is_answered_and_how_much_of_it_is_right() -> None:
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.45, 0.55], [0.7, 0.3]], np.float32)
    found = measure(probabilities, np.array([0, 1, 1, 1]), ("a", "b"), unknown_below=0.7)
    assert (found.answered, found.accuracy_answered) == (0.5, 0.5)  # 0.7 is not below 0.7
    assert found.document()["answered"] == 0.5
    nothing = measure(probabilities, np.array([0, 1, 1, 1]), ("a", "b"), unknown_below=0.95)
    assert (nothing.answered, nothing.accuracy_answered) == (0.0, None)
    assert "answered" not in measure(probabilities, np.array([0, 1, 1, 1]), ("a", "b")).document()
