"""What the probe's writer leaves behind: exact tags and steps, values that agree, and nothing that is not finite."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import event_files
import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from kerasnets.telemetry.events import TRAIN, Events
from kerasnets.telemetry.observed import ObservedModel
from kerasnets.telemetry.probe import Probe
from kerasnets.telemetry.record import Record
from kerasnets.telemetry.writer import ProbeWriter

VARIABLES = ["conv/kernel", "conv/bias", "high/kernel", "high/bias", "low/kernel", "low/bias"]
LAYERS = ["relu", "tanh", "low", "high"]
LOW = ["conv/kernel", "conv/bias", "low/kernel", "low/bias"]
HIGH = ["conv/kernel", "conv/bias", "high/kernel", "high/bias"]
STEP_TAGS = {"step/loss", "step/gradient_norm", "step/learning_rate", "step/inference_loss"}


class Halved(ObservedModel):
    """Clips gradients, in its own way."""

    def final(self, gradients: Any) -> Any:
        return [gradient * 0.5 for gradient in gradients]


def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 6, 1), name="image")
    x = keras.layers.Activation("relu", name="relu")(keras.layers.Conv2D(3, 3, name="conv")(image))
    x = keras.layers.Activation("tanh", name="tanh")(keras.layers.Flatten(name="flatten")(x))
    return keras.Model(image, {name: keras.layers.Dense(2, name=name)(x) for name in ("low", "high")})


def compiled(probe: Probe, **options: Any) -> ObservedModel:
    model = Halved(network(), [probe])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), {"low": loss, "high": loss}, jit_compile=False, **options)
    return model


def fit(model: ObservedModel, writer: ProbeWriter, steps: int, epochs: int = 1) -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(4 * steps, 6, 6, 1)).astype("float32"), rng.integers(0, 2, 4 * steps)
    model.fit(images, {"low": labels, "high": labels}, 4, epochs, verbose=0, shuffle=False, callbacks=[writer])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two epochs of 12 steps, sampled at 2, 5, 10, 20 and, with each head's own gradients, 12 and 24."""
    directory = tmp_path_factory.mktemp("telemetry")
    probe = Probe(1000, 12, clipping=True)
    fit(compiled(probe), ProbeWriter(probe, directory), 12, 2)
    return directory


STEPS, HEADS = [2, 5, 10, 12, 20, 24], [12, 24]


def test_tags_are_these(written: Path) -> None:
    found = event_files.read(written / "tensorboard" / TRAIN)
    kinds = ("gradients", "gradients_clipped", "weights", "updates")
    histograms = {f"{kind}/{name}" for kind in kinds for name in VARIABLES}
    histograms |= {f"activations/{name}" for name in LAYERS} | {"input/image"}
    scalars = {
        f"{kind}/{name}" for kind in ("gradient_norm", "gradient_clipped_norm", "weight_norm") for name in VARIABLES
    }
    scalars |= {f"update_ratio/{name}" for name in VARIABLES}
    scalars |= {f"activations_std/{name}" for name in LAYERS} | {"input_std/image", "saturated/tanh"}
    scalars |= {"dead_units/relu", "dead_units_epoch/relu"} | STEP_TAGS
    heads = {f"gradient_norm_low/{name}" for name in LOW} | {f"gradient_norm_high/{name}" for name in HIGH}
    assert {tag for tag, points in found.items() if points[0].plugin == "histograms"} == histograms
    assert {tag for tag, points in found.items() if points[0].plugin == "scalars"} == scalars | heads
    assert set(found) == histograms | scalars | heads
    for tag, points in found.items():
        expected = HEADS if tag in heads else STEPS
        assert [point.step for point in points] == expected, tag


def test_tensorboard_itself_reads_every_point(written: Path) -> None:
    read = EventAccumulator(str(written / "tensorboard" / TRAIN), size_guidance={"tensors": 0}).Reload()
    assert "gradients/conv/kernel" in read.PluginTagToContent("histograms")
    assert [event.step for event in read.Tensors("gradients/conv/kernel")] == STEPS


