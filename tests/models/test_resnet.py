"""ResNets: every stage's shape, where blocks stride, what shortcuts do."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from kerasnets import models
from kerasnets.models import complexity

Outlined = Callable[..., Any]
DEEP = {name: pytest.param(name, 4, marks=pytest.mark.slow) for name in ("101", "152")}
CIFAR = {"conv1": (32, 32, 16), "conv2": (32, 32, 16), "conv3": (16, 16, 32), "conv4": (8, 8, 64), "avg_pool": (64,)}


def shapes(model: Any) -> dict[str, tuple[int, ...]]:
    return {stage.name: stage.output_shape for stage in complexity.stages(model)}


def imagenet(expansion: int, size: int = 7, stem: tuple[int, ...] = (32, 16)) -> dict[str, tuple[int, ...]]:
    """Return stage shapes from the last stage's size and the stem's and its pool's, in multiples of it."""
    sizes = [8, 4, 2, 1]
    stages = {f"conv{2 + i}": (size * sizes[i],) * 2 + (64 * 2**i * expansion,) for i in range(4)}
    pool = {"pool1": (size * 8, size * 8, 64)} if stem == (16, 8) else {}
    return {"conv1": (size * stem[0],) * 2 + (64,), **pool, **stages, "avg_pool": (512 * expansion,)}


@pytest.mark.parametrize(("name", "expansion"), [("18", 1), ("34", 1), ("50", 4), DEEP["101"], DEEP["152"]])
@pytest.mark.parametrize("kind", ["resnet", "plain"])
def test_imagenet_stages(kind: str, name: str, expansion: int, outlined: Outlined) -> None:
    expected = imagenet(expansion, stem=(16, 8))
    assert expected["conv1"] == (112, 112, 64)
    assert shapes(outlined(kind + name)) == {**expected, "softmax": (1000,)}


@pytest.mark.parametrize("name", ["resnet50v2", pytest.param("resnet152v2", marks=pytest.mark.slow)])
def test_pre_activation_stages(name: str, outlined: Outlined) -> None:
    expected = imagenet(4, stem=(16, 8))
    pooled = expected.pop("avg_pool")
    expected |= {"post": (7, 7, 2048), "avg_pool": pooled, "softmax": (1000,)}
    assert shapes(outlined(name)) == expected


def test_striding_in_the_last_block_as_keras_applications_does(outlined: Outlined) -> None:
    sizes = [shapes(outlined("resnet50v2", stride_block="last"))[f"conv{stage}"][0] for stage in (2, 3, 4, 5)]
    assert sizes == [28, 14, 7, 7]
    first_of_stage = outlined("resnet50v2", stride_block="last").get_layer("conv2_block1_out").output.shape
    assert first_of_stage == (None, 56, 56, 256)


def test_small_stem_keeps_the_resolution(outlined: Outlined) -> None:
    expected = imagenet(1, size=4, stem=(8, 4)) | {"softmax": (10,)}
    assert expected["conv1"] == (32, 32, 64)
    assert shapes(outlined("resnet18", (32, 32, 3), 10)) == expected


@pytest.mark.parametrize("name", ["resnet20", "resnet56", "plain20", "plain56", "resnet26"])
def test_cifar_stages(name: str, outlined: Outlined) -> None:
    assert shapes(outlined(name)) == CIFAR | {"softmax": (10,)}


@pytest.mark.parametrize(("name", "layers"), [("resnet20", 20), ("plain44", 44), ("resnet34", 34), ("plain50", 50)])
def test_the_name_counts_the_weighted_layers(name: str, layers: int, outlined: Outlined) -> None:
    kernels = [layer for layer in outlined(name).layers if hasattr(layer, "kernel") and "_0_" not in layer.name]
    assert len(kernels) == layers


@pytest.mark.parametrize(
    ("options", "strided"),
    [
        ({}, "conv3_block1_2_conv"),
        ({"stride_on": "1x1"}, "conv3_block1_1_conv"),
        ({"stride_block": "last"}, "conv3_block4_2_conv"),
    ],
)
def test_which_convolution_strides(options: dict[str, str], strided: str, outlined: Outlined) -> None:
    model = outlined("resnet50", **options)
    found = [layer.name for layer in model.layers if layer.name.startswith("conv3") and hasattr(layer, "kernel")]
    found = [name for name in found if "_0_" not in name and model.get_layer(name).strides == (2, 2)]
    assert found == [strided]


