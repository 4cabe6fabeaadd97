"""Gradient accumulation: a batch in parts makes the step that it makes as one."""

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
from kerasnets.telemetry.observers import Forward, GradientNorm, Observer
from kerasnets.telemetry.probe import Probe
from kerasnets.telemetry.record import STATISTICS
from kerasnets.training.fast import make_fast
from kerasnets.training.normalization import FusedBatchNormalization
from kerasnets.training.step import Objective, Trainer

L2 = STATISTICS.index("l2")
HEADS = (Head("softmax0", 0.3, False), Head("softmax1", 0.3, False), Head("softmax2", 1.0, True))
CLASSES = 5
IMAGES = np.random.default_rng(0).normal(size=(27, 8, 8, 1)).astype("float32")
LABELS = np.random.default_rng(1).integers(0, 5, 27)
SIZES = (12, 12, 3)
"""Of the batches of an epoch; the last has fewer images than there are parts."""


def network(normalised: bool = False) -> keras.Model:
    keras.utils.set_random_seed(1)
    layers = keras.layers
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(4, 3, name="conv")(image)
    x = layers.BatchNormalization(momentum=0.5, name="bn")(x) if normalised else x
    low = layers.Flatten(name="flatten")(layers.Activation("relu", name="relu")(x))
    high = layers.Dense(8, activation="tanh", name="dense")(low)
    sources = {"softmax2": high, "softmax0": low, "softmax1": low}
    return keras.Model(image, {name: layers.Dense(CLASSES, name=name)(sources[name]) for name in sources})


