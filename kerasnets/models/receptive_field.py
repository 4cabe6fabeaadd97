"""Receptive fields: how much of the image an output sees, computed from the graph.

After Araujo, Norris and Sim 2019, "Computing receptive fields of convolutional neural networks", Distill 4(11),
doi:10.23915/distill.00021: the recurrence over kernels and strides, and where paths meet (additions,
concatenations) the region that all of them cover together.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Field:
    """What the outputs of a layer see along one side of the image.

    Output i sees pixels `first + i * stride` to `last + i * stride`, both included; those outside of it are padding.
    """

    first: int
    last: int
    stride: int

    @property
    def size(self) -> int:
        """Return the receptive field in pixels."""
        return self.last - self.first + 1


WHOLE = None
"""Of what sees the whole image: global pooling, flattened features, and all that follows them. Adaptive pooling, whose
windows differ from place to place, counts as such: here a head follows it."""


def fields(model: Any, axis: int = 0) -> dict[str, Field | None]:
    """Return the receptive field of each layer of a `keras.Model` of images by the layer's name.

    Args:
        model: a functional model; models within it are taken to work at each position alone, as ours do.
        axis: 0 for the image's height, 1 for its width.

    Raises:
        TypeError: a layer changes the resolution in a way that is not known here.
    """
    found: dict[str, Field | None] = {}
    for layer in model.operations:  # in the order of the graph
        node = layer._inbound_nodes[0]
        sources = [tensor._keras_history.operation.name for tensor in node.input_tensors]
        if not sources:
            found[layer.name] = Field(0, 0, 1)
            continue
        field = _together([found[source] for source in sources], layer.name)
        before, after = node.input_tensors[0].shape, node.output_tensors[0].shape
        found[layer.name] = field and _through(layer, field, before, after, axis)
    return found


def _together(incoming: Iterable[Field | None], name: str) -> Field | None:
    """Return the smallest field that holds all of those that meet in a layer."""
    seen = [field for field in incoming if field is not None]
    if not seen:
        return WHOLE
    strides = {field.stride for field in seen}
    if len(strides) > 1:
        raise TypeError(f"{name} joins paths of strides {sorted(strides)}")
    return Field(min(field.first for field in seen), max(field.last for field in seen), seen[0].stride)


def _through(layer: Any, field: Field, before: Any, after: Any, axis: int) -> Field | None:
    """Return the field behind a layer, for the shapes `[N, H, W, C]` before and after it."""
    if len(after) != 4 or type(layer).__name__.startswith("Adaptive"):
        return WHOLE
    if type(layer).__name__ == "ZeroPadding2D":
        padding = layer.padding[axis][0] if layer.data_format == "channels_last" else 0  # there: channels are padded
        return Field(field.first - padding * field.stride, field.last - padding * field.stride, field.stride)
    window = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    if window is None:
        if before[1:3] != after[1:3]:
            raise TypeError(f"the receptive field of {layer.name}, a {type(layer).__name__}, is not known")
        return field
    step = layer.strides[axis]
    reach = (window[axis] - 1) * getattr(layer, "dilation_rate", (1, 1))[axis]
    padding = _left(before[1 + axis], reach, step) if layer.padding == "same" else 0
    first = field.first - padding * field.stride
    return Field(first, field.last - padding * field.stride + reach * field.stride, field.stride * step)


def _left(size: int, reach: int, step: int) -> int:
    """Return how many pixels TensorFlow's `same` pads on the left (above): half of them, rounded down."""
    outputs = -(-size // step)
    return max((outputs - 1) * step + reach + 1 - size, 0) // 2
