"""What a model is made of, read from its graph by the layers' names: stages of blocks, Inception modules, single steps.

For people: what tables and pictures show. Normalisations and activations belong to the convolution that they follow.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from kerasnets.models.complexity import layers_of_stages


@dataclass(frozen=True)
class Step:
    """A layer that is worth a box; equal ones differ in name alone.

    Attributes:
        name: the layer's, without `_conv`.
        kind: `convolution`, `max pool`, `average pool`, `average pool to 4x4` (adaptive), `global average pool`,
            `dense`, `dropout`, `flatten`, `local response norm`, or what a normalisation and activation before any
            convolution are: `BN, relu`.
        kernel: height and width of the window, of convolutions and pools.
        stride: of convolutions and pools, along the height.
        channels: of the output.
        rate: of a dropout.
    """

    name: str = field(compare=False)
    kind: str
    kernel: tuple[int, int] | None
    stride: int
    channels: int
    rate: float = 0.0

    @property
    def window(self) -> str:
        """Return the kernel as `3x3`."""
        return f"{self.kernel[0]}x{self.kernel[1]}" if self.kernel else ""

    def words(self) -> str:
        """Return the step as the papers write it: `7x7, 64, stride 2`, `3x3 max pool, stride 2`, `1000-d dense`."""
        stride = f", stride {self.stride}" if self.stride > 1 else ""
        if self.kind == "convolution":
            return f"{self.window}, {self.channels}{stride}"
        if self.kernel:
            return f"{self.window} {self.kind}{stride}"
        if self.kind == "dense":
            return f"{self.channels}-d dense"
        return f"dropout {self.rate:g}" if self.kind == "dropout" else self.kind


@dataclass(frozen=True)
class Shortcut:
    """How a block's input reaches its sum.

    Attributes:
        kind: `identity`; `padded` (subsampled where it strides, the new channels zero: option A); `projection`.
        stride: its stride.
        channels: of a projection's output; how many zeros a padded one adds.
    """

    kind: str
    stride: int
    channels: int


@dataclass(frozen=True)
class Block:
    """A residual block, or the same convolutions without a shortcut; equal ones differ in name alone.

    Attributes:
        steps: its convolutions; of a pre-activation block the normalisation and activation come first.
        after_activation: the shortcut starts behind that first step.
    """

    name: str = field(compare=False)
    steps: tuple[Step, ...]
    shortcut: Shortcut | None
    after_activation: bool

    def words(self) -> str:
        """Return the block as the papers write it: `[1x1, 64; 3x3, 64; 1x1, 256]`."""
        kernels = (f"{step.window}, {step.channels}" for step in self.steps if step.kernel)
        return f"[{'; '.join(kernels)}]"


@dataclass(frozen=True)
class Inception:
    """An Inception module: four branches, whose outputs are concatenated."""

    name: str = field(compare=False)
    branches: tuple[tuple[Step, ...], ...]
    channels: int

    @property
    def windows(self) -> tuple[str, str, str]:
        """Return the kernels of the first three branches' last convolutions: 1x1, 3x3 and, in the paper, 5x5."""
        one, three, five = (branch[-1].window for branch in self.branches[:3])
        return one, three, five

    def numbers(self) -> tuple[int | None, ...]:
        """Return the six numbers of GoogLeNet's table 1: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection.

        What a naive module does not have is None.
        """
        (one,), *pairs, pool = self.branches
        six: list[int | None] = [one.channels]
        for pair in pairs:
            six += [pair[0].channels if len(pair) > 1 else None, pair[-1].channels]
        return *six, pool[1].channels if len(pool) > 1 else None


Part = Step | Block | Inception


@dataclass(frozen=True)
class Stage:
    """A row of the papers' tables.

    Attributes:
        name: what its layers' names begin with.
        parts: in the order of the graph.
        output_shape: without the batch.
        layers: the Keras layers.
        source: the stage whose output it takes, or `image`.
    """

    name: str
    parts: tuple[Part, ...]
    output_shape: tuple[int, ...]
    layers: tuple[Any, ...]
    source: str


