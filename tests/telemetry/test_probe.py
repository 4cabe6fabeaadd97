"""The probe on real steps: what it says is what NumPy says of the same tensors, and training is not changed by it."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasnets.models.specs import Head
from kerasnets.telemetry.observed import ObservedModel
from kerasnets.telemetry.observers import Forward, GradientNorm, Level, Observer
from kerasnets.telemetry.probe import Probe
from kerasnets.telemetry.record import STATISTICS
from kerasnets.telemetry.sample import Sample
from kerasnets.training.fast import make_fast
from kerasnets.training.step import Trainer

L2, STD, ZEROS = (STATISTICS.index(name) for name in ("l2", "std", "zeros"))


def network(classes: int = 3) -> keras.Model:
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Conv2D(6, 3, name="conv", bias_initializer=keras.initializers.Constant(-0.3))(image)
    x = keras.layers.Activation("relu", name="conv_relu")(x)
    x = keras.layers.Dense(5, activation="tanh", name="dense")(keras.layers.Flatten(name="flatten")(x))
    return keras.Model(image, keras.layers.Dense(classes, name="logits")(x))


def batch(count: int = 12, classes: int = 3, side: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, side, side, 1)).astype("float32"), rng.integers(0, classes, count)


def observed(probe: Probe, net: keras.Model | None = None, **compile_options: Any) -> ObservedModel:
    model = ObservedModel(net or network(), [probe])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    options: dict[str, Any] = {"optimizer": keras.optimizers.SGD(0.5), "jit_compile": False}
    model.compile(loss=loss, metrics=["accuracy"], **(options | compile_options))
    return model


def stepped(**options: Any) -> tuple[Sample, keras.Model, dict[str, np.ndarray]]:
    """Return what the probe saw in one step, the network after it, and its weights before."""
    probe = Probe(1)
    model = observed(probe, **options)
    before = {v.path: v.numpy() for v in model.net.trainable_variables}
    model.train_on_batch(*batch())
    return probe.sample(), model.net, before


@pytest.mark.parametrize("options", [{}, {"run_eagerly": True}], ids=["graph", "eager"])
def test_statistics_are_those_of_the_step(options: dict[str, Any]) -> None:
    check_statistics(options)


@pytest.mark.slow
def test_statistics_are_those_of_the_step_under_xla() -> None:
    """In a process of its own: Keras takes no XLA once another test has asked for deterministic operations."""
    assert alone("import test_probe as t; t.check_statistics({'jit_compile': True}); print('checked')") == "checked"


def alone(code: str) -> str:
    """Run Python code beside this file in a process of its own, and return the last line that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, cwd=Path(__file__).parent
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()[-1]


def check_statistics(options: dict[str, Any]) -> None:
    sample, net, before = stepped(**options)
    images, targets = batch()
    reference = network()
    with tf.GradientTape() as tape:
        losses = keras.losses.sparse_categorical_crossentropy(targets, reference(images), from_logits=True)
        loss = tf.reduce_mean(losses)
    gradients = tape.gradient(loss, reference.trainable_variables)
    names = ("conv/kernel", "conv/bias", "dense/kernel", "dense/bias", "logits/kernel", "logits/bias")
    assert {kind: seen.names for kind, seen in sample.kinds.items()} == {
        **{kind: names for kind in ("gradient", "weight", "update")},
        **{"input": ("image",), "activation": ("conv_relu", "dense", "logits")},
    }
    for place, (variable, gradient) in enumerate(zip(net.trainable_variables, gradients, strict=True)):
        found = {kind: sample.kinds[kind].moments[place] for kind in ("gradient", "weight", "update")}
        assert found["gradient"][STD] == pytest.approx(np.std(gradient), rel=1e-4)
        assert found["weight"][L2] == pytest.approx(np.linalg.norm(variable.numpy()), rel=1e-5)
        update = np.linalg.norm(variable.numpy() - before[variable.path])
        assert found["update"][L2] == pytest.approx(update, rel=1e-4)
        norm = np.linalg.norm(before[variable.path])
        expected = update / norm if norm else np.nan
        assert sample.kinds["update"].extras["ratio"][place] == pytest.approx(expected, rel=1e-4, nan_ok=True)
        assert sample.kinds["gradient"].counts is not None
        assert sample.kinds["gradient"].counts[place].sum() == gradient.numpy().size


