"""Which layer is explained, and what of a network its maps need. Keras alone."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kerasnets.errors import UserError, nearest


def spatial(model: keras.Model) -> dict[str, Any]:
    """Return name -> output `[N, h, w, C]` of what keeps places apart (h * w > 1), in the order of the graph."""
    found = {}
    for operation in model.operations:
        if isinstance(operation, keras.layers.InputLayer):
            continue
        outputs = operation.output if len(operation._inbound_nodes) == 1 else None
        shape: tuple[Any, ...] = getattr(outputs, "shape", ())  # some operations have several outputs
        if len(shape) == 4 and None not in shape[1:] and shape[1] * shape[2] > 1:
            found[operation.name] = outputs
    return found


def last(model: keras.Model) -> str | None:
    """Return the name of the last such layer, what Grad-CAM explains by; None for a network without one."""
    return next(reversed(spatial(model)), None)


def choose(model: keras.Model, name: str | None) -> str:
    """Return the layer called `name`, or the last that keeps places apart.

    Raises:
        UserError: there is none, or none of that name.
    """
    found = spatial(model)
    if name is None:
        if not found:
            raise UserError("no layer of this model keeps places apart, so there is nothing to show in the image")
        return next(reversed(found))
    if name not in found:
        known = name in {operation.name for operation in model.operations}
        what = "keeps no places apart" if known else "is not a layer of this model"
        hint = nearest(name, found) or f"; the last one that can be shown is '{next(reversed(found), None)}'"
        raise UserError(f"--layer {name} {what}{hint}")
    return name


@dataclass(frozen=True)
class LinearHead:
    """A head of global average pooling and one linear layer: each place adds its part to a logit (Zhou et al. 2016).

    Attributes:
        layer: whose output is pooled.
        kernel: float32 `[C, K]` of the linear layer.
        shape: h, w, C of that output.
    """

    layer: str
    kernel: np.ndarray
    shape: tuple[int, int, int]

    def evidence(self, features: Any, xp: Any) -> Any:
        """Return what each place of `[N, h, w, C]` adds to each logit, without the bias: `[N, h, w, K]`."""
        return xp.matmul(features, self.kernel / np.float32(self.shape[0] * self.shape[1]))


def linear_head(model: keras.Model) -> LinearHead | None:
    """Return the head of a model if it is of that kind (dropout between the two counts as nothing), else None."""
    dense = model.output._keras_history.operation
    if not (isinstance(dense, keras.layers.Dense) and keras.activations.serialize(dense.activation) == "linear"):
        return None
    before = _source(dense)
    while isinstance(before, keras.layers.Dropout):
        before = _source(before)
    if not isinstance(before, keras.layers.GlobalAveragePooling2D):
        return None
    pooled = _source(before)
    shape = pooled.output.shape[1:]
    if pooled.name not in spatial(model):
        return None
    return LinearHead(pooled.name, np.asarray(keras.ops.convert_to_numpy(dense.kernel), np.float32), tuple(shape))


def _source(operation: Any) -> Any:
    (node,) = operation._inbound_nodes
    return node.input_tensors[0]._keras_history.operation