def stages(model: Any) -> list[Stage]:
    """Return the stages of a model that `models.build` or `complexity.outline` made; heads come last."""
    widths = {layer.name: layer.output.shape[-1] for layer in model.layers}
    groups = layers_of_stages(model)
    home = {layer.name: name for name, layers in groups.items() for layer in layers}
    found = []
    for name, layers in groups.items():
        before = layers[0]._inbound_nodes[0].input_tensors[0]._keras_history.operation.name
        parts, shape = tuple(_parts(layers, widths)), tuple(layers[-1].output.shape[1:])
        found.append(Stage(name, parts, shape, tuple(layers), home.get(before, before)))
    return found


def _parts(layers: list[Any], widths: dict[str, int]) -> Iterable[Part]:
    groups: dict[str, list[Any]] = {}
    for layer in layers:
        match = re.match(r"conv\d+_block\d+|inception_\d[a-z]", layer.name)
        groups.setdefault(match[0] if match else layer.name, []).append(layer)
    single: list[Any] = []
    for name, members in groups.items():
        if name.startswith("inception"):
            yield _inception(name, members, widths)
        elif "_block" in name:
            yield _block(name, members, widths)
        else:
            single += members
    yield from _steps(single, widths)


def _block(name: str, layers: list[Any], widths: dict[str, int]) -> Block:
    main = [layer for layer in layers if not layer.name.startswith(f"{name}_0_")]
    steps = tuple(_steps([layer for layer in main if not layer.name.startswith(f"{name}_out")], widths))
    if not any(type(layer).__name__ == "Add" for layer in main):
        return Block(name, steps, None, False)
    beside = [layer for layer in layers if layer.name.startswith(f"{name}_0_")]
    striding = [layer.strides[0] for layer in beside if hasattr(layer, "strides")]
    projections = [layer for layer in beside if type(layer).__name__ == "Conv2D"]
    kind = "projection" if projections else "padded" if beside else "identity"
    added = [layer.padding[1][1] for layer in beside if layer.name.endswith("_0_pad") and not projections]
    channels = sum(added) + sum(layer.filters for layer in projections)
    shortcut = Shortcut(kind, striding[0] if striding else 1, channels)
    return Block(name, steps, shortcut, bool(projections) and not steps[0].kernel)


def _inception(name: str, layers: list[Any], widths: dict[str, int]) -> Inception:
    steps = {step.name.removeprefix(f"{name}_"): step for step in _steps(layers, widths)}
    wanted = (("1x1",), ("3x3_reduce", "3x3"), ("5x5_reduce", "5x5"), ("pool", "pool_proj"))
    branches = tuple(tuple(steps[key] for key in branch if key in steps) for branch in wanted)
    return Inception(name, branches, layers[-1].output.shape[-1])


_POOLS = {"MaxPooling2D": "max pool", "AveragePooling2D": "average pool"}
_PLAIN = {"GlobalAveragePooling2D": "global average pool", "Dropout": "dropout", "Flatten": "flatten"}


def _steps(layers: list[Any], widths: dict[str, int]) -> Iterable[Step]:
    """Yield the layers that are worth a box. Of what precedes a convolution, the activation is."""
    normalized = ""
    for layer in layers:
        kind, name, channels = type(layer).__name__, layer.name, layer.output.shape[-1]
        before = re.search(r"(?:_preact|^post)_([a-z_]+)$", name)
        if kind == "Conv2D":
            name = name.removesuffix("_conv")
            yield Step(name, "convolution", layer.kernel_size, layer.strides[0], widths.get(f"{name}_maxout", channels))
        elif kind in _POOLS:
            yield Step(name, _POOLS[kind], layer.pool_size, layer.strides[0], channels)
        elif kind == "Dense" and len(layer.output.shape) == 2:
            yield Step(name, "dense", None, 1, widths.get(f"{name}_maxout", channels))
        elif kind in _PLAIN:
            yield Step(name, _PLAIN[kind], None, 1, channels, getattr(layer, "rate", 0.0))
        elif kind == "AdaptiveAveragePooling2D":
            _, height, width, _ = layer.output.shape
            yield Step(name, f"average pool to {height}x{width}", None, 1, channels)
        elif name.endswith("_lrn"):
            yield Step(name, "local response norm", None, 1, channels)
        elif before and before[1] == "bn":
            normalized = "BN, "
        elif before and not name.endswith("_pieces"):
            yield Step(name, normalized + before[1], None, 1, channels)