def test_activations_dead_units_and_saturation() -> None:
    sample, _, _ = stepped()
    reference = network()
    images, _ = batch()
    relu, dense, logits = (
        keras.Model(reference.input, reference.get_layer(name).output)(images).numpy()
        for name in ("conv_relu", "dense", "logits")
    )
    kind = sample.kinds["activation"]
    assert kind.moments[:, STD] == pytest.approx([relu.std(), dense.std(), logits.std()], rel=1e-4)
    assert kind.moments[0, ZEROS] == pytest.approx((relu == 0).mean())
    dead = (relu.max(axis=(0, 1, 2)) <= 0).mean()
    assert kind.extras["dead"] == pytest.approx([dead, np.nan, np.nan], nan_ok=True)
    saturated = (np.abs(dense) > 0.95**0.5).mean()
    assert kind.extras["saturated"] == pytest.approx([np.nan, saturated, np.nan], nan_ok=True)
    assert sample.dead["conv_relu"].shape == (6,)


def test_a_unit_is_dead_over_the_epoch_only_if_it_was_in_every_sample() -> None:
    probe = Probe(1)
    model = observed(probe)
    images, targets = batch()
    bias = model.net.get_layer("conv").bias
    bias.assign([-1e3] * 6)
    model.optimizer.learning_rate = 0.0
    model.train_on_batch(images, targets)
    assert probe.sample().kinds["activation"].extras["dead_epoch"][0] == 1
    bias.assign([-1e3] * 3 + [1.0] * 3)
    model.train_on_batch(images, targets)
    assert probe.sample().kinds["activation"].extras["dead_epoch"][0] == 0.5
    assert probe.sample().dead["conv_relu"].tolist() == [1, 1, 1, 0.5, 0.5, 0.5]
    probe.forget_epoch()
    model.train_on_batch(images, targets)
    assert probe.sample().dead["conv_relu"].tolist() == [1, 1, 1, 0, 0, 0]


def test_clipped_gradients_are_seen_beside_the_raw_ones() -> None:
    probe = Probe(1, clipping=True)
    images, targets = batch()
    one = (Head("logits", 1.0, True),)
    trainer = Trainer(network(), one, 3, clip=lambda g: [x * 0.25 for x in g], observers=[probe])
    trainer.compile(optimizer=keras.optimizers.SGD(0.1), jit_compile=False)
    trainer.train_on_batch(images, tf.one_hot(targets, 3))
    sample = probe.sample()
    ratio = sample.kinds["clipped"].moments[:, L2] / sample.kinds["gradient"].moments[:, L2]
    assert ratio == pytest.approx(np.full(6, 0.25), rel=1e-5)


def test_loss_scaling_is_taken_out() -> None:
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5), initial_scale=4096.0)
    plain, scaled = stepped()[0], stepped(optimizer=optimizer)[0]
    np.testing.assert_allclose(
        scaled.kinds["gradient"].moments[:, L2], plain.kinds["gradient"].moments[:, L2], rtol=1e-4
    )


def due(probe: Probe) -> list[int]:
    probe.every = 200
    return [step for step in range(1, 1001) if probe.due(step)]


def test_samples_are_due_at_the_first_steps_and_then_every_so_many() -> None:
    probe = Probe(100, 500)
    observed(probe)
    assert due(probe) == [2, 5, 10, 20, 50, 200, 400, 600, 800, 1000]


class Traced(Observer):
    """Notes how closely a step is looked at, whenever the graph of such a step is traced."""

    def __init__(self) -> None:
        super().__init__()
        self.levels: list[Level] = []

    def forward(self, seen: Forward) -> None:
        self.levels.append(seen.level)


