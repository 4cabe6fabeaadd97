"""Models of the user's own: `model.name` is `package.module:function`, or the path of a `.keras` file.

What comes out is like what the builders here make: one flat graph of Keras' own layers, from images to logits.
"""

import importlib
import inspect
import itertools
import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
from keras.src.models.functional import Functional  # the class that a saved functional model names

from kerasnets.errors import UserError, nearest
from kerasnets.models import archive
from kerasnets.models.specs import MAIN_HEAD

_SOFTMAX = "Softmax"
"""Class name of Keras' layer and of its operation."""


def build(name: str, input_shape: tuple[int, int, int], classes: int, options: Mapping[str, object]) -> keras.Model:
    """Return the user's model, `[N, H, W, C]` to logits `[N, classes]`; a softmax at its end is taken off.

    Args:
        name: `module:function` or a `.keras` file.
        input_shape: height, width in pixels, channels.
        classes: K.
        options: what the function takes besides `input_shape` and `classes`.

    Raises:
        UserError: there is none, it fails, or it is no functional model of Keras' own layers from images to K numbers.
    """
    if name.endswith(archive.SUFFIX):
        if options:
            raise UserError(f"model.{next(iter(options))}: a `.keras` file is what it is and takes no options")
        model = _from_file(Path(name))
    else:
        model = _from_function(name, input_shape, classes, options)
    try:
        return _standard(model, input_shape, classes, name)
    except ValueError as error:
        raise UserError(f"model.name={name}: {error}") from error


def _from_file(path: Path) -> keras.Model:
    from kerasnets.models import load

    if not path.is_file():
        raise UserError(f"model.name={path}: there is no such file")
    return load(path)


def _from_function(
    name: str, input_shape: tuple[int, int, int], classes: int, options: Mapping[str, object]
) -> keras.Model:
    function = _find(name)
    arguments = {"input_shape": input_shape, "classes": classes, **options}
    _check_arguments(name, function, arguments)
    try:
        return function(**arguments)
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise UserError(
            f"model.name={name} failed: {type(error).__name__}: {error} ({place.filename}, line {place.lineno})"
        ) from error


