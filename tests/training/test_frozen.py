"""Frozen means frozen: in the step, its observers, its statistics and its graphs; and then it thaws."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasnets.config import Training
from kerasnets.models.specs import Head
from kerasnets.telemetry.frozen import Frozen
from kerasnets.telemetry.observed import ObservedModel
from kerasnets.telemetry.observers import GradientNorm, Level, Observer, Watched
from kerasnets.telemetry.probe import Probe
from kerasnets.telemetry.writer import _rows, scalars
from kerasnets.training import optim
from kerasnets.training.fast import make_fast
from kerasnets.training.layerwise import Rates
from kerasnets.training.step import Objective, Trainer

TWO = (Head("softmax0", 0.3, False), Head("softmax1", 1.0, True))
DEEP = ("conv1", "bn1", "dense2", "bn2")
"""Layers that are frozen here; `bn2` is of vectors, which the fused kernel does not take."""
CONSTANT = {"schedule": "constant", "learning_rate": 0.1}


def network() -> keras.Model:
    keras.utils.set_random_seed(1)
    image = keras.Input((6, 6, 1), name="image")
    x = keras.layers.BatchNormalization(name="bn1")(keras.layers.Conv2D(4, 3, name="conv1")(image))
    x = keras.layers.Flatten(name="flatten")(keras.layers.ReLU(name="relu1")(x))
    x = keras.layers.BatchNormalization(name="bn2")(keras.layers.Dense(6, name="dense2")(x))
    low = keras.layers.Dense(3, name="softmax0")(x)
    x = keras.layers.BatchNormalization(name="bn3")(keras.layers.Dense(5, name="dense3")(x))
    return keras.Model(image, {"softmax0": low, "softmax1": keras.layers.Dense(3, name="softmax1")(x)})


def deep(net: keras.Model) -> frozenset[str]:
    return frozenset(v.path for v in net.weights if v.path.startswith(DEEP))


def batch(number: int = 0, count: int = 12) -> tuple[tf.Tensor, tf.Tensor]:
    rng = np.random.default_rng(number)
    images = rng.normal(2.0, 3.0, size=(count, 6, 6, 1)).astype("float32")
    return tf.constant(images), tf.one_hot(rng.integers(0, 3, count), 3)


def trainer(
    steps: float = np.inf,
    observers: Sequence[Observer] = (),
    precision: str = "float32",
    synchronized: bool = False,
    **settings: Any,
) -> Trainer:
    """Return a trainer whose layers `DEEP` are frozen for so many steps."""
    training = Training.model_validate(CONSTANT | {"precision": precision} | settings)
    net = make_fast(network(), precision, synchronized).net
    frozen = Frozen(deep(net), steps)
    l2 = training.weight_decay if training.weight_decay_kind == "l2" else 0.0
    clip, parts = optim.clipping(training), training.accumulate
    made = Trainer(net, TWO, 3, Objective(l2=l2), clip, observers, accumulate=parts, frozen=frozen)
    rates = Rates(frozen=frozen)
    made.compile(optimizer=optim.optimizer(training, 100, net.trainable_variables, rates=rates), jit_compile=False)
    return made


def values(made: Trainer) -> dict[str, np.ndarray]:
    return {v.path: v.numpy() for v in made.net.weights}


def moved(made: Trainer, steps: int) -> set[str]:
    """Train; return the names of the variables that changed."""
    before = values(made)
    for number in range(steps):
        made.train_on_batch(*batch(number))
    return {name for name, value in values(made).items() if not np.array_equal(value, before[name])}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"weight_decay": 0.1},
        {"weight_decay": 0.1, "weight_decay_kind": "decoupled"},
        {"optimizer": "adamw", "weight_decay": 0.1, "ema": 0.9},
        {"clip_global_norm": 0.1},
        {"accumulate": 3},
        {"precision": "bfloat16"},
        {"precision": "float16"},
    ],
    ids=str,
)
def test_nothing_of_frozen_layers_changes_and_all_else_does(settings: dict[str, Any]) -> None:
    made = trainer(**settings)
    assert moved(made, 3) == set(values(made)) - deep(made.net)


def test_frozen_normalisation_uses_its_moving_statistics() -> None:
    """As in inference mode: the loss of the step is that of validation of the same batch and weights."""
    net = make_fast(network()).net
    made = Trainer(net, TWO, 3, frozen=Frozen(frozenset(v.path for v in net.weights if not v.path.startswith("softm"))))
    made.compile(optimizer=keras.optimizers.SGD(0.0), jit_compile=False)
    expected = {name: float(value) for name, value in made.test_on_batch(*batch(), return_dict=True).items()}
    assert float(made.train_on_batch(*batch(), return_dict=True)["softmax1_loss"]) == pytest.approx(expected["loss"])
    other = Trainer(make_fast(network()).net, TWO, 3)
    other.compile(optimizer=keras.optimizers.SGD(0.0), jit_compile=False)
    assert float(other.train_on_batch(*batch(), return_dict=True)["softmax1_loss"]) != pytest.approx(expected["loss"])


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_it_thaws_after_so_many_steps_and_not_before(precision: str) -> None:
    made = trainer(steps=4, precision=precision)
    assert moved(made, 4).isdisjoint(deep(made.net))
    assert moved(made, 1) == set(values(made))


def test_a_process_that_goes_on_after_the_thaw_begins_thawed() -> None:
    made = trainer(steps=4)
    made.steps_done = 4
    assert moved(made, 1) == set(values(made))
    made = trainer(steps=4)
    made.steps_done = 3
    assert moved(made, 1).isdisjoint(deep(made.net))


def test_each_step_of_a_thawed_network_is_one_of_a_network_that_was_never_frozen() -> None:
    made, other = trainer(steps=1), trainer(steps=0)
    moved(made, 1)
    other.steps_done = 1
    for mine, theirs in zip(made.net.weights, other.net.weights, strict=True):
        theirs.assign(mine)
    for mine, theirs in zip(made.optimizer.variables, other.optimizer.variables, strict=True):
        theirs.assign(mine)
    moved(made, 2)
    moved(other, 2)
    for mine, theirs in zip(made.net.weights, other.net.weights, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy(), err_msg=mine.path)


def test_nothing_frozen_is_the_step_that_there_was() -> None:
    """Bit for bit: the gradients of a network come from the same operations where nothing is frozen."""
    made = trainer(steps=0)
    plain = Trainer(make_fast(network()).net, TWO, 3)
    training = Training.model_validate(CONSTANT)
    plain.compile(optimizer=optim.optimizer(training, 100, plain.net.trainable_variables), jit_compile=False)
    moved(made, 3)
    moved(plain, 3)
    for mine, theirs in zip(made.net.weights, plain.net.weights, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy(), err_msg=mine.path)


class Shown(Observer):
    """Keeps for which variables it was shown a gradient, while tracing."""

    def build(self, watched: Watched) -> None:
        self.names = watched.names
        self.seen: list[tuple[str, ...]] = []

    def gradients(self, raw: Sequence[tf.Tensor | None], norm: tf.Tensor) -> None:
        self.seen.append(tuple(n for n, g in zip(self.names, raw, strict=True) if g is not None))

    def clipped(self, gradients: Sequence[tf.Tensor | None]) -> None:
        self.gradients(gradients, tf.zeros(()))


def test_observers_see_the_gradients_of_what_is_trained_at_their_places() -> None:
    shown = Shown()
    made = trainer(observers=[shown], clip_value=1.0)
    made.train_on_batch(*batch())
    names = tuple(v.path for v in made.net.trainable_variables if v.path not in deep(made.net))
    assert shown.seen == [names, names]


def test_the_norm_of_the_gradient_is_that_of_what_is_trained() -> None:
    norms = []
    for steps in (0, 1):
        made = trainer(steps=steps, observers=[GradientNorm()])
        norms.append(float(made.train_on_batch(*batch(), return_dict=True)["gradient_norm"]))
    assert 0 < norms[1] < norms[0]


def operations(made: ObservedModel) -> list[str]:
    """Return the types of the operations of a step's graph, in all its functions."""
    step = tf.function(lambda images, targets: made.train_step((images, targets)))
    graph = step.get_concrete_function(*batch()).graph
    return [node.op for function in (graph.as_graph_def(),) for node in function.node]


