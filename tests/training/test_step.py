"""The training step: losses, clipping, decay, observers. Checked against the same arithmetic written out."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasnets.models.specs import Head
from kerasnets.telemetry.observers import Forward, GradientNorm, Observer, Watched
from kerasnets.training.step import Objective, Trainer, is_kernel

ONE = (Head("softmax", 1.0, True),)
THREE = (Head("softmax0", 0.3, False), Head("softmax1", 0.3, False), Head("softmax2", 1.0, True))


def network(heads: Sequence[Head], classes: int = 7) -> keras.Model:
    keras.utils.set_random_seed(1)
    image = keras.Input((6, 6, 1), name="image")
    x = keras.layers.Conv2D(4, 3, name="conv")(image)
    x = keras.layers.BatchNormalization(name="bn")(x)
    x = keras.layers.Flatten(name="flatten")(keras.layers.ReLU(name="relu")(x))
    outputs = {head.name: keras.layers.Dense(classes, name=head.name)(x) for head in heads}
    return keras.Model(image, outputs if len(heads) > 1 else outputs[heads[0].name])


def batch(classes: int = 7) -> tuple[tf.Tensor, tf.Tensor]:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(5, 6, 6, 1)).astype("float32")
    return tf.constant(images), tf.one_hot(rng.integers(0, classes, 5), classes)


def trained(heads: Sequence[Head] = ONE, rate: float = 0.1, **settings: Any) -> tuple[Trainer, dict[str, float]]:
    trainer = Trainer(network(heads), heads, 7, **settings)
    trainer.compile(optimizer=keras.optimizers.SGD(rate), jit_compile=False)
    logs = trainer.train_on_batch(*batch(), return_dict=True)
    return trainer, {name: float(value) for name, value in logs.items()}


class Recorder(Observer):
    """Keeps what it is shown, in variables, and the order of calls while tracing."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.raw: list[tf.Variable] = []

    def build(self, watched: Watched) -> None:
        self.names = list(watched.names)
        self.raw = [tf.Variable(tf.zeros(v.shape)) for v in watched.variables]
        self.final = [tf.Variable(tf.zeros(v.shape)) for v in watched.variables]

    def forward(self, seen: Forward) -> None:
        self.calls.append(f"forward {sorted(seen.outputs)} {sorted(seen.activations)}")

    def gradients(self, raw: Sequence[tf.Tensor | None], norm: tf.Tensor) -> None:
        self.calls.append("gradients")
        for kept, gradient in zip(self.raw, raw, strict=True):
            kept.assign(gradient)

    def clipped(self, gradients: Sequence[tf.Tensor | None]) -> None:
        self.calls.append("clipped")
        for kept, gradient in zip(self.final, gradients, strict=True):
            kept.assign(gradient)

    def applied(self) -> None:
        self.calls.append("applied")


def test_loss_is_the_weighted_sum_of_the_heads() -> None:
    _, logs = trained(THREE)
    expected = 0.3 * logs["softmax0_loss"] + 0.3 * logs["softmax1_loss"] + logs["softmax2_loss"]
    assert logs["loss"] == pytest.approx(expected, rel=1e-6)
    assert logs["accuracy"] == logs["softmax2_accuracy"]


def test_logs_of_one_head_have_plain_names() -> None:
    assert set(trained()[1]) == {"loss", "accuracy", "top5"}


def test_logs_of_three_heads() -> None:
    per_head = {f"{head.name}_{metric}" for head in THREE for metric in ("loss", "accuracy", "top5")}
    assert set(trained(THREE)[1]) == {"loss", "accuracy", "top5"} | per_head


def test_validation_sees_the_main_head_alone() -> None:
    trainer, _ = trained(THREE)
    images, targets = batch()
    logs = trainer.test_on_batch(images, targets, return_dict=True)
    logits = trainer.net(images, training=False)["softmax2"]
    expected = keras.losses.categorical_crossentropy(targets, logits, from_logits=True)
    assert set(logs) == {"loss", "accuracy", "top5"}
    assert float(logs["loss"]) == pytest.approx(float(tf.reduce_mean(expected)), rel=1e-5)