def test_the_first_step_does_not_wait_for_the_graph_of_a_sample() -> None:
    traced = Traced()
    model = ObservedModel(network(), [traced, Probe(100)])
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images, labels = batch(8)
    model.fit(images[:4], labels[:4], verbose=0)
    assert traced.levels == [Level.STEP]
    model.fit(images[:4], labels[:4], verbose=0)
    assert traced.levels == [Level.STEP, Level.SAMPLE]


def test_each_heads_own_gradients_have_samples_of_their_own() -> None:
    probe = Probe(100, 500)
    branched([probe])
    assert due(probe) == [2, 5, 10, 20, 50, 200, 400, 500, 600, 800, 1000]
    levels = {step: probe.level(range(step, step + 1)) for step in range(1, 1001)}
    assert [step for step, level in levels.items() if level == Level.HEADS] == [50, 200, 500, 1000]
    assert [step for step, level in levels.items() if level == Level.SAMPLE] == [2, 5, 10, 20, 400, 600, 800]


def test_every_step_is_remembered_with_several_steps_an_execution() -> None:
    probe = Probe(4)
    model = observed(probe, steps_per_execution=4)
    images, targets = batch()
    logs = model.fit(images, targets, batch_size=2, epochs=2, verbose=0, shuffle=False).history
    steps = probe.steps(1, 12)
    assert [step for step, *_ in steps] == list(range(1, 13))
    assert np.mean([loss for _, loss, _, _ in steps[:6]]) == pytest.approx(logs["loss"][0], rel=1e-5)
    assert {rate for *_, rate in steps} == {0.5}
    assert probe.step == 12


def test_inference_loss_is_that_of_the_same_batch_and_weights() -> None:
    keras.utils.set_random_seed(2)
    image = keras.Input((8, 8, 1))
    x = keras.layers.BatchNormalization(name="bn", momentum=0.5)(keras.layers.Flatten()(image))
    net = keras.Model(image, keras.layers.Dense(3, name="logits")(x))
    probe = Probe(1, 1)
    model = observed(probe, net)
    images, targets = batch()
    images = images * 5 + 3
    start = net.get_weights()
    model.train_on_batch(images, targets)
    found = probe.sample().inference_loss
    statistics = [v.numpy() for v in net.non_trainable_variables]
    net.set_weights(start)
    for variable, value in zip(net.non_trainable_variables, statistics, strict=True):
        variable.assign(value)
    losses = keras.losses.sparse_categorical_crossentropy(targets, net(images, training=False), from_logits=True)
    assert found == pytest.approx(float(tf.reduce_mean(losses)), rel=1e-4)


def branched(observers: Sequence[Observer], precision: str = "float32") -> Trainer:
    """Return a trainer of an Inception-like network: four branches of one input, two heads, dropout, normalisation."""
    keras.utils.set_random_seed(3)
    layers = keras.layers
    image = keras.Input((16, 16, 1), name="image")
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="stem")(image)
    branches = [layers.Conv2D(4, size, padding="same", name=f"branch{size}_conv")(x) for size in (1, 3, 5, 7)]
    x = layers.BatchNormalization(name="bn")(layers.Concatenate(name="concat")(branches))
    x = layers.Activation("relu", name="relu")(x)
    low = layers.Dense(4, name="softmax0")(layers.GlobalAveragePooling2D(name="low_pool")(x))
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="high_conv")(x)
    x = layers.Dropout(0.3, name="dropout")(layers.Flatten(name="flatten")(layers.Activation("relu", name="high")(x)))
    net = keras.Model(image, {"softmax0": low, "softmax1": layers.Dense(4, name="softmax1")(x)})
    two = (Head("softmax0", 0.3, False), Head("softmax1", 1.0, True))
    trainer = Trainer(make_fast(net, precision).net, two, 4, observers=observers)
    trainer.compile(optimizer=keras.optimizers.SGD(0.05, momentum=0.9), jit_compile=False)
    return trainer


