"""Receptive fields: published figures, figures worked out by hand, and what networks really see."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from kerasnets import models
from kerasnets.models.receptive_field import Field, fields


def sizes(model: Any, *names: str) -> list[tuple[int, int]]:
    """Return (size, stride) behind each layer."""
    found = fields(model)
    seen = [found[name] for name in names]
    assert all(seen)
    return [(field.size, field.stride) for field in seen if field]


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("resnet50", 483),
        pytest.param("resnet101", 1027, marks=pytest.mark.slow),
        pytest.param("resnet152", 1507, marks=pytest.mark.slow),
    ],
)
def test_published(name: str, size: int, outlined: Any) -> None:
    """Araujo et al. 2019; their ResNets stride as the paper's do, or in a stage's last block."""
    for options in ({"stride_on": "1x1"}, {"stride_block": "last"}):
        assert sizes(outlined(name, **options), "conv5_block3_out") == [(size, 32)]


def test_worked_out_by_hand(outlined: Any) -> None:
    stages = [f"conv{stage}_block{block}_out" for stage, block in ((2, 3), (3, 4), (4, 6), (5, 3))]
    # from 11 pixels at stride 4: each 3x3 adds twice the stride before it, the first of a stage the lower one
    assert sizes(outlined("resnet50"), "conv1_relu", "pool1_pool", *stages) == [
        *((7, 2), (11, 4), (11 + 3 * 8, 4), (35 + 8 + 3 * 16, 8), (91 + 16 + 5 * 32, 16), (267 + 32 + 2 * 64, 32))
    ]
    assert sizes(outlined("resnet20"), "conv1_relu", "conv2_block3_out", "conv3_block3_out", "conv4_block3_out") == [
        *((3, 1), (3 + 6 * 2, 1), (15 + 2 + 5 * 4, 2), (37 + 4 + 5 * 8, 4))
    ]
    # Inception modules see as far as their 5x5
    assert sizes(
        outlined("googlenet"), "pool2", "inception_3b_output", "inception_4e_output", "inception_5b_output"
    ) == [*((27, 8), (27 + 2 * 32, 8), (91 + 16 + 5 * 64, 16), (427 + 32 + 2 * 128, 32))]
    assert sizes(outlined("lenet5"), "conv1_conv", "pool1", "conv2_conv", "pool2") == [(5, 1), (6, 2), (14, 2), (16, 4)]


def test_pooling_over_everything_sees_everything(outlined: Any) -> None:
    found = fields(outlined("googlenet"))
    for name in ("avg_pool", "dropout", "softmax2", "softmax0_flatten", "softmax0"):
        assert found[name] is None
    assert found["image"] == Field(0, 0, 1)


def rows_seen(model: Any, names: tuple[str, ...]) -> dict[str, list[tuple[int, int]]]:
    """Return the first and last row of pixels that change each row of a layer's outputs.

    With kernels that are positive throughout nothing cancels: an output is above 0 just if it sees a pixel that is.
    """
    for layer in model.layers:
        if type(layer).__name__ == "Conv2D":
            layer.kernel.assign(np.full(layer.kernel.shape, 1 / layer.kernel.shape[2]))
    height = model.input_shape[1]
    one_row = np.zeros((height, *model.input_shape[1:]), "float32")
    one_row[np.arange(height), np.arange(height)] = 1
    outputs = keras.Model(model.input, [model.get_layer(name).output for name in names])(one_row)
    changed = {name: np.asarray(output).any(axis=(2, 3)).T for name, output in zip(names, outputs, strict=True)}
    ends = {name: [np.flatnonzero(place)[[0, -1]] for place in places] for name, places in changed.items()}
    return {name: [(int(first), int(last)) for first, last in places] for name, places in ends.items()}


NARROW = {"blocks": [2, 1, 2], "widths": [2, 3, 4]}
RESNETS = ("conv2_block1_out", "conv3_block1_out", "conv4_block2_out")


@pytest.mark.parametrize(
    ("name", "options", "names"),
    [
        ("resnet8", {**NARROW, "shortcut": "A"}, RESNETS),
        ("resnet8", {**NARROW, "shortcut": "C", "stem": "imagenet"}, RESNETS),
        ("resnet8", {**NARROW, "pre_activation": True, "stride_block": "last"}, RESNETS),
        ("resnet8", {**NARROW, "block": "bottleneck", "stride_on": "1x1"}, RESNETS),
        ("plain8", NARROW, RESNETS),
        (
            "googlenet",
            {"width": 0.02, "stem": "imagenet", "lrn": False, "auxiliary": False},
            ("conv1_conv", "pool1", "pool2", "inception_3b_output", "inception_4a_output"),
        ),
        ("lenet5", {"padding": "valid"}, ("conv1_conv", "pool1", "pool2")),
    ],
)
@pytest.mark.parametrize("size", [41, 64])
def test_it_is_what_the_network_sees(name: str, options: dict[str, Any], names: tuple[str, ...], size: int) -> None:
    channels = models.row(name).input_shape[2]
    model = models.build(name, (size, size, channels), 2, **{"normalization": "none", "activation": "relu", **options})
    found = fields(model)
    for layer, seen in rows_seen(model, names).items():
        field = found[layer]
        assert field is not None
        ends = [(field.first + place * field.stride, field.last + place * field.stride) for place in range(len(seen))]
        assert seen == [(max(first, 0), min(last, size - 1)) for first, last in ends], layer


def test_dilation_and_two_sides() -> None:
    image = keras.Input((20, 24, 1), name="image")
    x = layers.Conv2D(1, (3, 5), dilation_rate=(4, 1), name="dilated")(image)
    x = layers.MaxPooling2D((2, 3), name="pool")(x)
    model = keras.Model(image, x)
    assert fields(model)["pool"] == Field(0, 2 * 4 + 1, 2)
    assert fields(model, axis=1)["pool"] == Field(0, 4 + 2, 3)


def test_adaptive_pooling_counts_as_all() -> None:
    image = keras.Input((14, 14, 1), name="image")
    x = layers.Conv2D(1, 1, name="after")(layers.AdaptiveAveragePooling2D(4, name="pool")(image))
    assert fields(keras.Model(image, x)) == {"image": Field(0, 0, 1), "pool": None, "after": None}


def test_what_is_not_known_is_refused() -> None:
    image = keras.Input((8, 8, 1), name="image")
    model = keras.Model(image, layers.UpSampling2D(2, name="larger")(image))
    with pytest.raises(TypeError, match="^the receptive field of larger, a UpSampling2D, is not known$"):
        fields(model)
    paths = [layers.MaxPooling2D(2, name="two")(image), layers.Cropping2D(2, name="crop")(image)]
    with pytest.raises(TypeError, match="^the receptive field of crop, a Cropping2D, is not known$"):
        fields(keras.Model(image, layers.Add(name="add")(paths)))
