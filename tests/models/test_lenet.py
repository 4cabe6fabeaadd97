"""LeNet-5: shapes, paddings, poolings."""

from collections.abc import Callable
from typing import Any

import keras
import pytest

from kerasnets.models import complexity

Outlined = Callable[..., Any]


@pytest.mark.parametrize(("size", "padding", "first"), [(28, "same", 28), (32, "valid", 28)])
def test_stages(size: int, padding: str, first: int, outlined: Outlined) -> None:
    """28 px with a margin are the paper's 32 px."""
    model = outlined("lenet5", (size, size, 1), 10, padding=padding)
    assert [(stage.name, stage.output_shape, stage.cost.parameters) for stage in complexity.stages(model)] == [
        ("conv1", (first, first, 6), 156),
        ("pool1", (14, 14, 6), 0),
        ("conv2", (10, 10, 16), 2416),
        ("pool2", (5, 5, 16), 0),
        ("flatten", (400,), 0),
        ("fc3", (120,), 48_120),
        ("fc4", (84,), 10_164),
        ("softmax", (10,), 850),
    ]


@pytest.mark.parametrize(
    ("pooling", "layer"), [("average", keras.layers.AveragePooling2D), ("max", keras.layers.MaxPooling2D)]
)
def test_pooling(pooling: str, layer: type, outlined: Outlined) -> None:
    model = outlined("lenet5", pooling=pooling)
    assert [type(model.get_layer(name)) for name in ("pool1", "pool2")] == [layer, layer]
