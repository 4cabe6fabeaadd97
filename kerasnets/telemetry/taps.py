"""Which layers are watched, and a network that returns their outputs beside its own, sharing all weights."""

from typing import Any

import keras

from kerasnets.telemetry.observers import Watched

_CLASSES = {"ReLU": "relu", "LeakyReLU": "leaky_relu", "PReLU": "prelu", "ELU": "elu", "Softmax": "softmax"}
_MAXOUT = "_maxout"


def nonlinearity(layer: keras.layers.Layer) -> str | None:
    """Return the name of the nonlinearity that a layer applies to its output, or None."""
    kind = type(layer).__name__
    if kind == "ReLU" and layer.negative_slope:
        return "leaky_relu"
    if kind in _CLASSES:
        return _CLASSES[kind]
    if layer.name.endswith(_MAXOUT):
        return "maxout"
    function = getattr(layer, "activation", None)
    if function is None or function is keras.activations.linear:
        return None
    return str(getattr(function, "__name__", type(function).__name__))


def named_outputs(net: keras.Model) -> dict[str, Any]:
    """Return a network's outputs by name: the keys of a dict, or its output layers' names, in order."""
    if isinstance(net.output, dict):
        return dict(net.output)
    return dict(zip(net.output_names, net.outputs, strict=True))


def tap(net: keras.Model) -> tuple[keras.Model, Watched]:
    """Return a network with outputs `{"outputs": {head: …}, "activations": {layer: …}}`, and what is watched in it.

    Functional and sequential models nested in `net` are looked into where they have weights. A layer that is called
    more than once is watched at its first call.

    Args:
        net: functional model of one input.

    Raises:
        TypeError: `net` is not functional.
    """
    if isinstance(net, keras.Sequential) or not getattr(net, "inputs", None):
        raise TypeError(
            f"{net.name} is not a functional model; of a Sequential: keras.Model(net.inputs[0], net.outputs[0])"
        )
    again, seen = _called_again(net)
    structure = again.output
    if not isinstance(structure, dict):
        structure = dict(zip(named_outputs(net), again.outputs, strict=True))
    for head, tensor in structure.items():
        seen.setdefault(head, ("linear", tensor))
    tapped = keras.Model(again.input, {"outputs": structure, "activations": _tensors(seen)})
    watched = Watched(
        variables=tuple(net.trainable_variables),
        activations={name: function for name, (function, _) in seen.items()},
        shapes={name: tuple(tensor.shape) for name, (_, tensor) in seen.items()},
        heads=tuple(named_outputs(net)),
    )
    return tapped, watched


_Seen = dict[str, tuple[str, Any]]
"""Name of a layer -> its nonlinearity and its output."""


def _called_again(net: keras.Model) -> tuple[keras.Model, _Seen]:
    """Call a model's own layers once more, one by one, on new inputs; return the model they make, and what it has."""
    seen: _Seen = {}

    def call(layer: keras.layers.Layer, *args: Any, **kwargs: Any) -> Any:
        if isinstance(layer, keras.Model) and layer.weights and getattr(layer, "inputs", None):
            return inside(layer, *args, **kwargs)
        result = layer(*args, **kwargs)
        name = nonlinearity(layer)
        if name is not None:
            seen.setdefault(layer.name, (name, result))
        return result

    def inside(model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        again, found = _called_again(model)
        results = keras.Model(again.input, {"outputs": again.output, "activations": _tensors(found)})(*args, **kwargs)
        for name, (function, _) in found.items():
            seen.setdefault(name, (function, results["activations"][name]))
        return results["outputs"]

    functional = keras.Model(net.inputs[0], net.outputs[0]) if isinstance(net, keras.Sequential) else net
    return keras.models.clone_model(functional, clone_function=lambda layer: layer, call_function=call), seen


def _tensors(seen: _Seen) -> dict[str, Any]:
    return {name: tensor for name, (_, tensor) in seen.items()}