def test_histograms_scalars_and_tables_say_the_same(written: Path) -> None:
    found, record = event_files.read(written / "tensorboard" / TRAIN), Record.open(written)
    assert record is not None
    kinds = {"gradient": "gradients", "clipped": "gradients_clipped", "weight": "weights", "activation": "activations"}
    assert set(record.kinds) == {*kinds, "update", "input", "head:low", "head:high"}
    sizes = {"conv/kernel": 27, "relu": 4 * 4 * 4 * 3, "high/bias": 2, "tanh": 4 * 48}
    for kind, tag in kinds.items():
        series = record.kinds[kind]
        assert series.steps.tolist() == STEPS
        for place, name in enumerate(series.names):
            for when, point in enumerate(found[f"{tag}/{name}"]):
                assert point.value[:, 2].sum() == sizes.get(name, point.value[:, 2].sum())
                if len(point.value) > 1:
                    assert point.value[0, 0] == pytest.approx(series["min"][when, place], rel=1e-5)
                    assert point.value[-1, 1] == pytest.approx(series["max"][when, place], rel=1e-5)
    norms = [float(point.value) for point in found["gradient_norm/conv/kernel"]]
    np.testing.assert_allclose(record.kinds["gradient"]["l2"][:, 0], norms, rtol=1e-5)
    np.testing.assert_allclose(record.kinds["clipped"]["l2"][:, 0], np.array(norms) / 2, rtol=1e-5)
    ratios = [float(point.value) for point in found["update_ratio/conv/kernel"]]
    np.testing.assert_allclose(record.kinds["update"]["ratio"][:, 0], ratios, rtol=1e-5)
    assert record.kinds["head:low"].names == tuple(LOW) and record.kinds["head:low"].steps.tolist() == HEADS


def test_every_step_is_in_steps_csv(written: Path) -> None:
    record = Record.open(written)
    assert record is not None
    steps = record.steps
    assert steps.step.tolist() == list(range(1, 25))
    assert np.isfinite(steps.loss).all() and (steps.gradient_norm > 0).all()
    np.testing.assert_allclose(steps.learning_rate, 0.1, rtol=1e-6)
    assert [int(step) for step in steps.step[np.isfinite(steps.inference_loss)]] == STEPS
    sampled = steps.loss[np.isin(steps.step, STEPS)]  # no dropout, no normalisation: both modes are the same
    np.testing.assert_allclose(steps.inference_loss[np.isfinite(steps.inference_loss)], sampled, rtol=1e-4)
    points = event_files.read(written / "tensorboard" / TRAIN)["step/loss"]
    np.testing.assert_allclose([float(point.value) for point in points], sampled, rtol=1e-5)


def test_layers_and_cost(written: Path) -> None:
    layers = json.loads((written / "layers.json").read_text())
    assert layers == {
        **{"schema": 1, "variables": VARIABLES, "heads": ["low", "high"], "main_head": "high", "clipping": True},
        "activations": {"relu": "relu", "tanh": "tanh", "low": "linear", "high": "linear"},
        **{"every": 1000, "steps_per_epoch": 12},
    }
    cost = json.loads((written / "cost.json").read_text())
    size = sum(path.stat().st_size for path in (written / "tensorboard").rglob("events*"))
    assert set(cost) == {"schema", "share", "setup_seconds", "megabytes", "every"}
    assert cost["megabytes"] == pytest.approx(size / 1e6)
    assert 0 <= cost["share"] < 1 and cost["setup_seconds"] > 0 and cost["every"] == 1000


class Traced:
    """A model that is traced once, its probe, and its weights as they were."""

    def __init__(self) -> None:
        self.probe = Probe(1, 1000)
        self.model = compiled(self.probe)
        self.weights = self.model.net.get_weights()


@pytest.fixture(scope="module")
def traced() -> Traced:
    return Traced()