@pytest.mark.slow
def test_no_gradients_of_frozen_layers_are_computed() -> None:
    warm, cold = operations(trainer(steps=0)), operations(trainer())
    assert "Conv2DBackpropFilter" in warm and "FusedBatchNormGradV3" in warm
    assert "Conv2DBackpropFilter" not in cold and "FusedBatchNormGradV3" not in cold


@pytest.mark.slow
def test_the_probe_says_nothing_of_gradients_and_updates_of_frozen_layers_until_they_thaw() -> None:
    net = make_fast(network()).net
    frozen = Frozen(deep(net), 1)
    probe = Probe(1, 1, clipping=True, frozen=frozen)
    made = Trainer(net, TWO, 3, Objective(), lambda gradients: list(gradients), [probe], frozen=frozen)
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(net.trainable_variables)
    made.compile(optimizer=optimizer, jit_compile=False)
    made.train_on_batch(*batch())
    assert probe.level(range(1, 2)) is Level.HEADS
    cold = probe.sample()
    made.train_on_batch(*batch())
    warm = probe.sample()
    every = [v.path for v in net.trainable_variables]
    trained = [name for name in every if name not in frozen.names]
    for kind in ("gradient", "clipped", "update"):
        assert [name for name, _ in _rows(cold.kinds[kind])] == trained
        assert [name for name, _ in _rows(warm.kinds[kind])] == every
    for kind in ("head:softmax0", "head:softmax1"):
        assert not frozen.names & set(cold.kinds[kind].names)
        assert frozen.names & set(warm.kinds[kind].names)
    assert [name for name, _ in _rows(cold.kinds["weight"])] == every
    tags = {tag for tag in scalars(cold) if tag.partition("/")[2] in frozen.names}
    assert tags == {f"weight_norm/{name}" for name in frozen.names & set(every)}
    counts = cold.kinds["gradient"].counts
    assert counts is not None
    assert [bool(row.sum()) for row in counts] == [name in trained for name in every]


