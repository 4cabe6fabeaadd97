"""Models by name: a table of specs, and functions that build Keras graphs from a row of it.

Channels are last everywhere. Importing this package imports no Keras.
"""

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from kerasnets.errors import UserError
from kerasnets.models import archive, specs
from kerasnets.models.specs import HEADS, MODELS, heads, row

if TYPE_CHECKING:
    import keras

__all__ = ["MODELS", "build", "heads", "load", "main", "row"]


def build(
    name: str,
    input_shape: tuple[int, int, int] | None = None,
    classes: int | None = None,
    **options: object,
) -> "keras.Model":
    """Build a model by name.

    Args:
        name: a name of `MODELS`, or `resnet<6n+2>` or `plain<6n+2>`; `module:function` or a `.keras` file of your own.
        input_shape: height and width in pixels, and channels (1 or 3); the row's unless given.
        classes: number of classes; the row's unless given.
        options: any field of the row's options; of your own function, its other parameters.

    Returns:
        A functional model from `image`, float32 `[N, H, W, C]`, preprocessed, to logits `[N, classes]`: one tensor of
        the layer `softmax`, or with auxiliary heads a dict of the layers `softmax0`, `softmax1` and `softmax2`.

    Raises:
        UserError: no such name, option or value, or an input that is too small.
    """
    if specs.is_own(name):
        return _own(name, input_shape, classes, options)
    found = row(name)
    input_shape = found.input_shape if input_shape is None else input_shape
    classes = found.classes if classes is None else classes
    chosen = specs.options(name, options)
    specs.check_input(name, chosen, input_shape, classes)
    if isinstance(chosen, specs.ResNetOptions):
        allow_depth(12 * sum(chosen.blocks))  # a bottleneck with projection has twelve layers
    family = import_module(f"kerasnets.models.{found.family}")
    model: keras.Model = family.build(specs.resolve(chosen, input_shape), input_shape, classes, name)
    return model


def _own(
    name: str, input_shape: tuple[int, int, int] | None, classes: int | None, options: dict[str, object]
) -> "keras.Model":
    from kerasnets.models import own

    if input_shape is None or classes is None:
        raise UserError(f"model.name={name}: input_shape and classes must be given for a model of your own")
    return own.build(name, input_shape, classes, options)


def main(model: "keras.Model") -> "keras.Model":
    """Return the model that is served: from the image to the main head's logits alone, sharing the weights.

    The very model, if it has no other head.
    """
    import keras

    if not isinstance(model.output, dict):
        return model
    return keras.Model(model.input, model.output[HEADS[-1]], name=model.name)


def load(path: str | Path) -> "keras.Model":
    """Load a `model.keras` of any depth, uncompiled. Plain `load_model` fails on ResNet-1202 (4,212 layers).

    Raises:
        UserError: the file holds something else than a model of layers that are used here.
    """
    import keras

    archive.check(Path(path), allow_depth)
    return keras.models.load_model(path, compile=False, safe_mode=True)


def allow_depth(layers: int) -> None:
    """Raise Python's recursion limit to what Keras needs for a model of so many layers.

    Keras walks a graph by recursion, from output to input, when it builds, clones, saves or loads a model; ResNet-1202
    exceeds the default limit in each. So the limit stays raised, and is never lowered.
    """
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 1000 + 2 * layers))
