"""Counting, checked by hand on a model small enough to do so."""

import json

import keras
import pytest
from keras import layers

from kerasnets.models import complexity
from kerasnets.models.complexity import Complexity, Stage
from kerasnets.models.layers import conv
from kerasnets.models.specs import GoogLeNetOptions


def small() -> keras.Model:
    image = keras.Input((8, 6, 3), name="image")
    x = layers.Conv2D(5, 3, padding="same", use_bias=False, name="conv1_conv")(image)
    x = layers.BatchNormalization(name="conv1_bn")(x)
    x = layers.DepthwiseConv2D(3, 2, padding="same", name="conv2_block1_conv")(x)
    x = layers.Conv2D(10, 1, groups=5, use_bias=False, name="conv2_block2_conv")(x)
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    return keras.Model(image, layers.Dense(4, name="softmax")(x))


def test_costs_by_stage() -> None:
    assert complexity.stages(small()) == [
        Stage("conv1", (8, 6, 5), Complexity(3 * 9 * 5 + 4 * 5, 3 * 9 * 5 + 2 * 5, 48 * 3 * 9 * 5, 48 * 5)),
        Stage("conv2", (4, 3, 10), Complexity(9 * 5 + 5 + 10, 9 * 5 + 5 + 10, 12 * 9 * 5 + 12 * 10, 12 * 5 + 12 * 10)),
        Stage("avg_pool", (10,), Complexity(0, 0, 0, 0)),
        Stage("softmax", (4,), Complexity(44, 44, 40, 4)),
    ]


def test_the_whole_is_the_sum_of_its_stages() -> None:
    assert complexity.count(small()) == Complexity(259, 249, 6480 + 660 + 40, 240 + 180 + 4)


def test_frozen_layers_are_not_trainable() -> None:
    model = small()
    model.get_layer("softmax").trainable = False
    assert complexity.count(model).trainable == 249 - 44


def test_an_outline_has_the_shapes_of_the_model_and_no_values() -> None:
    model = complexity.outline("resnet8", (16, 16, 1), 3)
    assert (model.input_shape, model.output_shape) == ((None, 16, 16, 1), (None, 3))
    assert all(weight._value is None for weight in model.weights)


@pytest.mark.parametrize(("reduction", "parameters"), [(None, [153_632]), (32, [6_176, 25_632])])
def test_a_1x1_reduction_makes_a_5x5_convolution_cheap(reduction: int | None, parameters: list[int]) -> None:
    """The example of the texts on GoogLeNet: 32 5x5 kernels over 192 channels, alone or after a reduction to 32."""
    options = GoogLeNetOptions()
    x = image = keras.Input((28, 28, 192))
    if reduction:
        x = conv(x, reduction, 1, options, name="reduce")
    model = keras.Model(image, conv(x, 32, 5, options, name="five"))
    assert [layer.count_params() for layer in model.layers if hasattr(layer, "kernel")] == parameters
    assert complexity.count(model).parameters == (31_808 if reduction else 153_632)


def test_writing_the_table(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr("kerasnets.models.MODELS", {"lenet5": None})
    monkeypatch.setattr(complexity, "TABLE", tmp_path / "table.json")  # type: ignore[operator]
    complexity.write_table()
    assert json.loads(complexity.TABLE.read_text()) == {
        "schema": 1,
        "models": {"lenet5": {"parameters": 61706, "trainable": 61706, "macs": 416520, "activations": 6518}},
    }
    assert complexity.published() == {"lenet5": Complexity(61706, 61706, 416520, 6518)}
