from pathlib import Path

import keras
import numpy as np
import pytest

from kerasnets.telemetry.profile import Profile


@pytest.mark.parametrize(
    ("first", "last", "per_execution", "traced"),
    [(3, 5, 1, [3, 4, 5]), (4, 4, 1, [4]), (5, 99, 1, [5, 6, 7, 8]), (3, 3, 2, [4]), (20, 25, 1, [])],
)
def test_these_steps_are_traced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int, last: int, per_execution: int, traced: list[int]
) -> None:
    import tensorflow as tf

    monkeypatch.setattr(tf.profiler.experimental, "start", lambda directory: running.append(directory))
    monkeypatch.setattr(tf.profiler.experimental, "stop", lambda: running.clear())
    running: list[str] = []
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            if running:
                seen.append(int(self.model.optimizer.iterations))

    net = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    net.compile("sgd", "mse", steps_per_execution=per_execution)
    callbacks = [Watch(), Profile(tmp_path, first, last)]
    net.fit(np.ones((4, 1)), np.ones((4, 1)), 1, epochs=2, verbose=0, callbacks=callbacks)
    assert seen == traced
    assert not running


@pytest.mark.slow
def test_trace_is_written(tmp_path: Path) -> None:
    net = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    net.compile("sgd", "mse")
    net.fit(np.ones((4, 1)), np.ones((4, 1)), 1, verbose=0, callbacks=[Profile(tmp_path / "train", 2, 3)])
    (trace,) = tmp_path.glob("train/plugins/profile/*/*.xplane.pb")
    assert trace.stat().st_size > 1000
