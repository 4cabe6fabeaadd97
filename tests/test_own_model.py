"""A model of the user's own, from training to a published version: watched, resumed and exported like ours."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from same_runs import differences
from small_runs import FLOAT32

from kerasnets.artifacts.export import export
from kerasnets.artifacts.manifest import Manifest
from kerasnets.inference.subject import open_runner
from kerasnets.run import Run
from kerasnets.training.checkpoint.callback import Callbacks

Train = Callable[..., Run]
CODE = """
import keras
from keras import layers


def net(input_shape, classes, width):
    inside = [layers.BatchNormalization(momentum=0.8), layers.ReLU(6.0)]
    body = keras.Sequential([keras.Input((8, 8, width)), *inside], name="body")
    image = keras.Input(input_shape)
    x = layers.SeparableConv2D(width, 3, padding="same")(image)
    x = layers.Dropout(0.2)(layers.Flatten()(body(x)))
    return keras.Model(image, layers.Dense(classes, activation="softmax")(x))
"""
WORDS = [FLOAT32, "name=mine", "training.epochs=2", "training.optimizer=adam", "training.learning_rate=0.01"]
WORDS += ["training.nesterov=false", "telemetry.every=20", "data.augment.pad_crop=0"]
WORDS += ["training.checkpoint_every=7", "data.image_size=8", "model={name: 'digit_nets:net', width: 16}"]


class Stop(Exception):
    """Stands for a kill."""


@pytest.mark.slow
def test_a_model_of_ones_own_trains_resumes_and_is_published(
    tmp_path: Path, train_small: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "digit_nets.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    whole = train_small(tmp_path / "whole", WORDS)
    metrics = json.loads((whole.path / "metrics.json").read_text())
    assert metrics["validation"]["accuracy"] > 0.5
    statistics = (whole.path / "telemetry" / "statistics.csv").read_text()
    assert "separable_conv2d/depthwise_kernel" in statistics and "batch_normalization" in statistics

    begin, calls = Callbacks.on_train_batch_begin, iter(range(1000))

    def stop(self: Callbacks, batch: int, logs: Any = None) -> None:
        if next(calls) == 30:
            raise Stop
        begin(self, batch, logs)

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(Callbacks, "on_train_batch_begin", stop)
        train_small(tmp_path / "stopped", WORDS)
    command = [sys.executable, "-m", "kerasnets", "train", "--resume", str(tmp_path / "stopped")]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    subprocess.run(command, check=True, capture_output=True, env=environment, timeout=300)
    assert differences(whole.path, tmp_path / "stopped") == []

    published = export(whole, to=tmp_path / "store")
    runner = open_runner(Manifest.read(published.path), "onnx")
    probabilities = runner(np.zeros((2, 8, 8, 1), np.float32))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    sys.modules.pop("digit_nets", None)
