from pathlib import Path
from typing import Any

import event_files
import keras
import numpy as np
from observed_run import NAMES, train

from kerasnets.telemetry.events import TRAIN, VALIDATION, Events
from kerasnets.telemetry.pages import ValidationPages, due
from kerasnets.telemetry.validation import ValidationCounts


def test_tags_are_these(tmp_path: Path) -> None:
    last = train(tmp_path, epochs=3, probed=True)
    found = event_files.read(tmp_path / VALIDATION)
    pictures = {"pictures/confusion", "pictures/worst_mistakes"}
    assert set(found) == pictures | {f"pr_curve/{name}" for name in NAMES}
    assert {point.plugin for tag in pictures for point in found[tag]} == {"images"}
    assert {point.plugin for name in NAMES for point in found[f"pr_curve/{name}"]} == {"pr_curves"}
    for points in found.values():
        assert [point.step for point in points] == [4, 8, 12]
    positives = [found[f"pr_curve/{name}"][-1].value[0, 0] for name in NAMES]  # all are found at threshold 0
    assert positives == last.examples.tolist() and sum(positives) == 40
    drawn = {tag for tag, points in event_files.read(tmp_path / TRAIN).items() if points[0].plugin == "images"}
    assert drawn == {"pictures/gradient_over_depth", "pictures/dead_units"}


def test_pages_can_be_turned_off(tmp_path: Path) -> None:
    train(tmp_path / "a", epochs=1, draw=False)
    assert set(event_files.read(tmp_path / "a" / VALIDATION)) == {f"pr_curve/{name}" for name in NAMES}
    train(tmp_path / "b", epochs=1, pr_curves=False)
    assert set(event_files.read(tmp_path / "b" / VALIDATION)) == {"pictures/confusion", "pictures/worst_mistakes"}


def test_nonfinite_outputs_break_nothing(tmp_path: Path) -> None:
    last = train(tmp_path, probed=True, nan=True)
    found = event_files.read(tmp_path / VALIDATION)
    assert [float(point.value) for point in found.pop("nonfinite_outputs/validation_images")] == [40, 40, 40]
    assert set(found) == {"pictures/confusion", "pictures/worst_mistakes", *(f"pr_curve/{name}" for name in NAMES)}
    assert all(np.isfinite(point.value).all() for name in NAMES for point in found[f"pr_curve/{name}"])
    assert last.nonfinite == 40
    assert len(event_files.read(tmp_path / TRAIN)["pictures/gradient_over_depth"]) == 3


def test_epochs_that_are_drawn() -> None:
    assert [epoch + 1 for epoch in range(25) if due(epoch, 25)] == [1, 2, 4, 8, 16, 25]
    assert [epoch + 1 for epoch in range(2) if due(epoch, 2)] == [1, 2]
    assert due(0, 1)


def test_a_run_that_stops_early_has_its_last_epoch(tmp_path: Path) -> None:
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.stop_training = epoch == 2

    validation = ValidationPages(
        ValidationCounts(2), Events(tmp_path / "b"), names=["a", "b"], images=lambda places: []
    )
    net = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    net.compile("sgd", "mse")
    net.fit(np.ones((4, 1)), np.ones((4, 1)), 2, epochs=9, verbose=0, callbacks=[Stop(), validation])
    steps = [point.step for point in event_files.read(tmp_path / "b" / VALIDATION)["pictures/confusion"]]
    assert steps == [2, 4, 6]
