"""Options that change a model's function and not its variables: where they differ, weights would fit and be wrong."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasnets.errors import UserError
from kerasnets.models.pretrained import families
from kerasnets.models.pretrained.families import GOOGLENET, OURS, Family

if TYPE_CHECKING:
    import keras

_EPSILON = 0.01
"""How much a BN epsilon may differ, relatively: keras.applications' 1.001e-5 is our 1e-5 to five digits."""


def check_same_function(model: "keras.Model", family: Family, found: Collection[str], what: str | Path) -> None:
    """See that a model computes with a family's weights what the family's own model does.

    Compared are the positions of strides, BN's epsilon, and the parts of GoogLeNet that torchvision changed; not
    activations and dropout, which are the user's to change, nor our own files, which do not tell.

    Args:
        model: of ours.
        family: whose weights they are.
        found: plain names of the file's tensors.
        what: the file, or other words for the weights.

    Raises:
        UserError: something differs; the message has the option that mends it.
    """
    if family is OURS:
        return
    remedy = _googlenet(model) if family is GOOGLENET else _strides(model, family, found)
    remedy = remedy or _epsilon(model, 1e-3 if family is GOOGLENET else 1e-5)
    if remedy:
        raise UserError(f"{what}: {family.name}'s model differs from {model.name} {remedy}")


def _googlenet(model: Any) -> str | None:
    layers = {layer.name: layer for layer in model.layers}
    auxiliary = layers.get("softmax0_pool")
    differs = tuple(layers["pool4"].pool_size) != (2, 2) or "pool1_lrn" in layers
    if differs or (auxiliary is not None and type(auxiliary).__name__ != "AdaptiveAveragePooling2D"):
        return "in its poolings; build googlenet_torchvision"
    return None


def _strides(model: Any, family: Family, found: Collection[str]) -> str | None:
    """Compare which convolutions of blocks stride."""
    striding = {
        layer.name
        for layer in model.layers
        if re.fullmatch(r"conv\d+_block\d+_[1-9]_conv", layer.name) and tuple(layer.strides) != (1, 1)
    }
    blocks: dict[int, int] = {}
    for plain in found:
        if match := re.match(r"conv(\d+)_block(\d+)_", plain):
            blocks[int(match[1])] = max(blocks.get(int(match[1]), 0), int(match[2]))
    bottleneck = any(plain.endswith("_3_conv/kernel") for plain in found)
    kernel = "3x3" if bottleneck and not families.bgr(family, found) else "1x1"
    block, stages = "first", sorted(blocks)[1:]
    if any("_preact_" in plain for plain in found):
        block, stages = "last", sorted(blocks)[:-1]
    number = 2 if kernel == "3x3" else 1
    theirs = {f"conv{stage}_block{1 if block == 'first' else blocks[stage]}_{number}_conv" for stage in stages}
    if theirs == striding:
        return None
    return f"in where it strides; build it with model.stride_block={block}" + (
        f" model.stride_on={kernel}" if bottleneck else ""
    )


def _epsilon(model: Any, theirs: float) -> str | None:
    epsilons = {layer.epsilon for layer in model.layers if type(layer).__name__ == "BatchNormalization"}
    if all(abs(epsilon - theirs) <= _EPSILON * theirs for epsilon in epsilons):
        return None
    return f"in its BN epsilon; build it with model.bn_epsilon={theirs:g}"
