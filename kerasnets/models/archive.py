"""What a `.keras` file may hold before Keras opens it: layers that compute on images, and plain arrays.

Keras' safe mode refuses code, but takes any of its own layers, also those that open other files, and reads whatever an
HDF5 file points to. A file may come from anybody, so nothing but what is listed here is let through: what models here
are made of, and what models of the user's own may be made of besides.
"""

import io
import json
import math
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kerasnets.errors import UserError
from kerasnets.models.shapes import shapes_only

SUFFIX = ".keras"
CONFIG, WEIGHTS, METADATA = "config.json", "model.weights.h5", "metadata.json"
MOST_LAYERS = 20_000
"""ResNet-1202 has 4,212."""
_LAYERS = frozenset(
    {
        *("Activation", "AdaptiveAveragePooling2D", "Add", "AveragePooling2D", "BatchNormalization", "Concatenate"),
        *("Conv2D", "Dense", "Dropout", "Flatten", "GlobalAveragePooling2D", "InputLayer", "LeakyReLU", "MaxPooling2D"),
        *("PReLU", "ZeroPadding2D"),
    }
)
_OTHER_LAYERS = frozenset(
    {
        *(
            "AlphaDropout",
            "Average",
            "Conv1D",
            "Conv2DTranspose",
            "Cropping2D",
            "DepthwiseConv2D",
            "ELU",
            "EinsumDense",
        ),
        *(
            "GaussianDropout",
            "GaussianNoise",
            "GlobalMaxPooling2D",
            "GroupNormalization",
            "Identity",
            "LayerNormalization",
        ),
        *(
            "Maximum",
            "Minimum",
            "MultiHeadAttention",
            "Multiply",
            "Normalization",
            "Permute",
            "RMSNormalization",
        ),
        *("ReLU", "Rescaling", "Reshape", "SeparableConv2D", "Softmax", "SpatialDropout2D", "Subtract"),
        *("UnitNormalization", "UpSampling2D"),
    }
)
"""Of models of the user's own: they compute on arrays, and read nothing else."""
_INITIALIZERS = frozenset(
    {
        *("Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform", "Ones"),
        *("Orthogonal", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling", "Zeros"),
    }
)
_OPERATIONS = frozenset(
    {
        *("Add", "AveragePool", "GetItem", "Max", "Maximum", "Multiply", "Pad", "Power", "Reshape", "Rsqrt", "Sqrt"),
        *("Split", "Square", "Subtract"),
    }
)
_OTHER_OPERATIONS = frozenset(
    {
        *("Absolute", "Clip", "Concatenate", "Divide", "Einsum", "Elu", "Exp", "ExpandDims", "Gelu", "HardSigmoid"),
        *("HardSilu", "LeakyRelu", "Log", "LogSoftmax", "Matmul", "MaxPool", "Mean", "Min", "Minimum", "Negative"),
        *("Relu", "Relu6", "Sigmoid", "Silu", "Softmax", "Softplus", "Softsign", "Squeeze", "Stack", "Sum", "Tanh"),
        *("Transpose", "TrueDivide"),
    }
)
_MODELS = (("keras.src.models.functional", "Functional"), ("keras", "Sequential"))
ALLOWED: dict[str | None, frozenset[str]] = {
    "keras": frozenset({"DTypePolicy", "Sequential"}),
    "keras.layers": _LAYERS | _OTHER_LAYERS,
    "keras.initializers": _INITIALIZERS,
    "keras.src.models.functional": frozenset({"Functional"}),
    **{f"keras.src.ops.{module}": _OPERATIONS | _OTHER_OPERATIONS for module in ("core", "math", "nn", "numpy")},
    None: frozenset({"__keras_tensor__"}),
}
"""Module -> names of what a config may have Keras make."""


def check(path: Path, allow_depth: Callable[[int], None]) -> None:
    """See that the content of a `.keras` file is safe to hand to Keras.

    Args:
        path: the file.
        allow_depth: is told the number of layers before Keras sees them.

    Raises:
        UserError: it is no such file, or holds something that no model here needs.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive, path.stat().st_size)
            config = json.loads(archive.read(CONFIG))
            if isinstance(config, dict):
                config.pop("compile_config", None)  # loss and optimizer; Keras drops it too where it does not compile
            _check_config(config)
            allow_depth(len(config["config"]["layers"]))
            _check_weights(archive.read(WEIGHTS), _declared(config))
    except (OSError, KeyError, TypeError, AttributeError, ValueError, RecursionError, zipfile.BadZipFile) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise UserError(f"{path} is not a model that can be loaded: {reason}") from error


def check_layers(model: Any) -> None:
    """See that a model, once saved, is one that `check` lets through; else ValueError names what it is made of."""
    import keras

    _check_config(json.loads(json.dumps(keras.saving.serialize_keras_object(model))))


def _check_members(archive: zipfile.ZipFile, size: int) -> None:
    members = archive.infolist()
    names = sorted(member.filename for member in members)
    if names != [CONFIG, METADATA, WEIGHTS]:
        odd = next((name for name in names if name not in (CONFIG, METADATA, WEIGHTS)), None)
        raise ValueError(f"it holds {odd!r}" if odd else f"it holds {', '.join(names) or 'nothing'}")
    if any(member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1 for member in members):
        raise ValueError("it is compressed or encrypted, which Keras' own files are not")
    if sum(member.file_size for member in members) > size:
        raise ValueError("it declares more bytes than it has")


def _check_config(config: Any) -> None:
    """See that every object a config names is one that is allowed, however deep it stands."""
    layers = config["config"]["layers"]
    if len(layers) > MOST_LAYERS:
        raise ValueError(f"it has {len(layers):,} layers")
    if (config["module"], config["class_name"]) not in _MODELS:
        raise ValueError("it is not a functional model")
    for found in _objects(config):
        module, name, registered = found.get("module"), found["class_name"], found.get("registered_name")
        if not isinstance(name, str) or module not in ALLOWED or name not in ALLOWED[module]:
            raise ValueError(f"it names {f'{module}.' if module else ''}{name}, of which no model here is made")
        if registered not in (None, name):
            raise ValueError(f"it registers {name} as {registered!r}")


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Yield each mapping that Keras would make an object of."""
    waiting = [config]
    while waiting:
        here = waiting.pop()
        if isinstance(here, dict):
            if "class_name" in here:
                yield here
            waiting += here.values()
        elif isinstance(here, list):
            waiting += here


def _declared(config: dict[str, Any]) -> int:
    """Return the bytes of the weights that a config declares, without making them."""
    import keras

    with shapes_only():
        model = keras.saving.deserialize_keras_object(config, safe_mode=True)
    return sum(math.prod(variable.shape) * 4 for variable in model.weights)


def _check_weights(content: bytes, declared: int) -> None:
    """See that an HDF5 file holds its arrays itself, whole, and no fewer than the model wants."""
    import h5py

    with h5py.File(io.BytesIO(content), "r") as file:
        stored = sum(int(dataset.nbytes) for dataset in plain_arrays(file).values())
    if stored < declared:
        raise ValueError(f"it declares {declared:,} bytes of weights, and holds {stored:,}")


def plain_arrays(file: Any) -> dict[str, Any]:
    """Return path -> dataset of an open `h5py.File`; nothing was followed out of it, and nothing read.

    Raises:
        ValueError: it holds a link, one thing twice, or an array that does not lie in it as it is.
    """
    import h5py

    found: dict[str, Any] = {}
    seen = set()
    waiting = [file["/"]]
    while waiting:
        group = waiting.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"its weights hold a link, {name!r}")
            member = group[name]
            address = h5py.h5o.get_info(member.id).addr
            if address in seen:
                raise ValueError(f"its weights hold one thing twice, {name!r}")
            seen.add(address)
            if isinstance(member, h5py.Group):
                waiting.append(member)
            else:
                _check_plain(member, name)
                found[member.name] = member
    return found


def _check_plain(dataset: Any, name: str) -> None:
    """See that an array lies in the file as it is."""
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"its weights are in another file, {name!r}")
    whole = dataset.chunks is None and dataset.id.get_storage_size() == dataset.nbytes
    if dataset.dtype.kind not in "fiub" or not whole:
        raise ValueError(f"its weights hold an array that is not plain, {name!r}")
