"""The first NaN or Inf: where it is said to be, and what is none."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest

from kerasnets.telemetry.nonfinite import NonFinite, Trouble
from kerasnets.telemetry.observed import ObservedModel

Step = tuple[np.ndarray, np.ndarray]


def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 6, 1), name="image")
    x = keras.layers.Conv2D(3, 3, name="first")(image)
    x = keras.layers.Activation("softplus", name="first_softplus")(x)
    x = keras.layers.Dense(4, activation="softplus", name="second")(keras.layers.Flatten(name="flatten")(x))
    x = keras.layers.Activation(lambda y: 1 / y, name="inverse")(x)
    return keras.Model(image, keras.layers.Dense(2, name="logits")(x))


def batch() -> Step:
    rng = np.random.default_rng(0)
    return rng.normal(size=(4, 6, 6, 1)).astype("float32"), rng.integers(0, 2, 4)


class Watched:
    """A model that is traced once and set back for each test."""

    def __init__(self, optimizer: Any = None) -> None:
        self.observer = NonFinite(scaled=isinstance(optimizer, keras.optimizers.LossScaleOptimizer))
        self.model = ObservedModel(network(), [self.observer])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model.compile(optimizer or keras.optimizers.SGD(0.01), loss, jit_compile=False)
        self.weights = self.model.net.get_weights()
        self.steps = 0

    def step(self, images: np.ndarray | None = None) -> Trouble | None:
        fine, labels = batch()
        self.model.train_on_batch(fine if images is None else images, labels)
        self.steps += 1
        return self.observer.found()

    def reset(self) -> None:
        self.model.net.set_weights(self.weights)
        self.model.optimizer.learning_rate = 0.01
        self.observer.reset()


@pytest.fixture(scope="module")
def traced() -> Watched:
    return Watched()


@pytest.fixture
def watched(traced: Watched) -> Iterator[Watched]:
    traced.reset()
    yield traced


def put(watched: Watched, layer: str, value: float) -> None:
    kernel = watched.model.net.get_layer(layer).kernel
    values = kernel.numpy()
    values.flat[0] = value
    kernel.assign(values)


def test_a_healthy_run_has_none(watched: Watched) -> None:
    assert [watched.step() for _ in range(3)] == [None] * 3


@pytest.mark.parametrize("layer", ["first", "second", "logits"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_poisoned_weight_is_named(layer: str, value: float, watched: Watched) -> None:
    assert watched.step() is None
    put(watched, layer, value)
    assert watched.step() == Trouble(watched.steps, "weight", f"{layer}/kernel")


def test_a_weight_that_a_relu_would_hide_is_found_by_looking_at_it(watched: Watched) -> None:
    watched.step()
    assert watched.observer.broken_weight() is None
    put(watched, "second", np.nan)
    assert watched.observer.broken_weight() == Trouble(watched.steps, "weight", "second/kernel")


def test_the_first_of_two_weights_is_named(watched: Watched) -> None:
    put(watched, "logits", np.nan)
    put(watched, "second", np.nan)
    assert watched.step() == Trouble(watched.steps, "weight", "second/kernel")


def test_a_broken_image_is_named_before_all_that_follows_from_it(watched: Watched) -> None:
    images = batch()[0]
    images[1, 2, 3] = np.nan
    found = watched.step(images)
    assert found == Trouble(watched.steps, "input", "image")
    assert found.words == f"step {watched.steps}: the input of image is not finite"


def test_an_activation_that_overflows_is_named(watched: Watched) -> None:
    layer = watched.model.net.get_layer("second")
    layer.kernel.assign(layer.kernel * 0)
    layer.bias.assign([-1e4, 0, 0, 0])  # softplus gives 0, and 1 / 0 follows
    assert watched.step() == Trouble(watched.steps, "activation", "inverse")


def test_a_gradient_that_overflows_is_named_where_it_arose(watched: Watched) -> None:
    layer = watched.model.net.get_layer("second")
    layer.kernel.assign(layer.kernel * 0)
    layer.bias.assign([-60.0, 0, 0, 0])  # 1 / y is 1e26 and its slope 1e52
    watched.model.net.get_layer("logits").kernel.assign(np.full((4, 2), 1e-3) * [[1, -1]])
    found = watched.step()
    assert found is not None
    assert (found.kind, found.layer) == ("gradient", "second/bias")


def test_a_norm_that_overflows_alone(watched: Watched) -> None:
    images = batch()[0] * 1e25  # gradients of some 1e24, whose squares are infinite
    kernel = watched.model.net.get_layer("first").kernel
    kernel.assign(kernel * 1e-25)
    found = watched.step(images)
    assert found == Trouble(watched.steps, "gradient_norm", "")
    assert found.words == f"step {watched.steps}: the gradient norm is not finite"


def test_an_exploding_learning_rate_is_found_within_few_steps(watched: Watched) -> None:
    watched.model.optimizer.learning_rate = 1e30
    found = [watched.step() for _ in range(4)]
    assert found[0] is None
    assert found[-1] is not None and found[-1].kind in {"weight", "activation", "loss", "gradient"}


def test_only_the_first_is_kept_until_reset(watched: Watched) -> None:
    put(watched, "second", np.nan)
    first = watched.step()
    assert first is not None
    images = batch()[0] * np.nan
    assert watched.step(images) == first
    watched.reset()
    assert watched.observer.found() is None
    assert watched.step() is None
    assert watched.step(images) == Trouble(first.step + 3, "input", "image")


def test_gradients_that_overflow_by_loss_scaling_are_no_trouble() -> None:
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01), initial_scale=3e38)
    watched = Watched(optimizer)
    assert [watched.step() for _ in range(2)] == [None, None]
    assert float(optimizer.dynamic_scale.numpy()) < 3e38  # there was an overflow, which the optimizer skipped
    put(watched, "first", np.nan)
    assert watched.step() == Trouble(3, "weight", "first/kernel")


def test_several_steps_at_once_name_the_one_of_them() -> None:
    observer = NonFinite()
    model = ObservedModel(network(), [observer])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01), loss, jit_compile=False, steps_per_execution=4)
    images, labels = (np.concatenate([part] * 8) for part in batch())
    images[4 * 5 + 1] = np.inf
    model.fit(images, labels, batch_size=4, epochs=1, shuffle=False, verbose=0)
    assert observer.found() == Trouble(6, "input", "image")