def _find(name: str) -> Callable[..., Any]:
    """Import the function. Modules of the working directory are found, as `python -m` finds them."""
    module_name, _, attribute = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise UserError(f"model.name={name}: module '{module_name}' cannot be imported: {error}") from error
    function = getattr(module, attribute, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise UserError(f"model.name={name}: '{module_name}' has no function '{attribute}'{nearest(attribute, known)}")
    return function


def _check_arguments(name: str, function: Callable[..., Any], arguments: Mapping[str, object]) -> None:
    """See that the function is meant for this, and takes the options that the config names."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError) as error:  # built in
        raise UserError(f"model.name={name}: it is no function of Python") from error
    if not {"input_shape", "classes"} <= parameters.keys():
        raise UserError(f"model.name={name}: it must have parameters named `input_shape` and `classes`")
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        for key in arguments.keys() - parameters.keys():
            raise UserError(f"model.{key} is no parameter of {name}{nearest(key, parameters)}")
    for key, parameter in parameters.items():
        required = parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
        if required and key not in arguments:
            raise UserError(f"model.{key} is missing; {name} needs it")


def _standard(model: object, input_shape: tuple[int, int, int], classes: int, name: str) -> keras.Model:
    """Return the model as one flat graph to logits, sharing its weights; ValueError says what does not fit."""
    if isinstance(model, keras.Sequential) and model.built:
        model = keras.Model(model.inputs, model.outputs, name=model.name)
    if not isinstance(model, Functional):
        found = "a Sequential model without an Input" if isinstance(model, keras.Sequential) else type(model).__name__
        raise ValueError(f"found {found}; a functional Keras model is wanted, from keras.Input to an output")
    _check_shapes(model, input_shape, classes)
    image = keras.Input(input_shape, name="image")
    logits = _logits(keras.tree.flatten(_laid_out(model, image))[0])
    if not isinstance(logits._keras_history.operation, keras.layers.Layer):
        logits = keras.layers.Identity()(logits)  # the head has a layer's name
    flat = keras.Model(image, logits, name=re.sub(r"\W", "_", Path(name).stem.rpartition(":")[2]))
    for variable in flat.trainable_variables:
        if variable.regularizer is not None or variable.constraint is not None:
            what = "regularizer" if variable.regularizer is not None else "constraint"
            raise ValueError(f"{variable.path} has a {what}, which training does not see; take training.weight_decay")
    archive.check_layers(flat)
    return _named(flat)


def _check_shapes(model: keras.Model, input_shape: tuple[int, int, int], classes: int) -> None:
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        counts = f"{len(model.inputs)} inputs and {len(model.outputs)} outputs"
        raise ValueError(f"it has {counts}; one input (images) and one output (logits or probabilities) are wanted")
    takes, gives = model.inputs[0].shape, model.outputs[0].shape
    if len(takes) != 4 or any(there not in (None, here) for there, here in zip(takes[1:], input_shape, strict=True)):
        raise ValueError(f"its input is {_words(takes)}; the data's images are {_words((None, *input_shape))}")
    if tuple(gives) != (None, classes):
        raise ValueError(f"its output is {_words(gives)}; the data's {classes} classes want {_words((None, classes))}")


def _words(shape: tuple[int | None, ...]) -> str:
    return f"[{', '.join(['N', *('?' if side is None else str(side) for side in shape[1:])])}]"


def _laid_out(model: keras.Model, image: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
    """Return the model's output for `image`, every model inside it laid out as layers.

    Layers and weights stay the same objects. `training` is what a model inside another was called with, which holds for
    each layer of it.
    """

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if training is not None and getattr(layer, "_call_has_training_arg", False):
            kwargs["training"] = training
        inside = layer._functional if isinstance(layer, keras.Sequential) else layer
        if isinstance(inside, Functional):
            return _laid_out(inside, args[0], kwargs.get("training"))
        return layer(*args, **kwargs)

    return model._run_through_graph(image, call_fn=call)


def _named(model: keras.Model) -> keras.Model:
    """Return the model with names of its own: Keras numbers layers by process, and a checkpoint goes to the next one.

    A layer that Keras named is called by its class and its place among them, the last one as the head; variables bear
    their layer's name alone.
    """
    head = model.output._keras_history.operation
    own = {layer.name for layer in model.layers if layer is not head and not _is_numbered(layer)}
    if MAIN_HEAD in own:
        raise ValueError(f"it has a layer named {MAIN_HEAD!r}, which is what its output is called here")
    taken = {MAIN_HEAD, *own}
    pairs = []

    def clone(layer: Any) -> Any:
        if not isinstance(layer, keras.layers.Layer):
            return layer
        name = MAIN_HEAD if layer is head else layer.name if layer.name in own else _free(_snake(layer), taken)
        taken.add(name)
        twin = type(layer).from_config({**layer.get_config(), "name": name})
        pairs.append((layer, twin))
        return twin

    named = keras.models.clone_model(model, clone_function=clone)
    for layer, twin in pairs:
        twin.set_weights(layer.get_weights())
    return named


def _is_numbered(layer: keras.layers.Layer) -> bool:
    return re.fullmatch(rf"{_snake(layer)}(_\d+)?", layer.name) is not None


def _snake(layer: keras.layers.Layer) -> str:
    """Return what Keras calls a layer of this class, without a number."""
    word = re.sub(r"\W+", "", type(layer).__name__)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", word)).lower()


def _free(name: str, taken: set[str]) -> str:
    numbered = (name if number == 0 else f"{name}_{number}" for number in itertools.count())
    return next(name for name in numbered if name not in taken)


def _logits(output: keras.KerasTensor) -> keras.KerasTensor:
    """Return what goes into the softmax at a model's end; the output itself where there is none."""
    last = output._keras_history.operation
    activation = getattr(last, "activation", None)
    if type(last).__name__ == _SOFTMAX or (
        isinstance(last, keras.layers.Activation) and activation is keras.activations.softmax
    ):
        return last._inbound_nodes[output._keras_history.node_index].input_tensors[0]
    if activation is keras.activations.softmax:
        last.activation = keras.activations.linear
    elif type(last).__name__ == "Sigmoid" or activation is keras.activations.sigmoid:
        raise ValueError(f"it ends in a sigmoid ({last.name}); logits, or a softmax over the classes, are wanted")
    return output