@pytest.fixture
def fresh(traced: Traced) -> Iterator[Traced]:
    """Return it as if nothing had been trained."""
    traced.model.net.set_weights(traced.weights)
    traced.probe._step.assign(0)
    traced.model._done = 0
    traced.probe.every = 1
    traced.probe._histograms = True
    yield traced


@pytest.mark.slow
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nothing_that_is_not_finite_reaches_tensorboard_but_its_count(
    value: float, fresh: Traced, tmp_path: Path
) -> None:
    kernel = fresh.model.net.get_layer("high").kernel
    values = kernel.numpy()
    values[3:5, 0] = value
    kernel.assign(values)
    fit(fresh.model, ProbeWriter(fresh.probe, tmp_path), 2)
    found = event_files.read(tmp_path / "tensorboard" / TRAIN)
    for tag, points in found.items():
        assert all(np.isfinite(point.value).all() for point in points), tag
    assert float(found["nonfinite_weight/high/kernel"][0].value) >= 2
    assert float(found["nonfinite_gradient/conv/kernel"][0].value) == 27
    assert "gradients/conv/kernel" not in found  # none of its entries is finite
    assert "step/loss" not in found
    assert found["input/image"][0].value[:, 2].sum() == 4 * 36
    record = Record.open(tmp_path)
    assert record is not None
    assert record.kinds["gradient"]["nan"][0, 0] + record.kinds["gradient"]["inf"][0, 0] == 27
    assert not np.isfinite(record.steps.loss[0])


def test_finite_entries_beside_broken_ones_are_drawn(fresh: Traced, tmp_path: Path) -> None:
    bias = fresh.model.net.get_layer("low").bias
    bias.assign([np.nan, 0.25])
    fresh.model.optimizer.learning_rate = 0.0
    fit(fresh.model, ProbeWriter(fresh.probe, tmp_path), 1)
    fresh.model.optimizer.learning_rate = 0.1
    found = event_files.read(tmp_path / "tensorboard" / TRAIN)
    assert found["nonfinite_weight/low/bias"][0].value == 2 - sum(
        point.value[:, 2].sum() for point in found.get("weights/low/bias", [])
    )


@pytest.mark.slow
def test_events_stay_below_the_limit_and_tables_go_on(fresh: Traced, tmp_path: Path) -> None:
    writer = ProbeWriter(fresh.probe, tmp_path, max_megabytes=0.12)
    fit(fresh.model, writer, 200)
    size = sum(path.stat().st_size for path in (tmp_path / "tensorboard").rglob("events*"))
    assert 0.5 * 0.12e6 < size <= 0.12e6
    assert fresh.probe.every > 1
    assert json.loads((tmp_path / "cost.json").read_text())["every"] == fresh.probe.every
    assert json.loads((tmp_path / "layers.json").read_text())["every"] == 1  # as the run began
    record = Record.open(tmp_path)
    assert record is not None
    assert record.steps.step.tolist() == list(range(1, 201))
    gaps = np.diff(record.kinds["weight"].steps)
    assert gaps[0] == 1 and gaps[-1] == fresh.probe.every


def test_a_sample_that_does_not_fit_goes_to_the_tables_alone(fresh: Traced, tmp_path: Path) -> None:
    fit(fresh.model, ProbeWriter(fresh.probe, tmp_path, max_megabytes=1e-3), 2)
    assert event_files.read(tmp_path / "tensorboard" / TRAIN) == {}
    record = Record.open(tmp_path)
    assert record is not None and record.kinds["weight"].steps.tolist() == [1, 2]


def test_a_second_fit_goes_on_in_the_same_record(fresh: Traced, tmp_path: Path) -> None:
    writer = ProbeWriter(fresh.probe, tmp_path)
    fit(fresh.model, writer, 3)
    fit(fresh.model, writer, 2)
    record = Record.open(tmp_path)
    assert record is not None
    assert record.steps.step.tolist() == record.kinds["gradient"].steps.tolist() == [1, 2, 3, 4, 5]