def data() -> tf.data.Dataset:
    targets, ends = tf.one_hot(LABELS, CLASSES), np.cumsum(SIZES).tolist()

    def batch(start: tf.Tensor, end: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.constant(IMAGES)[start:end], targets[start:end]

    return tf.data.Dataset.from_tensor_slices(([0, *ends[:-1]], ends)).map(batch)


def optimizer(scaled: bool = False) -> keras.optimizers.Optimizer:
    sgd = keras.optimizers.SGD(0.05, momentum=0.9)
    return keras.optimizers.LossScaleOptimizer(sgd, initial_scale=1024.0) if scaled else sgd


class Recorder(Observer):
    """Keeps what it saw last."""

    def __init__(self) -> None:
        self.seen: dict[str, tf.Variable] = {}

    def keep(self, name: str, value: tf.Tensor) -> None:
        if name not in self.seen:
            with tf.init_scope():
                self.seen[name] = tf.Variable(tf.zeros([0]), shape=tf.TensorShape(None), validate_shape=False)
        self.seen[name].assign(value)

    def forward(self, seen: Forward) -> None:
        self.keep("images", seen.images)
        self.keep("loss", seen.loss)
        self.keep("output", seen.outputs["softmax2"])
        self.keep("activation", seen.activations["relu"])

    def gradients(self, raw: Sequence[tf.Tensor | None], norm: tf.Tensor) -> None:
        for place, gradient in enumerate(raw):
            self.keep(f"gradient {place}", gradient)


def trained(parts: int, net: keras.Model, *observers: Observer, scaled: bool = False, **settings: Any) -> Trainer:
    trainer = Trainer(net, HEADS, CLASSES, observers=observers, accumulate=parts, **settings)
    trainer.compile(optimizer=optimizer(scaled), jit_compile=False)
    trainer.history = trainer.fit(data(), epochs=2, verbose=0, shuffle=False).history
    return trainer


def clip(gradients: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
    return tf.clip_by_global_norm(list(gradients), 0.1)[0]


def assert_close(found: keras.Model, expected: keras.Model, tolerance: float) -> None:
    for a, b in zip(found.weights, expected.weights, strict=True):
        assert a.path == b.path
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=tolerance * np.abs(b.numpy()).max(), err_msg=a.path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scaled", "settings"),
    [
        (False, {}),
        (False, {"objective": Objective(0.1, (1, 2, 3, 4, 5), 0.01), "clip": clip}),
        pytest.param(True, {}, marks=pytest.mark.slow),
    ],
    ids=["plain", "objective", "scaled"],
)
def test_parts_make_the_step_of_the_whole(scaled: bool, settings: dict[str, Any]) -> None:
    start = network()
    one, four = (trained(parts, network(), GradientNorm(), scaled=scaled, **settings) for parts in (1, 4))
    assert_close(four.net, one.net, 1e-6)
    assert not np.allclose(one.net.weights[0].numpy(), start.weights[0].numpy(), atol=1e-3)
    assert four.history.keys() == one.history.keys()
    for name, values in one.history.items():
        assert four.history[name] == pytest.approx(values, rel=2e-6), name


def test_observers_see_the_batch_and_its_first_part() -> None:
    one, four = Recorder(), Recorder()
    trained(1, network(), one)
    trained(4, network(), four)
    assert [len(four.seen[name].numpy()) for name in ("images", "output", "activation")] == [3, 1, 1]  # the last batch
    np.testing.assert_allclose(four.seen["output"], one.seen["output"][:1], rtol=1e-4, atol=1e-5)
    for name in one.seen:
        if name.startswith(("gradient", "loss")):
            np.testing.assert_allclose(four.seen[name], one.seen[name], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_sampled_steps_show_the_gradients_of_the_batch() -> None:
    probes, ends = [Probe(1, 1), Probe(1, 1)], []
    for parts, probe in zip((1, 4), probes, strict=True):
        ends.append(trained(parts, network(), GradientNorm(), probe).net)
    assert_close(ends[1], ends[0], 1e-6)
    one, four = (probe.sample() for probe in probes)
    for kind in ("gradient", "weight", "update"):
        assert four.kinds[kind].moments[:, L2] == pytest.approx(one.kinds[kind].moments[:, L2], rel=1e-4)
    assert (four.kinds["head:softmax0"].moments[:, L2] > 0).all()
    assert four.inference_loss is not None and np.isfinite(four.inference_loss)
    losses = [[loss for _, loss, _, _ in probe.steps(1, 6)] for probe in probes]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


@pytest.mark.parametrize("eager", [False, True], ids=["graph", "eager"])
def test_a_model_of_ones_own_with_sample_weights(eager: bool) -> None:
    weights = np.linspace(0.1, 2, 27).astype("float32")
    ends = []
    for parts in (1, 5):
        keras.utils.set_random_seed(0)
        image = keras.Input((8, 8, 1))
        net = keras.Model(image, keras.layers.Dense(CLASSES, name="logits")(keras.layers.Flatten()(image)))
        model = ObservedModel(net, accumulate=parts)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("sgd", loss, weighted_metrics=["accuracy"], jit_compile=False, run_eagerly=eager)
        history = model.fit(IMAGES, LABELS, 12, 1, sample_weight=weights, verbose=0, shuffle=False).history
        ends.append((net, history))
    assert_close(ends[1][0], ends[0][0], 1e-6)
    assert ends[1][1]["loss"] == pytest.approx(ends[0][1]["loss"], rel=1e-6)
    assert ends[1][1]["accuracy"] == ends[0][1]["accuracy"]


def test_batch_normalisation_sees_parts() -> None:
    trainer = Trainer(make_fast(network(normalised=True)).net, HEADS, CLASSES, accumulate=3)
    trainer.compile(optimizer=optimizer(), jit_compile=False)
    layer, conv = trainer.net.get_layer("bn"), trainer.net.get_layer("conv")
    assert isinstance(layer, FusedBatchNormalization)
    features = conv(IMAGES[:12]).numpy()
    targets = np.eye(CLASSES, dtype="float32")[LABELS[:12]]
    losses = [float(trainer.train_on_batch(IMAGES[:12], targets)[0])]
    expected = np.zeros(4)
    for part in (features[4:8], features[8:], features[:4]):
        expected = 0.5 * expected + 0.5 * part.mean(axis=(0, 1, 2))
    np.testing.assert_allclose(layer.moving_mean.numpy(), expected, rtol=1e-4, atol=1e-6)
    losses += [float(trainer.train_on_batch(IMAGES[:12], targets)[0]) for _ in range(15)]
    assert losses[-1] < losses[0]


def test_xla_is_refused() -> None:
    with pytest.raises(ValueError, match="compile with jit_compile=False"):
        model = ObservedModel(network(), accumulate=2)
        model.compile("sgd", "mse")
        model._jit_compile = True  # as compile sets it, but where a process has deterministic operations
        model.train_on_batch(IMAGES, {name: np.zeros((27, CLASSES)) for name in model.output_names})


MEMORY = """
import sys
from pathlib import Path
import numpy as np, keras, tensorflow as tf
from kerasnets.models.specs import Head
from kerasnets.training.step import Trainer

def peak():  # not ru_maxrss, which a child has from its parent
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))

image = x = keras.Input((64, 64, 3))
for depth in range(6):
    x = keras.layers.Conv2D(16, 3, padding="same", activation="relu", name=f"conv{depth}")(x)
net = keras.Model(image, keras.layers.Dense(7, name="logits")(keras.layers.GlobalAveragePooling2D()(x)))
trainer = Trainer(net, [Head("logits", 1.0, True)], 7, accumulate=int(sys.argv[1]))
trainer.compile(optimizer="sgd", jit_compile=False)
images, targets = np.zeros((96, 64, 64, 3), "float32"), np.eye(7, dtype="float32")[np.arange(96) % 7]
trainer.train_on_batch(images[:8], targets[:8])
before = peak()
trainer.train_on_batch(images, targets)
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="Linux alone tells a process's own peak")
def test_activations_need_less_memory() -> None:
    """Six layers of 96 x 64 x 64 x 16 float32 are 144 MiB; in eight parts, 18."""
    grown = []
    for parts in ("1", "8"):
        command = [sys.executable, "-c", MEMORY, parts]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
        grown.append(float(done.stdout))
    assert grown[0] > 80 and grown[1] < grown[0] / 3, grown
