"""Pieces of graph: values of every activation, spread of every initialiser, LRN, padding, biases."""

import math
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasnets import models
from kerasnets.models import complexity, layers
from kerasnets.models.specs import ACTIVATIONS, INITIALIZERS, GoogLeNetOptions, ResNetOptions

POINTS = np.array([-2.0, -0.5, 0.0, 0.5, 3.0, 1.0], "float32")
erf = np.vectorize(math.erf)
FORMULAS: dict[str, Any] = {
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x < 0, 0.01 * x, x),
    "prelu": lambda x: np.where(x < 0, 0.25 * x, x),
    "elu": lambda x: np.where(x < 0, np.expm1(x), x),
    "selu": lambda x: 1.05070098 * np.where(x < 0, 1.67326324 * np.expm1(x), x),
    "gelu": lambda x: x * 0.5 * (1 + erf(x / math.sqrt(2))),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "maxout": lambda x: np.maximum(x[..., :3], x[..., 3:]),
}


def test_there_is_a_formula_for_every_activation() -> None:
    assert tuple(FORMULAS) == ACTIVATIONS


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("shape", [(6,), (1, 2, 6)])
def test_activation_values(activation: str, shape: tuple[int, ...]) -> None:
    inputs = keras.Input(shape)
    outputs = layers.activate(inputs, ResNetOptions(activation=activation), name="piece")
    points = np.broadcast_to(POINTS, (2, *shape))
    result = keras.Model(inputs, outputs)(points)
    np.testing.assert_allclose(result, FORMULAS[activation](points), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", ["resnet8", "lenet5"])
def test_every_activation_runs(name: str, activation: str) -> None:
    model = models.build(name, (16, 16, 1), 3, activation=activation)
    logits = np.asarray(model(np.random.default_rng(0).normal(size=(4, 16, 16, 1))))
    assert logits.shape == (4, 3)
    assert np.isfinite(logits).all()
    assert np.ptp(logits, axis=0).max() > 1e-4  # the image is felt
    assert len([layer for layer in model.layers if layer.name.endswith(f"_{activation}")]) == 4


@pytest.mark.parametrize("activation", ["relu", "prelu", "maxout"])
def test_every_activation_of_googlenet_is_the_chosen_one(activation: str) -> None:
    model = complexity.outline("googlenet", (16, 16, 1), 3, activation=activation)
    convolutions = 3 + 9 * 6 + 2
    assert len([layer for layer in model.layers if layer.name.endswith(f"_{activation}")]) == convolutions + 2


def test_prelu_has_one_slope_a_channel() -> None:
    model = models.build("resnet8", activation="prelu")
    assert model.get_layer("conv1_prelu").alpha.shape == (1, 1, 16)


def test_maxout_doubles_the_kernels_before_it_and_keeps_the_channels() -> None:
    model = models.build("resnet8", activation="maxout")
    assert model.get_layer("conv3_block1_1_conv").kernel.shape == (3, 3, 16, 64)
    assert model.get_layer("conv3_block1_2_conv").kernel.shape == (3, 3, 32, 32)
    assert model.get_layer("conv3_block1_out_pieces").kernel.shape == (32, 64)
    assert model.get_layer("conv3_block1_out").output.shape == (None, 16, 16, 32)


FAN_IN, FAN_OUT = 3 * 3 * 64, 3 * 3 * 128
VARIANCES = {
    "he_normal": 2 / FAN_IN,
    "he_uniform": 2 / FAN_IN,
    "glorot_normal": 2 / (FAN_IN + FAN_OUT),
    "glorot_uniform": 2 / (FAN_IN + FAN_OUT),
    "lecun_normal": 1 / FAN_IN,
    "lecun_uniform": 1 / FAN_IN,
    "normal": 0.03**2,
}


@pytest.mark.parametrize("initializer", INITIALIZERS)
def test_initializers_have_their_variance_and_shape(initializer: str) -> None:
    keras.utils.set_random_seed(3)
    options = ResNetOptions(initializer=initializer, initializer_std=0.03)
    image = keras.Input((8, 8, 64))
    model = keras.Model(image, layers.conv(image, 128, 3, options, name="one"))
    kernel = np.asarray(model.get_layer("one_conv").kernel)
    deviation = math.sqrt(VARIANCES[initializer])
    assert kernel.std() == pytest.approx(deviation, rel=0.01)
    bounded = np.abs(kernel).max() <= math.sqrt(3) * deviation * 1.001
    assert bounded == initializer.endswith("uniform")


@pytest.mark.parametrize("initializer", INITIALIZERS)
@pytest.mark.parametrize("name", ["resnet8", "lenet5"])
def test_every_initializer_runs_and_no_two_kernels_are_alike(name: str, initializer: str) -> None:
    model = models.build(name, (16, 16, 1), 3, initializer=initializer)
    assert np.isfinite(model(np.ones((1, 16, 16, 1), "float32"))).all()
    kernels = [np.asarray(layer.kernel) for layer in model.layers if hasattr(layer, "kernel")]
    starts = [round(float(kernel.ravel()[0]), 9) for kernel in kernels]
    assert len(set(starts)) == len(starts)


@pytest.mark.parametrize("activation", ["relu", "maxout"])
@pytest.mark.parametrize("name", ["plain8", "googlenet", "lenet5"])
def test_every_bias_starts_at_the_wanted_value(name: str, activation: str) -> None:
    model = models.build(name, (16, 16, 1), 3, normalization="none", activation=activation, bias=-0.5)
    biases = [variable for variable in model.trainable_variables if variable.path.endswith("/bias")]
    assert len(biases) == len([layer for layer in model.layers if hasattr(layer, "kernel")])
    assert all((np.asarray(bias) == -0.5).all() for bias in biases)


def test_local_response_normalisation_is_that_of_tensorflow() -> None:
    x = 30 * np.random.default_rng(0).normal(size=(2, 5, 4, 9)).astype("float32")
    image = keras.Input((5, 4, 9))
    model = keras.Model(image, layers.local_response_norm(image, name="lrn"))
    expected = tf.nn.local_response_normalization(x, depth_radius=2, bias=1, alpha=1e-4 / 5, beta=0.75)
    np.testing.assert_allclose(model(x), expected, rtol=1e-5)
    assert np.abs(np.asarray(expected) - x).max() > 1  # the division is felt
    assert [layer.name for layer in model.layers][1:] == ["lrn"]
    assert model.count_params() == 0


def test_a_strided_convolution_pads_all_sides_alike() -> None:
    image = keras.Input((4, 4, 1))
    options = ResNetOptions(initializer="normal")
    model = keras.Model(image, layers.conv(image, 1, 3, options, name="one", strides=2, normalized=True))
    model.get_layer("one_conv").kernel.assign(np.ones((3, 3, 1, 1)))
    # `same` would pad below and on the right alone, and the sums would be 9, 6, 6 and 4
    assert np.asarray(model(np.ones((1, 4, 4, 1))))[0, :, :, 0].tolist() == [[4, 6], [6, 9]]


@pytest.mark.parametrize(
    ("options", "biased"),
    [
        (ResNetOptions(), False),
        (ResNetOptions(normalization="none"), True),
        (ResNetOptions(conv_bias=True), True),
        (ResNetOptions(normalization="none", conv_bias=False), False),
        (GoogLeNetOptions(), True),
        (GoogLeNetOptions(normalization="batch"), False),
    ],
)
def test_a_convolution_has_a_bias_where_no_normalisation_follows(options: Any, biased: bool) -> None:
    image = keras.Input((4, 4, 1))
    model = keras.Model(image, layers.unit(image, 2, 3, options, name="one"))
    assert model.get_layer("one_conv").use_bias is biased


def test_batch_normalisation_takes_epsilon_and_momentum_from_the_options() -> None:
    model = models.build("resnet8", bn_epsilon=1.001e-5, bn_momentum=0.8)
    found = {(layer.epsilon, layer.momentum) for layer in model.layers if "bn" in layer.name}
    assert found == {(1.001e-5, 0.8)}