@pytest.mark.parametrize(("shortcut", "projections"), [("A", []), ("B", [3, 4, 5]), ("C", [2, 2, 3, 3, 4, 4, 5, 5])])
def test_where_shortcuts_project(shortcut: str, projections: list[int], outlined: Outlined) -> None:
    model = outlined("resnet18", shortcut=shortcut)
    names = [layer.name for layer in model.layers if layer.name.endswith("_0_conv")]
    assert [int(name[4]) for name in names] == projections


def test_plain_nets_have_no_shortcut_and_otherwise_the_same_layers(outlined: Outlined) -> None:
    residual = [layer.name for layer in outlined("resnet34", shortcut="A").layers]
    plain = [layer.name for layer in outlined("plain34").layers]
    assert sorted(set(residual) - set(plain)) == sorted(
        [f"conv{stage}_block{number}_add" for stage, blocks in zip((2, 3, 4, 5), (3, 4, 6, 3), strict=True)
         for number in range(1, blocks + 1)]
        + [f"conv{stage}_block1_0_{what}" for stage in (3, 4, 5) for what in ("pool", "pad")]
    )  # fmt: skip
    assert set(plain) <= set(residual)


def test_shortcut_a_takes_every_second_pixel_and_appends_zero_channels() -> None:
    model = models.build("resnet8")
    part = keras.Model(model.get_layer("conv2_block1_out").output, model.get_layer("conv3_block1_0_pad").output)
    x = np.random.default_rng(0).normal(size=(2, 32, 32, 16)).astype("float32")
    shortcut = np.asarray(part(x))
    assert shortcut.shape == (2, 16, 16, 32)
    np.testing.assert_array_equal(shortcut[..., :16], x[:, ::2, ::2])
    assert not shortcut[..., 16:].any()


def test_zero_gamma_makes_every_block_start_as_its_shortcut() -> None:
    model = models.build("resnet8", zero_init_residual=True)
    ends = [layer for layer in model.layers if layer.name.endswith("_2_bn")]
    assert len(ends) == 3
    assert not any(np.asarray(layer.gamma).any() for layer in ends)
    assert np.asarray(model.get_layer("conv2_block1_1_bn").gamma).all()
    part = keras.Model(model.get_layer("conv1_relu").output, model.get_layer("conv2_block1_out").output)
    x = np.random.default_rng(0).random((1, 32, 32, 16)).astype("float32")
    np.testing.assert_array_equal(part(x), x)


def inputs_of(model: Any, name: str) -> list[str]:
    tensors = keras.tree.flatten(model.get_layer(name).input)
    return [tensor._keras_history.operation.name for tensor in tensors]


def test_pre_activation_adds_the_bare_input_and_projects_the_activated_one(outlined: Outlined) -> None:
    model = outlined("resnet50v2")
    assert inputs_of(model, "conv2_block1_0_conv") == ["conv2_block1_preact_relu"]
    assert inputs_of(model, "conv2_block1_out") == ["conv2_block1_0_conv", "conv2_block1_3_conv"]
    assert inputs_of(model, "conv2_block2_out") == ["conv2_block1_out", "conv2_block2_3_conv"]
    assert inputs_of(model, "conv2_block3_preact_bn") == ["conv2_block2_out"]


def test_post_activation_adds_before_the_last_activation(outlined: Outlined) -> None:
    model = outlined("resnet50")
    assert inputs_of(model, "conv2_block1_add") == ["conv2_block1_0_bn", "conv2_block1_3_bn"]
    assert inputs_of(model, "conv2_block2_add") == ["conv2_block1_out", "conv2_block2_3_bn"]
    assert inputs_of(model, "conv2_block2_out") == ["conv2_block2_add"]


def test_without_normalisation_there_is_no_such_layer(outlined: Outlined) -> None:
    model = outlined("resnet20", normalization="none")
    assert not [layer.name for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]


def test_dropout_comes_before_the_classifier(outlined: Outlined) -> None:
    model = outlined("resnet20", dropout=0.25)
    assert inputs_of(model, "softmax") == ["dropout"]
    assert model.get_layer("dropout").rate == 0.25
