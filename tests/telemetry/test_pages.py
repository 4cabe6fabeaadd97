from collections.abc import Sequence
from pathlib import Path
from typing import Any

import event_files
import keras
import numpy as np
import pytest

from kerasnets.telemetry import pages
from kerasnets.telemetry.events import TRAIN, VALIDATION, Events
from kerasnets.telemetry.observed import ObservedModel
from kerasnets.telemetry.pages import ProbePages, ValidationPages, due
from kerasnets.telemetry.probe import Probe
from kerasnets.telemetry.validation import Validation, ValidationCounts
from kerasnets.telemetry.writer import ProbeWriter

NAMES = ["circle", "a/b c", "猫", "line\nbreak"]


class Counted(ObservedModel):
    """Counts in the test step."""

    counts: ValidationCounts

    def test_step(self, data: Any) -> dict[str, Any]:
        images, targets = data
        logits = self(images, training=False)
        self.counts.update(targets, logits)
        return self.compute_metrics(images, targets, logits)


def train(directory: Path, *, epochs: int = 3, probed: bool = False, nan: bool = False, **settings: Any) -> Validation:
    """Train a small network for epochs of 4 steps with pages; return what the last pass over 40 images gave."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.Conv2D(5, 3, activation="relu", name="conv")(inputs)
    bias = keras.initializers.Constant(np.nan if nan else 0.0)
    net = keras.Model(inputs, keras.layers.Dense(4, bias_initializer=bias, name="logits")(keras.layers.Flatten()(x)))
    probe, counts, events = Probe(), ValidationCounts(4), Events(directory)
    model = Counted(net, [probe] if probed else [])
    model.counts = counts
    model.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True))
    generator = np.random.default_rng(0)
    images, labels = generator.integers(0, 256, (72, 6, 6, 1), np.uint8), generator.integers(0, 4, 72)
    numbers, targets = images.astype(np.float32) / 255, np.eye(4, dtype=np.float32)[labels]
    asked: list[int] = []

    def pictures(places: Sequence[int]) -> list[np.ndarray]:
        asked.extend(places)
        return [images[32 + place] for place in places]

    callbacks: list[Any] = [ValidationPages(counts, events, names=NAMES, images=pictures, **settings)]
    if probed:
        writer = ProbeWriter(probe, directory / "telemetry", events)
        callbacks = [writer, ProbePages(writer), *callbacks]
    held_out = (numbers[32:], targets[32:])
    model.fit(numbers[:32], targets[:32], 8, epochs, verbose=0, callbacks=callbacks, validation_data=held_out)
    events.close()
    assert all(0 <= place < 40 for place in asked)
    return counts.results()


def test_tags_are_these(tmp_path: Path) -> None:
    last = train(tmp_path, probed=True)
    found = event_files.read(tmp_path / VALIDATION)
    pictures = {"validation/confusion", "validation/worst_mistakes"}
    assert set(found) == pictures | {f"pr_curve/{name}" for name in NAMES}
    assert {point.plugin for tag in pictures for point in found[tag]} == {"images"}
    assert {point.plugin for name in NAMES for point in found[f"pr_curve/{name}"]} == {"pr_curves"}
    for points in found.values():
        assert [point.step for point in points] == [4, 8, 12]
    positives = [found[f"pr_curve/{name}"][-1].value[0, 0] for name in NAMES]  # all are found at threshold 0
    assert positives == last.examples.tolist() and sum(positives) == 40
    drawn = {tag for tag, points in event_files.read(tmp_path / TRAIN).items() if points[0].plugin == "images"}
    assert drawn == {"gradients/depth_profile", "activations/dead_units"}


def test_pages_can_be_turned_off(tmp_path: Path) -> None:
    train(tmp_path / "a", epochs=1, draw=False)
    assert set(event_files.read(tmp_path / "a" / VALIDATION)) == {f"pr_curve/{name}" for name in NAMES}
    train(tmp_path / "b", epochs=1, pr_curves=False)
    assert set(event_files.read(tmp_path / "b" / VALIDATION)) == {"validation/confusion", "validation/worst_mistakes"}


def test_nonfinite_outputs_break_nothing(tmp_path: Path) -> None:
    last = train(tmp_path, probed=True, nan=True)
    found = event_files.read(tmp_path / VALIDATION)
    assert [float(point.value) for point in found.pop("nonfinite_outputs/validation_images")] == [40, 40, 40]
    assert set(found) == {"validation/confusion", "validation/worst_mistakes", *(f"pr_curve/{name}" for name in NAMES)}
    assert all(np.isfinite(point.value).all() for name in NAMES for point in found[f"pr_curve/{name}"])
    assert last.nonfinite == 40
    assert len(event_files.read(tmp_path / TRAIN)["gradients/depth_profile"]) == 3


@pytest.mark.parametrize("epochs", [1, 7, 20, 21, 100, 1000])
def test_about_twenty_epochs_are_written(epochs: int) -> None:
    written = [epoch for epoch in range(epochs) if due(epoch, epochs)]
    assert written[0] == 0 and written[-1] == epochs - 1
    assert min(epochs, 11) <= len(written) <= pages.EPOCHS + 2


def test_a_run_that_stops_early_has_its_last_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "EPOCHS", 1)
    train(tmp_path, epochs=4)
    steps = [point.step for point in event_files.read(tmp_path / VALIDATION)["validation/confusion"]]
    assert steps == [4, 16]

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.stop_training = epoch == 1

    validation = ValidationPages(
        ValidationCounts(2), Events(tmp_path / "b"), names=["a", "b"], images=lambda places: []
    )
    net = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    net.compile("sgd", "mse")
    net.fit(np.ones((4, 1)), np.ones((4, 1)), 2, epochs=9, verbose=0, callbacks=[Stop(), validation])
    steps = [point.step for point in event_files.read(tmp_path / "b" / VALIDATION)["validation/confusion"]]
    assert steps == [2, 4]