def test_observers_see_every_point_in_order_with_plain_names() -> None:
    recorder = Recorder()
    trained(observers=[recorder])
    assert recorder.calls == ["forward ['softmax'] ['relu', 'softmax']", "gradients", "clipped", "applied"]
    assert recorder.names == ["conv/kernel", "conv/bias", "bn/gamma", "bn/beta", "softmax/kernel", "softmax/bias"]


def test_weights_move_by_the_gradient_that_observers_see() -> None:
    recorder = Recorder()
    before = [variable.numpy() for variable in network(ONE).trainable_variables]
    trainer, _ = trained(observers=[recorder], rate=0.5)
    for start, variable, gradient in zip(before, trainer.net.trainable_variables, recorder.final, strict=True):
        np.testing.assert_allclose(variable.numpy(), start - 0.5 * gradient.numpy(), atol=1e-6)


def test_l2_joins_kernels_alone_after_clipping() -> None:
    recorder = Recorder()
    weights = [variable.numpy() for variable in network(ONE).trainable_variables]
    trained(observers=[recorder], objective=Objective(l2=0.1), clip=lambda gradients: [0 * g for g in gradients])
    for name, weight, final in zip(recorder.names, weights, recorder.final, strict=True):
        expected = 0.1 * weight if name.endswith("kernel") else 0 * weight
        np.testing.assert_allclose(final.numpy(), expected, atol=1e-7)
    assert max(np.abs(raw.numpy()).max() for raw in recorder.raw) > 0.01


@pytest.mark.parametrize(
    ("smoothing", "weights"), [(0.1, None), (0.0, (1, 2, 3, 4, 5, 6, 7)), (0.2, (7, 6, 5, 4, 3, 2, 1))]
)
def test_smoothing_and_class_weights(smoothing: float, weights: tuple[float, ...] | None) -> None:
    _, logs = trained(objective=Objective(smoothing, weights))
    images, targets = batch()
    logits = network(ONE)(images, training=True)
    losses = keras.losses.categorical_crossentropy(targets, logits, from_logits=True, label_smoothing=smoothing)
    scale = np.asarray(weights or [1.0] * 7)[np.argmax(targets, axis=1)]
    assert logs["loss"] == pytest.approx(float(np.mean(losses * scale)), rel=1e-5)


def test_float16_shows_unscaled_gradients() -> None:
    plain, scaled = Recorder(), Recorder()
    trained(observers=[plain])
    trainer = Trainer(network(ONE), ONE, 7, observers=[scaled])
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=1024.0)
    trainer.compile(optimizer=optimizer, jit_compile=False)
    trainer.train_on_batch(*batch())
    for expected, found in zip(plain.raw, scaled.raw, strict=True):
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-4, atol=1e-6)


def test_logs_hold_the_global_norm() -> None:
    recorder = Recorder()
    _, logs = trained(observers=[recorder, GradientNorm()])
    norm = np.sqrt(sum(np.sum(raw.numpy() ** 2) for raw in recorder.raw))
    assert logs["gradient_norm"] == pytest.approx(norm, rel=1e-5)


@pytest.mark.slow
def test_steps_that_loss_scaling_skips_are_not_in_the_mean_norm() -> None:
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1e-9), initial_scale=2.0**127)
    heavy = Objective(class_weights=(1e3,) * 7)
    trainer = Trainer(network(ONE), ONE, 7, heavy, observers=[GradientNorm()])
    trainer.compile(optimizer=optimizer, jit_compile=False)
    norms = [trainer.train_on_batch(*batch(), return_dict=True)["gradient_norm"] for _ in range(20)]
    assert optimizer.dynamic_scale < 2.0**127
    assert norms[0] == 0 and np.isfinite(norms).all()
    _, logs = trained(objective=heavy, rate=1e-9, observers=[GradientNorm()])
    assert norms[-1] == pytest.approx(logs["gradient_norm"], rel=1e-2)


def test_kernels_are_told_from_the_rest() -> None:
    kernels = [v.path for v in network(ONE).variables if is_kernel(v)]
    assert kernels == ["conv/kernel", "softmax/kernel"]
