"""Which layers are watched, and a network that returns their outputs beside its own, sharing all weights."""

from typing import Any

import keras

from kerasnets.telemetry.observers import Watched

_CLASSES = {"ReLU": "relu", "LeakyReLU": "leaky_relu", "PReLU": "prelu", "ELU": "elu", "Softmax": "softmax"}
_MAXOUT = "_maxout"


def nonlinearity(layer: keras.layers.Layer) -> str | None:
    """Return the name of the nonlinearity that a layer applies to its output, or None."""
    kind = type(layer).__name__
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

    Models nested in `net` are looked into where they have weights. A layer that is called more than once is watched at
    its first call.

    Args:
        net: functional model of one input.
    """
    seen: dict[str, tuple[str, Any]] = {}

    def call(layer: keras.layers.Layer, *args: Any, **kwargs: Any) -> Any:
        if isinstance(layer, keras.Model) and layer.weights:
            return _rewired(layer, args[0], call).output
        result = layer(*args, **kwargs)
        name = nonlinearity(layer)
        if name is not None:
            seen.setdefault(layer.name, (name, result))
        return result

    outputs = named_outputs(_rewired(net, net.input, call))
    for head, tensor in outputs.items():
        seen.setdefault(head, ("linear", tensor))
    tapped = keras.Model(net.input, {"outputs": outputs, "activations": {name: t for name, (_, t) in seen.items()}})
    watched = Watched(
        variables=tuple(net.trainable_variables),
        activations={name: function for name, (function, _) in seen.items()},
        shapes={name: tuple(tensor.shape) for name, (_, tensor) in seen.items()},
        heads=tuple(outputs),
    )
    return tapped, watched


def _rewired(net: keras.Model, inputs: Any, call: Any) -> keras.Model:
    """Call a functional model's own layers once more, one by one, on `inputs`."""
    return keras.models.clone_model(net, inputs, clone_function=lambda layer: layer, call_function=call)
