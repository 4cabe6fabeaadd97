"""What happens when a number stops being finite: the run stops and says where, or goes back and on."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_runs import QUIET, SMALL

from kerasnets.config import Training
from kerasnets.errors import CheckFailed
from kerasnets.models.specs import Head
from kerasnets.run import Run
from kerasnets.telemetry.nonfinite import NonFinite
from kerasnets.telemetry.observers import GradientNorm
from kerasnets.training import nonfinite, optim
from kerasnets.training.fast import make_fast
from kerasnets.training.nonfinite import RateFactor, Rollback, StopOnNonFinite
from kerasnets.training.step import Trainer

STEPS = 8
"""Of an epoch."""
ONE = (Head("logits", 1.0, True),)
Train = Callable[[Path, list[str]], Run]


class Small:
    """A trainer of a small network with batch normalisation, and the callback that is tested."""

    def __init__(self, action: str = "rollback", **settings: Any) -> None:
        keras.utils.set_random_seed(0)
        image = keras.Input((6, 6, 1), name="image")
        x = keras.layers.BatchNormalization(name="bn")(keras.layers.Conv2D(3, 3, name="conv")(image))
        x = keras.layers.Flatten(name="flatten")(keras.layers.Activation("relu", name="relu")(x))
        net = keras.Model(image, keras.layers.Dense(3, name="logits")(x))
        constant = {"epochs": 4, "learning_rate": 0.01, "schedule": "constant", "precision": "float32"}
        training = Training.model_validate(constant | settings)
        self.net = make_fast(net, training.precision).net
        self.rate = RateFactor()
        observer = NonFinite(scaled=training.precision == "float16")
        self.trainer = Trainer(self.net, ONE, 3, observers=[GradientNorm(), observer])
        optimizer = optim.optimizer(training, STEPS, self.net.trainable_variables, self.rate)
        self.trainer.compile(optimizer=optimizer, jit_compile=False)
        self.noted: list[dict[str, Any]] = []
        self.callback: Any = StopOnNonFinite(observer, self.note)
        if action == "rollback":
            self.callback = Rollback(observer, self.note, self.rate, 0.5)

    def note(self, found: Sequence[Any]) -> None:
        self.noted = [dict(event) for event in found]

    def fit(self, bad: Sequence[int], epochs: int = 2, callbacks: Sequence[Any] = ()) -> dict[str, list[float]]:
        """Train; the batches of the steps in `bad` hold a NaN."""
        rng = np.random.default_rng(0)
        images = rng.normal(size=(epochs * STEPS, 4, 6, 6, 1)).astype("float32")
        for step in bad:
            images[step - 1, 0, 0, 0] = np.nan
        targets = tf.one_hot(rng.integers(0, 3, (epochs * STEPS, 4)), 3)
        history: dict[str, list[float]] = self.trainer.fit(
            tf.data.Dataset.from_tensor_slices((images, targets)),
            epochs=epochs,
            steps_per_epoch=STEPS,
            validation_data=(rng.normal(size=(4, 6, 6, 1)).astype("float32"), targets[0]),
            shuffle=False,
            verbose=0,
            callbacks=[self.callback, *callbacks],
        ).history
        return history

    def state(self) -> dict[str, np.ndarray]:
        variables = (*self.net.variables, *self.trainer.optimizer.variables)
        return {f"{place} {variable.path}": variable.numpy().copy() for place, variable in enumerate(variables)}


class Look(keras.callbacks.Callback):
    """Keeps the state as the second epoch began and after each of its steps."""

    def __init__(self, small: Small) -> None:
        super().__init__()
        self._small = small
        self.states: list[dict[str, np.ndarray]] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 1:
            self.states.append(self._small.state())

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.states:
            self.states.append(self._small.state())


class At(keras.callbacks.Callback):
    """Does something at the end of the first epoch."""

    def __init__(self, act: Callable[[], None]) -> None:
        super().__init__()
        self._act = act

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == 0:
            self._act()


def finite(history: dict[str, list[float]]) -> bool:
    return all(math.isfinite(value) for values in history.values() for value in values)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [{}, {"optimizer": "adam"}, {"optimizer": "adamw", "precision": "float16", "ema": 0.9}],
    ids=["sgd", "adam", "float16"],
)
def test_all_of_the_state_goes_back_but_for_the_count_of_steps(
    settings: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    small = Small(**settings)
    look = Look(small)
    history = small.fit(bad=[11], callbacks=[look])
    before, _, _, after, later = look.states[0], *look.states[1:3], look.states[3], look.states[-1]
    changed = {name.rpartition("/")[2] for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {"iteration"}
    moved = {name.rpartition("/")[2] for name in before if not np.array_equal(before[name], later[name])}
    assert {"kernel", "gamma", "moving_mean", "moving_variance"} <= moved
    assert all(np.isfinite(value).all() for value in later.values())
    assert int(small.trainer.optimizer.iterations) == 16 - ("precision" in settings)  # float16 skips the NaN itself
    assert float(small.trainer.optimizer.learning_rate) == pytest.approx(0.005)
    assert finite(history)
    assert small.noted == [{"step": 11, "kind": "input", "layer": "image", "action": "rollback"}]
    assert capsys.readouterr().err == (
        "rollback: step 11: the input of image is not finite; back to the weights of step 8, learning rate x 0.5 from "
        "here on\n"
    )


def test_metrics_are_those_of_the_steps_since(capsys: pytest.CaptureFixture[str]) -> None:
    small = Small()
    means: list[float] = []
    keep = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: means.append(logs["loss"]))
    history = small.fit(bad=[3, 16], callbacks=[keep])
    assert [event["step"] for event in small.noted] == [3, 16]
    assert finite(history)
    assert history["loss"][0] == pytest.approx(means[7])  # of steps 4 to 8
    assert means[3] != pytest.approx(np.mean(means[:2]))
    assert history["loss"][1] == pytest.approx(means[14])  # the last step was undone: of steps 9 to 15
    assert math.isnan(means[15])
    assert float(small.rate.variable.numpy()) == 0.25
    assert capsys.readouterr().err.count("rollback") == 2


def test_a_state_that_leads_to_the_same_end_is_given_up_for_the_older_one(capsys: pytest.CaptureFixture[str]) -> None:
    small = Small()
    kernel = small.net.get_layer("logits").kernel
    small.fit(bad=[], callbacks=[At(lambda: kernel.assign(kernel * 0 + 3e38))])
    assert [line.partition("back to the ")[2].partition(",")[0] for line in capsys.readouterr().err.splitlines()] == [
        "weights of step 8",
        "weights of step 0",
    ]
    assert np.isfinite(kernel.numpy()).all() and np.abs(kernel.numpy()).max() < 10


def test_a_state_that_is_not_finite_is_not_kept(capsys: pytest.CaptureFixture[str]) -> None:
    small = Small()
    kernel = small.net.get_layer("conv").kernel
    small.fit(bad=[], callbacks=[At(lambda: kernel.assign(kernel * np.nan))])
    assert capsys.readouterr().err.count("back to the weights of step 0,") == 1
    assert np.isfinite(kernel.numpy()).all()


def test_rollbacks_come_to_an_end() -> None:
    small = Small()
    with pytest.raises(
        CheckFailed, match=r"^step 13: the input of image is not finite, after 10 rollbacks; try a lower"
    ):
        small.fit(bad=range(3, 17))
    assert [event["step"] for event in small.noted] == list(range(3, 14))


def test_stop_names_step_and_layer() -> None:
    small = Small("stop")
    with pytest.raises(CheckFailed) as raised:
        small.fit(bad=[5])
    assert str(raised.value) == (
        "step 5: the input of image is not finite, the first value that is not; try a lower training.learning_rate, "
        "training.warmup_epochs or training.clip_global_norm=1, or training.on_nonfinite=rollback"
    )
    assert small.noted == [{"step": 5, "kind": "input", "layer": "image", "action": "stop"}]


def test_a_broken_weight_that_a_relu_hides_stops_the_run_when_the_epoch_ends() -> None:
    small = Small("stop")
    gamma = small.net.get_layer("bn").gamma
    spoil = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: gamma.assign([np.nan, 1, 1]))
    with pytest.raises(CheckFailed, match=r"the weight of bn/gamma is not finite"):
        small.fit(bad=[], callbacks=[spoil])
    assert small.noted[0]["step"] <= STEPS


def test_the_rate_is_the_schedules_times_the_factor() -> None:
    factor = RateFactor()
    training = Training(epochs=10, learning_rate=0.4, schedule="step", step_epochs=(1,))
    schedule, found = optim.schedule(training, 10), factor.times(optim.schedule(training, 10))
    assert factor.lower(0.5) == 0.5
    assert factor.lower(0.1) == pytest.approx(0.05)
    for step in (0, 5, 15):
        assert float(found(step)) == pytest.approx(0.05 * float(schedule(step)))


EXPLODING = [*SMALL, "model.normalization=none", "training.learning_rate=1e4", "training.schedule=constant"]


@pytest.mark.slow
def test_stop_through_the_command_line(tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "kerasnets",
        "train",
        "digits-resnet20",
        *EXPLODING,
        "training.learning_rate=1e6",
        "--out",
        str(out),
    ]
    environment = os.environ | {"COLUMNS": "500"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path, env=environment)
    assert done.returncode == 3, done.stderr[-2000:]
    (event,) = json.loads((out / "telemetry" / "nonfinite.json").read_text())["events"]
    assert event["action"] == "stop" and event["step"] < 10 and event["layer"].startswith("conv")
    said = done.stderr.splitlines()[-1]
    assert f"step {event['step']}: the {event['kind']} of {event['layer']} is not finite" in said
    (finding,) = (
        finding
        for finding in json.loads((out / "diagnosis.json").read_text())["findings"]
        if finding["rule"] == "nonfinite_values"
    )
    assert finding["layers"] == [event["layer"]] and finding["step"] == event["step"]
    assert "<html" in (out / "report.html").read_text()
    assert not (out / "metrics.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [[], ["training.optimizer=adam", "training.nesterov=false", "training.precision=float16"]],
    ids=["sgd", "float16"],
)
def test_a_run_with_a_far_too_high_rate_goes_back_and_ends_well(
    words: list[str], tmp_path: Path, train_small: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = ["training.on_nonfinite=rollback", "training.rollback_factor=0.01", "training.ema=0.5"]
    run = train_small(tmp_path / "run", [*EXPLODING, *QUIET, *wanted, *words])
    events = run.read_json("telemetry/nonfinite.json")["events"]
    assert 1 <= len(events) <= nonfinite.MOST_ROLLBACKS
    assert capsys.readouterr().err.count("rollback: step ") == len(events)
    history = run.read_rows("history.csv")
    assert len(history) == 2
    assert all(math.isfinite(float(value)) for row in history for value in row.values())
    assert float(history[-1]["learning_rate"]) == pytest.approx(1e4 * 0.01 ** len(events), rel=1e-4)
    for name in ("model.keras", "last.keras"):
        assert all(np.isfinite(v.numpy()).all() for v in keras.models.load_model(run.path / name).weights)
    assert run.read_json("metrics.json")["validation"]["loss"] < 10