@pytest.mark.slow
def test_what_is_frozen_is_so_on_every_replica() -> None:
    code = """
import numpy as np, keras, tensorflow as tf
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2)
import test_frozen as t
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
for settings in ({"optimizer": "adamw", "weight_decay": 0.1, "ema": 0.9}, {"precision": "float16"}):
    with strategy.scope():
        made = t.trainer(2, synchronized=True, **settings)
    def fit(number):
        images, targets = t.batch(number)
        data = strategy.distribute_datasets_from_function(
            lambda _: tf.data.Dataset.from_tensor_slices((images, targets)).batch(6).repeat())
        made.fit(data, epochs=1, steps_per_epoch=1, verbose=0, shuffle=False)
    for number, expected in ((0, "cold"), (1, "cold"), (2, "warm")):
        before = t.values(made)
        fit(number)
        changed = {name for name, value in t.values(made).items() if not np.array_equal(value, before[name])}
        assert changed == set(before) - (t.deep(made.net) if expected == "cold" else set()), (number, settings)
        for variable in made.net.weights:
            one, two = (part.numpy() for part in variable.value.values)
            np.testing.assert_array_equal(one, two)
print("same")
"""
    paths = os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parent)])
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=os.environ | {"PYTHONPATH": paths})
    assert done.stdout.endswith("same\n"), done.stderr[-2000:]
