from pathlib import Path
from typing import Any

import event_files
import keras
import numpy as np
import pytest
from observed_run import NAMES, train

from kerasnets.telemetry import pages
from kerasnets.telemetry.events import TRAIN, VALIDATION, Events
from kerasnets.telemetry.pages import ValidationPages, due
from kerasnets.telemetry.validation import ValidationCounts


@pytest.fixture(autouse=True)
def time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the time that drawing takes not matter."""
    monkeypatch.setattr(pages, "SHARE", 1e9)


def test_tags_are_these(tmp_path: Path) -> None:
    last = train(tmp_path, probed=True)
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


@pytest.mark.parametrize("epochs", [1, 7, 20, 21, 100, 1000])
def test_about_twenty_epochs_are_written(epochs: int) -> None:
    written = [epoch for epoch in range(epochs) if due(epoch, epochs)]
    assert written[0] == 0 and written[-1] == epochs - 1
    assert min(epochs, 11) <= len(written) <= pages.EPOCHS + 2


def test_pages_that_would_take_too_long_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "SHARE", 1e-9)
    train(tmp_path, epochs=4)
    steps = [point.step for point in event_files.read(tmp_path / VALIDATION)["pictures/confusion"]]
    assert steps == [4, 16]


def test_a_run_that_stops_early_has_its_last_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "EPOCHS", 1)

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.stop_training = epoch == 1

    validation = ValidationPages(
        ValidationCounts(2), Events(tmp_path / "b"), names=["a", "b"], images=lambda places: []
    )
    net = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    net.compile("sgd", "mse")
    net.fit(np.ones((4, 1)), np.ones((4, 1)), 2, epochs=9, verbose=0, callbacks=[Stop(), validation])
    steps = [point.step for point in event_files.read(tmp_path / "b" / VALIDATION)["pictures/confusion"]]
    assert steps == [2, 4]
