"""Rates of layers: what an optimizer does with them is the arithmetic of its own class, a variable at a time."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasnets.config import Training
from kerasnets.telemetry.frozen import Frozen
from kerasnets.training import optim
from kerasnets.training.layerwise import Rates

STEPS = 100
KERNEL, BIAS = "dense/kernel", "dense/bias"


def variables() -> list[keras.Variable]:
    layer = keras.layers.Dense(2, name="dense", kernel_initializer="ones", bias_initializer="ones")
    layer.build((None, 3))
    return layer.trainable_variables


def made(own: Sequence[keras.Variable], rates: Rates, **settings: object) -> keras.optimizers.Optimizer:
    constant = {"schedule": "constant", "learning_rate": 0.5}
    return optim.optimizer(Training.model_validate(constant | settings), STEPS, own, rates=rates)


def gradients(step: int) -> list[tf.Tensor]:
    rng = np.random.default_rng(step)
    return [tf.constant(rng.normal(size=shape).astype("float32")) for shape in ((3, 2), (2,))]


def after(steps: Sequence[Sequence[str]], rates: Rates, **settings: object) -> dict[str, np.ndarray]:
    """Apply a gradient for each of the variables that are named for each step; return what they are then."""
    own = variables()
    optimizer = made(own, rates, **settings)
    for number, names in enumerate(steps):
        pairs = [(g, v) for g, v in zip(gradients(number), own, strict=True) if v.path in names]
        optimizer.apply([g for g, _ in pairs], [v for _, v in pairs])
    return {v.path: v.numpy() for v in own}


BOTH: Sequence[Sequence[str]] = [(KERNEL, BIAS)] * 3
DECOUPLED: Mapping[str, object] = {"weight_decay": 0.1, "weight_decay_kind": "decoupled"}


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("settings", [{}, DECOUPLED], ids=["no decay", "decoupled"])
def test_a_multiplier_is_another_rate_for_that_variable(name: str, settings: Mapping[str, object]) -> None:
    found = after(BOTH, Rates({KERNEL: 0.1, BIAS: 1.0}), optimizer=name, **settings)
    slow = after(BOTH, Rates(), optimizer=name, learning_rate=0.05, **settings)
    fast = after(BOTH, Rates(), optimizer=name, **settings)
    np.testing.assert_allclose(found[KERNEL], slow[KERNEL], rtol=1e-6)
    np.testing.assert_allclose(found[BIAS], fast[BIAS], rtol=1e-6)
    assert np.abs(slow[KERNEL] - fast[KERNEL]).max() > 0.01


def test_an_optimizer_whose_rates_are_alike_knows_no_rates() -> None:
    assert type(made(variables(), Rates({KERNEL: 1.0}))) is optim.SGD
    assert type(made(variables(), Rates({KERNEL: 0.5}))) is not optim.SGD


@pytest.mark.parametrize("name", ["adam", "adamw"])
@pytest.mark.parametrize("settings", [{}, DECOUPLED], ids=["no decay", "decoupled"])
def test_a_variable_that_thaws_is_updated_as_by_an_optimizer_that_begins(
    name: str, settings: Mapping[str, object]
) -> None:
    cold = Rates(frozen=Frozen(frozenset({KERNEL}), 4))
    found = after([(BIAS,)] * 4 + [(BIAS, KERNEL)] * 5, cold, optimizer=name, **settings)
    fresh = variables()
    optimizer = made(fresh, Rates(), optimizer=name, **settings)
    for number in range(4, 9):
        optimizer.apply(gradients(number), fresh)
    np.testing.assert_allclose(found[KERNEL], fresh[0].numpy(), rtol=1e-5)
    np.testing.assert_allclose(
        found[BIAS], after([(KERNEL, BIAS)] * 9, Rates(), optimizer=name, **settings)[BIAS], rtol=1e-6
    )


@pytest.mark.slow
def test_without_that_the_first_updates_after_a_thaw_are_three_to_six_times_too_large() -> None:
    """What the correction is for; Adam's update of a steady gradient is the learning rate."""
    own = variables()
    optimizer = made(own, Rates(), optimizer="adam", learning_rate=1e-3)
    steady = [tf.ones((3, 2)), tf.ones(2)]
    for _ in range(1000):
        optimizer.apply(steady[1:], own[1:])
    moved = []
    for _ in range(20):
        before = own[0].numpy()
        optimizer.apply(steady, own)
        moved.append(float((before - own[0].numpy()).max()) / 1e-3)
    assert 2.4 < moved[0] < 3.2
    assert 5.0 < max(moved) < 6.5


@pytest.mark.parametrize("kind", ["l2", "decoupled"])
def test_what_is_frozen_does_not_decay(kind: str) -> None:
    rates = Rates(frozen=Frozen(frozenset({KERNEL})))
    found = after([(BIAS,)] * 3, rates, weight_decay=0.1, weight_decay_kind=kind)
    assert found[KERNEL].tolist() == np.ones((3, 2)).tolist()
    assert (found[BIAS] != 1).all()


def test_the_average_of_what_is_frozen_is_what_it_is_to_the_last_bit() -> None:
    own = variables()
    own[0].assign(np.random.default_rng(0).normal(size=(3, 2)))
    optimizer = made(own, Rates(frozen=Frozen(frozenset({KERNEL}), 30)), ema=0.97)
    for number in range(30):
        optimizer.apply(gradients(number)[1:], own[1:])
    kernel, bias = optimizer._model_variables_moving_average
    np.testing.assert_array_equal(kernel.numpy(), own[0].numpy())
    assert not np.array_equal(bias.numpy(), own[1].numpy())
    before = own[0].numpy()
    optimizer.apply(gradients(30), own)
    np.testing.assert_allclose(kernel.numpy(), 0.97 * before + 0.03 * own[0].numpy(), rtol=1e-6)


def test_float16_scales_the_loss_of_an_optimizer_with_rates_of_layers_too() -> None:
    own = variables()
    optimizer = made(own, Rates({KERNEL: 0.1}, Frozen(frozenset({BIAS}))), precision="float16", momentum=0.0)
    scaled = [optimizer.scale_loss(tf.ones(())) * gradients(0)[0]]
    optimizer.apply(scaled, own[:1])
    np.testing.assert_allclose(own[0].numpy(), 1 - 0.05 * gradients(0)[0].numpy(), rtol=1e-5)
    assert own[1].numpy().tolist() == [1.0, 1.0]
