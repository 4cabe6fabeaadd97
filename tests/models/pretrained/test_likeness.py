"""A file that does not fit is told by the model of ours that it is nearest to."""

from typing import Any

import numpy as np
import pytest

from kerasnets.models import complexity
from kerasnets.models.pretrained.families import neutral
from kerasnets.models.pretrained.likeness import likeness


def tensors(name: str, **options: Any) -> dict[str, np.ndarray]:
    """Return what a file of a model's weights would hold, without memory."""
    weights = complexity.outline(name, None, None, **options).weights
    return {neutral(one.path): np.broadcast_to(np.float32(0), tuple(one.shape)) for one in weights}


NAMES = ("resnet18", "resnet34", "resnet50", "resnet50v2", "resnet20", "resnet56", "lenet5")


@pytest.mark.parametrize("name", [*NAMES, "googlenet", "googlenet_bn", "googlenet_torchvision"])
def test_each_is_nearest_to_itself(name: str) -> None:
    found = tensors(name)
    assert likeness(found, name) == ""
    assert likeness(found, "resnet44") == f"; its tensors are nearest to those of {name}"


@pytest.mark.parametrize(
    ("name", "options", "nearest"),
    [
        ("resnet50", {"blocks": [3, 4, 20, 3]}, "resnet101"),
        ("resnet50", {"widths": [128, 256, 512, 1024]}, "resnet50"),
        ("resnet26", {}, "resnet20"),
        ("plain34", {}, "resnet34"),
    ],
)
def test_what_no_row_has_is_near_to_one(name: str, options: dict[str, Any], nearest: str) -> None:
    assert likeness(tensors(name, **options), "lenet5") == f"; its tensors are nearest to those of {nearest}"


def test_others_are_like_none() -> None:
    assert likeness({"conv1_conv/kernel": np.zeros((3, 3, 3, 8))}, "resnet18") == ""
