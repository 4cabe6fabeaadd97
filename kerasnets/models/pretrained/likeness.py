"""Which of our models a file's weights are those of, to name it where they do not fit. Imports no Keras."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, cast

from kerasnets.models.specs import MODELS, ResNetOptions, Row

if TYPE_CHECKING:
    import numpy as np


class Structure(NamedTuple):
    """What tells ResNets apart: blocks and channels of each stage, bottlenecks, pre-activation."""

    blocks: tuple[int, ...]
    widths: tuple[int, ...]
    bottleneck: bool
    pre_activation: bool


def likeness(found: "Mapping[str, np.ndarray]", name: str) -> str:
    """Return `"; its tensors are nearest to those of resnet50"`, or `""` when `name` is nearest.

    Args:
        found: a file's tensors by plain name, in our layout.
        name: the model that they are to go into.
    """
    row = _googlenet(found) if any(plain.startswith("inception_") for plain in found) else _resnet(found)
    return f"; its tensors are nearest to those of {row}" if row and row != name else ""


def _googlenet(found: "Mapping[str, np.ndarray]") -> str:
    kernel = found.get("inception_3a_5x5_conv/kernel")
    if kernel is not None and kernel.shape[0] == 3:
        return "googlenet_torchvision"
    return "googlenet_bn" if "conv1_bn/gamma" in found else "googlenet"


def _resnet(found: "Mapping[str, np.ndarray]") -> str | None:
    theirs = _structure(found)
    if not theirs.blocks:
        return "lenet5" if "fc3/kernel" in found else None
    rows = {row.name: _expected(row) for row in MODELS.values() if isinstance(row.options, ResNetOptions)}
    return min(rows, key=lambda name: _distance(rows[name], theirs))


def _structure(found: "Mapping[str, np.ndarray]") -> Structure:
    blocks: dict[int, int] = {}
    widths: dict[int, int] = {}
    for plain, value in found.items():
        match = re.match(r"conv(\d+)_block(\d+)_", plain)
        if match is None:
            continue
        stage = int(match[1])
        blocks[stage] = max(blocks.get(stage, 0), int(match[2]))
        if plain.endswith("_block1_1_conv/kernel"):
            widths[stage] = value.shape[-1]
    stages = sorted(blocks)
    return Structure(
        tuple(blocks[stage] for stage in stages),
        tuple(widths.get(stage, 0) for stage in stages),
        any(plain.endswith("_3_conv/kernel") for plain in found),
        any("_preact_" in plain for plain in found),
    )


def _expected(row: Row) -> Structure:
    options = cast(ResNetOptions, row.options)
    return Structure(options.blocks, options.widths, options.block == "bottleneck", options.pre_activation)


def _distance(ours: Structure, theirs: Structure) -> tuple[int, int]:
    """Return how far two structures are apart: kind first, then blocks."""
    kinds = (len(ours.blocks) != len(theirs.blocks)) + (ours.widths != theirs.widths)
    kinds += (ours.bottleneck != theirs.bottleneck) + (ours.pre_activation != theirs.pre_activation)
    return kinds, sum(abs(one - other) for one, other in zip(ours.blocks, theirs.blocks, strict=False))
