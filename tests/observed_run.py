"""A small network that is trained with all of TensorBoard's pages, in a second or two."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasnets.telemetry.events import Events
from kerasnets.telemetry.observed import ObservedModel
from kerasnets.telemetry.pages import ProbePages, ValidationPages
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
