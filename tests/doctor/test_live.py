"""`Watch`: each finding once, only those that mean something while training, quickly."""

import time
from pathlib import Path

from doctor_records import KERNELS, RELUS, STEPS_PER_EPOCH, USUAL, usual_history, usual_kinds, write_run

from kerasnets import config as configs
from kerasnets.doctor.live import LIVE, Watch
from kerasnets.run import Run
from kerasnets.telemetry.record import Layers, Recorder

EPOCHS = 6


class Training:
    """Writes a run epoch by epoch, as training does."""

    def __init__(self, path: Path, **sick: dict[str, dict[str, float]]) -> None:
        self.run: Run = write_run(path, ["model.normalization=none"], telemetry=False, finished=False, history={})
        (self.run.path / "history.csv").unlink()
        layers = Layers(KERNELS, {**RELUS, "softmax": "linear"}, ("softmax",), "softmax", 100, STEPS_PER_EPOCH)
        self._recorder = Recorder(path / "telemetry", layers)
        self._sick, self._epoch = sick, 0

    def epoch(self, loss: float, sick: bool = True) -> None:
        first = self._epoch * STEPS_PER_EPOCH
        self._epoch += 1
        self._recorder.steps((first + i + 1, loss, 1.0, 0.1, None) for i in range(STEPS_PER_EPOCH))
        for step in (first + 1, first + 50, first + 100):
            for kind, usual in usual_kinds().items():
                found = {**usual, **(self._sick.get(kind, {}) if sick else {})}
                self._recorder.statistics(step, kind, found.items())
        usual = {key: values[: self._epoch] for key, values in usual_history().items()}
        rows = [(i + 1, *(column[i] for column in usual.values())) for i in range(self._epoch)]
        self.run.write_rows("history.csv", ("epoch", *usual), rows)


def test_a_finding_is_reported_once_when_it_stands(tmp_path: Path) -> None:
    training = Training(tmp_path / "run", update={name: {**USUAL, "ratio": 1.0} for name in KERNELS})
    watch = Watch(training.run.path, training.run.config)
    assert watch.check() == []
    heard = []
    for loss in (1.5, 1.2, 1.0, 0.7):
        training.epoch(loss)
        heard.append([finding.rule for finding in watch.check()])
    assert heard == [[], ["update_ratio_too_large"], [], []]


def test_a_passing_trouble_is_not_reported(tmp_path: Path) -> None:
    dead = {name: {**USUAL, "dead": 0.8, "dead_epoch": 0.8} for name in RELUS}
    training = Training(tmp_path / "run", activation=dead)
    watch = Watch(training.run.path, training.run.config)
    for sick, loss in ((False, 2.0), (True, 1.5), (False, 1.0), (True, 0.8)):
        training.epoch(loss, sick)
        assert watch.check() == []


def test_values_that_are_not_finite_are_reported_at_once(tmp_path: Path) -> None:
    training = Training(tmp_path / "run")
    watch = Watch(training.run.path, training.run.config)
    training.epoch(2.0)
    assert watch.check() == []
    training.epoch(float("nan"))
    assert [finding.rule for finding in watch.check()] == ["nonfinite_values"]
    assert watch.check() == []


def test_only_rules_that_mean_something_while_training() -> None:
    assert [rule.name for rule in LIVE if rule.at_end] == []
    names = {rule.name for rule in LIVE}
    assert {"vanishing_gradient", "dead_relu", "learning_rate_too_high", "overfitting", "nonfinite_values"} <= names
    assert not {"underfitting", "stalled_training", "learning_rate_too_low", "plateau_then_fall"} & names


def test_a_check_is_cheap(tmp_path: Path) -> None:
    training = Training(tmp_path / "run")
    watch = Watch(training.run.path, training.run.config)
    times = []
    for _ in range(EPOCHS):
        training.epoch(1.0)
        began = time.perf_counter()
        watch.check()
        times.append(time.perf_counter() - began)
    assert min(times) < 0.05


def test_what_may_pass_while_rates_are_high_is_not_reported_before_they_fall(tmp_path: Path) -> None:
    training = Training(tmp_path / "run")
    watch = Watch(training.run.path, configs.update(training.run.config, training={"epochs": 10}))
    heard = []
    for epoch in range(EPOCHS):
        training.epoch(1.0)
        history = {"loss": 0.1, "accuracy": 0.99, "val_loss": 2.0, "val_accuracy": 0.6}
        rows = [(i + 1, *history.values()) for i in range(epoch + 1)]
        training.run.write_rows("history.csv", ("epoch", *history), rows)
        heard.append([finding.rule for finding in watch.check()])
    assert [rules == ["overfitting"] for rules in heard] == [False, False, False, False, True, False], heard