def test_a_new_writer_goes_on_where_the_model_is(fresh: Traced, tmp_path: Path) -> None:
    fit(fresh.model, ProbeWriter(fresh.probe, tmp_path), 3)
    fit(fresh.model, ProbeWriter(fresh.probe, tmp_path), 2)
    record = Record.open(tmp_path)
    assert record is not None
    assert record.steps.step.tolist() == record.kinds["gradient"].steps.tolist() == [1, 2, 3, 4, 5]


@pytest.mark.slow
def test_inference_mode_at_samples_that_are_far_enough_apart(tmp_path: Path) -> None:
    probe = Probe(3, 4, often=0)
    fit(compiled(probe), ProbeWriter(probe, tmp_path), 12)
    record = Record.open(tmp_path)
    assert record is not None
    assert record.steps.step[np.isfinite(record.steps.inference_loss)].tolist() == [4, 8, 12]


def test_another_run_into_the_same_directory_begins_the_tables_anew(fresh: Traced, tmp_path: Path) -> None:
    (tmp_path / "steps.csv").write_text("step,loss\n1,2")
    fit(fresh.model, ProbeWriter(fresh.probe, tmp_path), 2)
    record = Record.open(tmp_path)
    assert record is not None and record.steps.step.tolist() == [1, 2]


def test_stopped_in_an_epoch_the_tables_have_every_step(fresh: Traced, tmp_path: Path) -> None:
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 6:
                raise KeyboardInterrupt

    fresh.probe.every = 1000
    writer = ProbeWriter(fresh.probe, tmp_path)
    images, labels = np.zeros((40, 6, 6, 1), "float32"), np.zeros(40)
    with pytest.raises(KeyboardInterrupt):
        fresh.model.fit(images, {"low": labels, "high": labels}, 4, verbose=0, callbacks=[writer, Stop()])
    writer.close()
    writer.close()
    with (tmp_path / "steps.csv").open(newline="") as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["1", "2", "3", "4", "5", "6", "7"]
    assert [point.step for point in event_files.read(tmp_path / "tensorboard" / TRAIN)["step/loss"]] == [2, 5]
    assert (tmp_path / "cost.json").is_file()


def test_closed_before_training_began_it_leaves_nothing(tmp_path: Path) -> None:
    ProbeWriter(Probe(), tmp_path / "none").close()
    assert not (tmp_path / "none").exists()


def test_without_histograms_and_activations(tmp_path: Path) -> None:
    probe = Probe(1, 1000, histograms=False, activations=False)
    model = compiled(probe, run_eagerly=True)
    fit(model, ProbeWriter(probe, tmp_path, Events(tmp_path / "events"), main_head="low"), 2)
    found = event_files.read(tmp_path / "events" / TRAIN)
    kinds = ("gradient_norm", "weight_norm", "update_ratio")
    assert set(found) == {f"{kind}/{name}" for kind in kinds for name in VARIABLES} | STEP_TAGS | {"input_std/image"}
    assert {point.plugin for points in found.values() for point in points} == {"scalars"}
    layers = json.loads((tmp_path / "layers.json").read_text())
    assert layers["activations"] == {} and layers["main_head"] == "low"
    record = Record.open(tmp_path)
    assert record is not None and set(record.kinds) == {"gradient", "weight", "update", "input"}


@pytest.mark.slow
def test_several_steps_an_execution(tmp_path: Path) -> None:
    probe = Probe(8, 1000)
    fit(compiled(probe, steps_per_execution=4), ProbeWriter(probe, tmp_path), 20)
    record = Record.open(tmp_path)
    assert record is not None
    assert record.steps.step.tolist() == list(range(1, 21))
    assert record.kinds["weight"].steps.tolist() == [4, 8, 12, 16, 20]  # 1 and 2, 5 and 8, 10, 16, 20
