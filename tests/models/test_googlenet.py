"""GoogLeNet: every module's shape, at 224 px and small, and its auxiliary heads."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from kerasnets.models import complexity
from kerasnets.models.googlenet import pooling_to

Outlined = Callable[..., Any]
MODULES = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
CHANNELS = (256, 480, 512, 512, 512, 528, 832, 832, 1024)


def expected(sizes: tuple[int, ...], classes: int) -> dict[str, tuple[int, ...]]:
    """Return stage shapes from the sizes of conv1, conv2, and modules 3, 4 and 5."""
    first, second, *modules = sizes
    size = dict(zip("345", modules, strict=True))
    shapes: dict[str, tuple[int, ...]] = {"conv1": (first, first, 64), "pool1": (second, second, 64)}
    shapes |= {"conv2": (second, second, 192), "pool2": (size["3"], size["3"], 192)}
    for name, channels in zip(MODULES, CHANNELS, strict=True):
        shapes[f"inception_{name}"] = (size[name[0]], size[name[0]], channels)
    shapes |= {"pool3": (size["4"], size["4"], 480), "pool4": (size["5"], size["5"], 832)}
    return (
        shapes
        | {"avg_pool": (1024,), "dropout": (1024,)}
        | dict.fromkeys(("softmax0", "softmax1", "softmax2"), (classes,))
    )


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        (224, (112, 56, 28, 14, 7)),
        (64, (64, 32, 16, 8, 4)),
        (40, (40, 20, 10, 5, 3)),
        (32, (32, 16, 8, 4, 2)),
        (28, (28, 14, 7, 4, 2)),
    ],
)
@pytest.mark.parametrize("name", ["googlenet", "googlenet_bn"])
def test_stages(name: str, size: int, sizes: tuple[int, ...], outlined: Outlined) -> None:
    model = outlined(name, (size, size, 3), 10)
    assert {stage.name: stage.output_shape for stage in complexity.stages(model)} == expected(sizes, 10)


def test_branches_of_a_module(outlined: Outlined) -> None:
    model = outlined("googlenet")
    kernels = {
        layer.name.removeprefix("inception_4b_"): layer.kernel.shape
        for layer in model.layers
        if layer.name.startswith("inception_4b") and hasattr(layer, "kernel")
    }
    assert kernels == {
        "1x1_conv": (1, 1, 512, 160),
        "3x3_reduce_conv": (1, 1, 512, 112),
        "3x3_conv": (3, 3, 112, 224),
        "5x5_reduce_conv": (1, 1, 512, 24),
        "5x5_conv": (5, 5, 24, 64),
        "pool_proj_conv": (1, 1, 512, 64),
    }


def test_naive_modules_have_no_reductions_and_grow(outlined: Outlined) -> None:
    model = outlined("googlenet", inception="naive")
    assert not [layer.name for layer in model.layers if "inception" in layer.name and "reduce" in layer.name]
    assert not [layer.name for layer in model.layers if "pool_proj" in layer.name]
    assert model.get_layer("inception_3a_output").output.shape == (None, 28, 28, 64 + 128 + 32 + 192)
    assert model.get_layer("inception_3b_output").output.shape == (None, 28, 28, 128 + 192 + 96 + 416)


def test_the_reductions_are_what_makes_it_cheap(outlined: Outlined) -> None:
    naive, reduced = (complexity.count(outlined("googlenet", inception=kind)).macs for kind in ("naive", "reduced"))
    assert naive > 5 * reduced


def test_local_response_norms_stand_where_the_paper_has_them(outlined: Outlined) -> None:
    names = [layer.name for layer in outlined("googlenet").layers][1:12]
    assert names == [
        "conv1_pad",
        "conv1_conv",
        "conv1_relu",
        "pool1",
        "pool1_lrn",
        "conv2_reduce_conv",
        "conv2_reduce_relu",
        "conv2_conv",
        "conv2_relu",
        "conv2_lrn",
        "pool2",
    ]
    assert not [layer.name for layer in outlined("googlenet_bn").layers if "lrn" in layer.name]


def test_auxiliary_heads_are_those_of_the_paper(outlined: Outlined) -> None:
    model = outlined("googlenet")
    for head, module in (("softmax0", "4a"), ("softmax1", "4d")):
        pool = model.get_layer(f"{head}_pool")
        assert pool.input is model.get_layer(f"inception_{module}_output").output
        assert (pool.pool_size, pool.strides, pool.padding) == ((5, 5), (3, 3), "valid")
        assert pool.output.shape[1:3] == (4, 4)
        assert model.get_layer(f"{head}_conv").kernel.shape[-1] == 128
        assert model.get_layer(f"{head}_fc").kernel.shape == (4 * 4 * 128, 1024)
        assert model.get_layer(f"{head}_dropout").rate == 0.7
    assert model.get_layer("dropout").rate == 0.4


@pytest.mark.parametrize(
    ("size", "window", "stride"), [(14, 5, 3), (8, 2, 2), (7, 4, 1), (5, 2, 1), (4, 1, 1), (2, 1, 1), (1, 1, 1)]
)
def test_auxiliary_pooling(size: int, window: int, stride: int) -> None:
    assert pooling_to(4, size) == (window, stride)


def test_auxiliary_pooling_reaches_at_most_four_and_leaves_nothing_out() -> None:
    for size in range(1, 60):
        window, stride = pooling_to(4, size)
        assert (size - window) // stride + 1 == min(4, size)
        assert (size - window) % stride == 0
        assert stride <= window


def test_oblong_inputs_pool_each_side_for_itself(outlined: Outlined) -> None:
    pool = outlined("googlenet", (28, 224, 3)).get_layer("softmax0_pool")
    assert pool.input.shape[1:3] == (4, 28)
    assert pool.output.shape[1:3] == (4, 4)


def test_width_multiplies_the_channels(outlined: Outlined) -> None:
    model = outlined("googlenet", width=0.5)
    outputs = [model.get_layer(f"inception_{name}_output").output.shape[-1] for name in MODULES]
    assert outputs == [channels // 2 for channels in CHANNELS]
    assert outlined("googlenet", width=0.001).get_layer("inception_3a_output").output.shape[-1] == 4


def test_auxiliary_head_without_dropout(outlined: Outlined) -> None:
    names = {layer.name for layer in outlined("googlenet", auxiliary_dropout=0).layers}
    assert not {"softmax0_dropout", "softmax1_dropout"} & names
    assert "dropout" in names


def test_strides_multiply_to_the_sizes(outlined: Outlined) -> None:
    strided = [layer for layer in outlined("googlenet").layers if getattr(layer, "strides", 1) in ((2, 2), 2)]
    assert np.prod([2 for _ in strided]) == 224 // 7


def test_what_torchvision_changed(outlined: Outlined) -> None:
    ours, theirs = outlined("googlenet_bn"), outlined("googlenet_torchvision")
    pairs = zip(ours.layers, theirs.layers, strict=True)
    different = {one.name for one, other in pairs if str(one.get_config()) != str(other.get_config())}
    fives = {f"inception_{module}_5x5_conv" for module in MODULES}
    assert different == fives | {"pool4", "softmax0_pool", "softmax1_pool", "dropout"}
    assert theirs.get_layer("inception_3a_5x5_conv").kernel.shape == (3, 3, 16, 32)
    assert theirs.get_layer("pool4").pool_size == (2, 2)
    assert theirs.get_layer("dropout").rate == 0.2


@pytest.mark.parametrize("size", [*range(2, 16), 28])
def test_adaptive_pooling_is_that_of_pytorch(size: int) -> None:
    """Window i of four covers floor(i n / 4) to ceil((i + 1) n / 4), as torch.nn.AdaptiveAvgPool2d documents."""
    x = np.random.default_rng(size).random((2, size, size, 3), np.float32)
    spans = [(size * i // 4, -(-size * (i + 1) // 4)) for i in range(4)]
    rows = [[x[:, a:b, c:d].mean((1, 2)) for c, d in spans] for a, b in spans]
    expected = np.stack([np.stack(row, axis=1) for row in rows], axis=1)
    np.testing.assert_allclose(keras.layers.AdaptiveAveragePooling2D(4)(x), expected, rtol=1e-5)
