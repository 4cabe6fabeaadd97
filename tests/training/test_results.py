"""predictions.csv: a row for each held-out example, in the split's order, that agrees with metrics.json."""

import csv
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from photos import write_photos
from small_runs import QUIET, SMALL

from kerasnets.data.sources import Dataset, Split
from kerasnets.run import Run
from kerasnets.training import results

Train = Callable[[Path, list[str]], Run]


def rows(run: Run, name: str) -> list[dict[str, str]]:
    with (run.path / name).open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def test_predictions_are_those_of_metrics_in_the_order_of_the_split(resnet_run: Run) -> None:
    found = rows(resnet_run, "predictions.csv")
    held_out = [row for row in rows(resnet_run, "splits.csv") if row["split"] == "validation"]
    assert [(row["id"], row["label"]) for row in found] == [(row["id"], row["label"]) for row in held_out]
    assert list(found[0]) == list(results.PREDICTIONS)
    right = [row["label"] == row["predicted"] for row in found]
    metrics = resnet_run.read_json("metrics.json")["validation"]
    assert np.mean(right) == pytest.approx(metrics["accuracy"], abs=1e-7)
    loss = -np.mean(np.log([float(row["probability_of_label"]) for row in found]))
    assert loss == pytest.approx(metrics["loss"], rel=1e-4)
    for row, good in zip(found, right, strict=True):
        assert 0.1 <= float(row["confidence"]) <= 1
        assert (row["confidence"] == row["probability_of_label"]) == good


@pytest.mark.slow
def test_test_split_too_and_without_files_that_are_left_out(tmp_path: Path, train_small: Train) -> None:
    photos = write_photos(tmp_path / "photos", each=10)
    (photos / "coffee" / "003.jpg").write_bytes(b"no picture")
    words = ["data.source=folder", f"data.path={photos}", "data.skip_corrupt=true", "data.test_split=0.4"]
    words += ["data.validation_split=0.4", "training.epochs=1", "training.batch_size=8", "data.channels=3"]
    run = train_small(tmp_path / "run", [*SMALL, *QUIET, *words])
    wanted = [row for row in rows(run, "splits.csv") if row["split"] != "train" and row["id"] != "coffee/003.jpg"]
    found = rows(run, "predictions.csv")
    assert {row["split"] for row in found} == {"validation", "test"}
    assert [(row["split"], row["id"], row["label"]) for row in found] == [
        (row["split"], row["id"], row["label"]) for row in wanted
    ]


def test_logits_far_above_the_others_make_no_ties() -> None:
    split = Split(np.array([1, 0], np.int32), np.zeros((2, 1, 1, 1), np.uint8), None, ("a", "b"))
    job = SimpleNamespace(dataset=Dataset(("x", "y"), split, split), skip={"validation": frozenset({1})})
    logits = np.array([[100.0, 100.00001]], np.float32)
    assert results.predictions(job, "validation", logits, np.array([1])) == [  # type: ignore[arg-type]
        ("validation", "a", "y", "y", "0.500002", "0.500002")
    ]