@pytest.mark.slow
def test_each_heads_gradients_sum_to_the_whole() -> None:
    probe = Probe(1, 1)
    trainer = branched([probe])
    images, targets = batch(6, 4, 16)
    trainer.train_on_batch(images, tf.one_hot(targets, 4))
    kinds = probe.sample().kinds
    low, high = kinds["head:softmax0"], kinds["head:softmax1"]
    shared = {name for name in kinds["gradient"].names if name.startswith(("stem", "branch", "bn"))}
    assert set(low.names) == shared | {"softmax0/kernel", "softmax0/bias"}
    assert set(high.names) == shared | {"softmax1/kernel", "softmax1/bias", "high_conv/kernel", "high_conv/bias"}
    mean = STATISTICS.index("mean")
    for name in ("stem/kernel", "branch5_conv/kernel", "bn/gamma"):
        parts = sum(kind.moments[kind.names.index(name), mean] for kind in (low, high))
        whole = kinds["gradient"].moments[kinds["gradient"].names.index(name), mean]
        assert parts == pytest.approx(whole, rel=1e-3, abs=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_weights_are_bit_identical_with_and_without(precision: str) -> None:
    images, targets = batch(24, 4, 16)
    data = tf.data.Dataset.from_tensor_slices((images, tf.one_hot(targets, 4))).batch(8)
    ends = []
    for observers in ((), (GradientNorm(), Probe(2, 3))):
        trainer = branched(observers, precision)
        trainer.fit(data, epochs=4, verbose=0, shuffle=False)
        ends.append([v.numpy() for v in trainer.net.weights])
    assert all(np.array_equal(a, b) for a, b in zip(*ends, strict=True))


def test_models_within_models_are_looked_into() -> None:
    keras.utils.set_random_seed(4)
    inner_in = keras.Input((8, 8, 1))
    inner = keras.Model(inner_in, keras.layers.Conv2D(2, 3, activation="relu", name="inside")(inner_in), name="inner")
    image = keras.Input((8, 8, 1))
    net = keras.Model(image, keras.layers.Dense(3, name="logits")(keras.layers.Flatten()(inner(image))))
    probe = Probe(1)
    observed(probe, net).train_on_batch(*batch())
    kinds = probe.sample().kinds
    assert kinds["activation"].names == ("inside", "logits")
    assert kinds["gradient"].names[0].endswith("inside/kernel")
    assert (kinds["gradient"].moments[:, L2] > 0).all()
    assert len(net.layers) == 4  # the network itself is as it was
    assert net.get_layer("inner").get_layer("inside").activation is keras.activations.relu


def test_variables_that_the_loss_does_not_reach_have_no_gradient() -> None:
    image = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(image)
    outputs = {"used": keras.layers.Dense(3, name="used")(x), "idle": keras.layers.Dense(2, name="idle")(x)}
    probe = Probe(1, 1)
    model = ObservedModel(keras.Model(image, outputs), [probe])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss={"used": loss, "idle": None}, jit_compile=False)
    images, targets = batch()
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        model.train_on_batch(images, {"used": targets})
    found = dict(zip(probe.sample().kinds["gradient"].names, probe.sample().kinds["gradient"].moments, strict=True))
    assert found["idle/kernel"][L2] == 0 < found["used/kernel"][L2]


@pytest.mark.slow
def test_two_replicas_show_the_gradient_of_the_whole_batch() -> None:
    code = """
import numpy as np, keras, tensorflow as tf
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2)
import test_probe as t
from kerasnets.telemetry.probe import Probe
single, _, _ = t.stepped()
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    probe = Probe(1)
    model = t.observed(probe)
images, targets = t.batch()
data = tf.data.Dataset.from_tensor_slices((images, targets)).batch(12)
history = model.fit(data, epochs=1, verbose=0, shuffle=False).history
double = probe.sample()
for kind in ("gradient", "weight", "update"):
    found, expected = (sample.kinds[kind].moments[:, :5] for sample in (double, single))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
print("same", len(probe.steps(1, 1)))
"""
    assert alone(code) == "same 1"
