"""Plain layers -> fast layers and back. What is saved holds plain Keras layers only.

Keras 3 computes batch normalisation in training as a chain of elementary operations; TensorFlow's fused kernel gives
the same numbers in one. Local response normalisation has a gradient of its own. Mixed precision is set here too, so
that models are built and saved in float32 alone.
"""

from dataclasses import dataclass
from typing import Any

import keras

from kerasnets.training.normalization import (
    FreezableBatchNormalization,
    FusedBatchNormalization,
    LocalResponseNormalization,
    SynchronizedBatchNormalization,
    is_local_response_normalization,
)

_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


@dataclass(frozen=True)
class Fast:
    """A fast network, and the pairs (plain variable, fast variable) that tie it to the plain one."""

    net: keras.Model
    plain: keras.Model
    pairs: tuple[tuple[Any, Any], ...]

    def to_plain(self) -> keras.Model:
        """Copy the weights into the plain network and return that."""
        for plain, fast in self.pairs:
            plain.assign(fast.value)
        return self.plain


def make_fast(plain: keras.Model, precision: str = "float32", synchronized: bool = False) -> Fast:
    """Return a fast twin of `plain` with the same weights and the same variable names.

    Args:
        plain: functional model in float32, of plain Keras layers.
        precision: "float32", "bfloat16" or "float16": what layers compute in. Variables and outputs stay float32.
        synchronized: batch normalisation takes the statistics of all replicas' parts of a batch.
    """
    policy = _POLICIES[precision]
    outputs = {tensor._keras_history.operation.name for tensor in plain.outputs}

    def swap(layer: keras.layers.Layer) -> keras.layers.Layer:
        if is_local_response_normalization(layer):
            return LocalResponseNormalization(name=layer.name, dtype=policy)
        settings = layer.get_config()
        if layer.name not in outputs and not isinstance(layer, keras.layers.InputLayer):
            settings["dtype"] = policy
        if "kernel_initializer" in settings:
            settings["kernel_initializer"] = "zeros"  # the plain network's weights follow: none are drawn twice
        kind = type(layer)
        if kind is keras.layers.BatchNormalization and len(layer.output.shape) == 4:
            kind = SynchronizedBatchNormalization if synchronized else FusedBatchNormalization
        elif kind is keras.layers.BatchNormalization:
            kind = FreezableBatchNormalization
            settings["synchronized"] = synchronized
        return kind.from_config(settings)

    net = keras.models.clone_model(plain, clone_function=swap)
    by_path = {variable.path: variable for variable in net.weights}  # without the state of random seeds
    pairs = tuple((variable, by_path[variable.path]) for variable in plain.weights)
    for source, target in pairs:
        target.assign(source.value)
    return Fast(net, plain, pairs)
