"""Files of weights, from anybody: name -> array, and no code of theirs runs. What cannot be read is a UserError.

Arrays are float32; what is no floating-point number (counters, an optimizer's steps) is left out.
"""

import pickle
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasnets.errors import UserError
from kerasnets.models import archive, load

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray]

_INSIDE = ("state_dict", "model")
"""Keys under which training scripts keep a state dict."""
_VARIABLES = {
    "conv2d": ("kernel", "bias"),
    "dense": ("kernel", "bias"),
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "p_re_lu": ("alpha",),
}
"""Kind of layer -> its variables in the order in which Keras 3 numbers them."""
_FAULTS = (
    *(OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError, EOFError, AssertionError),
    *(MemoryError, OverflowError, pickle.UnpicklingError, zipfile.BadZipFile),
)
"""What h5py, safetensors and torch raise for files that are none."""


def read(path: Path) -> "Arrays":
    """Return the arrays of a file by the file's own names (of Keras' files: `layer/variable`).

    Raises:
        UserError: there is no such file, its kind is not read here, or it is damaged or holds something else.
    """
    if path.is_dir():
        if not (path / "model.keras").is_file():
            raise UserError(f"{path} has no model.keras: it is no run directory, or that run stopped before")
        path = path / "model.keras"
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path}: weights are read from {', '.join(_READERS)} files and run directories")
    if not path.is_file():
        raise UserError(f"{path} is not there")
    try:
        found = reader(path)
    except UserError:
        raise
    except _FAULTS as error:
        raise UserError(f"{path} holds no weights that can be read: {_said(error)}") from error
    if not found:
        raise UserError(f"{path} holds no weights")
    return found


def _safetensors(path: Path) -> "Arrays":
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return _floats((name, file.get_tensor(name)) for name in file.keys())  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(error) from error


def _torch(path: Path) -> "Arrays":
    try:
        import torch
    except ImportError as error:
        raise UserError(
            f"{path} is PyTorch's, and torch is not installed: pip install torch, or convert the file to .safetensors"
        ) from error

    size = path.stat().st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as members:
            if any(member.compress_type != zipfile.ZIP_STORED for member in members.infolist()):
                raise ValueError("it is compressed, which PyTorch's own files are not")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError("it holds more than tensors; save model.state_dict()") from error
    except (RuntimeError, EOFError) as error:  # torch's own words are a page
        raise ValueError("it is cut off, or damaged") from error
    tensors = _state_dict(state, torch.Tensor)
    memory = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors.values()}
    if max(sum(memory.values()), sum(tensor.nbytes for tensor in tensors.values())) > size:
        raise ValueError("it declares more bytes than it has")
    floating = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}
    return {name: tensor.detach().to(torch.float32).contiguous().numpy() for name, tensor in floating.items()}


def _state_dict(state: Any, kind: type) -> dict[str, Any]:
    """Return name -> tensor of a state dict, or of the one in a training script's checkpoint."""
    for key in _INSIDE:
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping):
        raise ValueError(f"it holds a {type(state).__name__}; save model.state_dict()")
    found = {str(name): value for name, value in state.items() if isinstance(value, kind)}
    if all(name.startswith("module.") for name in found):  # as DataParallel names them
        found = {name.removeprefix("module."): value for name, value in found.items()}
    return found


def _hdf5(path: Path) -> "Arrays":
    import h5py

    with h5py.File(path, "r") as file:
        return _arrays(file)


def _keras(path: Path) -> "Arrays":
    import numpy as np

    return _floats((variable.path, np.asarray(variable)) for variable in load(path).weights)


def _arrays(file: Any) -> "Arrays":
    """Return `layer/variable` -> array of an HDF5 file in Keras 3's layout or the one before."""
    datasets = archive.plain_arrays(file)
    layered = {path: one for path, one in datasets.items() if path.startswith("/layers/")}
    name = _numbered if layered else _named
    found: dict[str, Any] = {}
    for path, dataset in (layered or datasets).items():
        plain = name(file, path)
        if plain is None:
            continue
        if plain in found:
            raise ValueError(f"it has {plain} twice")
        found[plain] = dataset
    return _floats((plain, dataset[()]) for plain, dataset in found.items())


def _numbered(file: Any, path: str) -> str:
    """Name an array of Keras 3's layout: `/layers/conv2d_7/vars/0`; the group has the layer's name as an attribute."""
    match = re.fullmatch(r"/layers/([a-z0-9_]+?)(?:_\d+)?/vars/(\d)", path)
    variables = _VARIABLES.get(match[1], ()) if match else ()
    if match is None or int(match[2]) >= len(variables):
        raise ValueError(f"{path} is of no layer that is known here")
    layer = file[path].parent.attrs.get("name")
    if not isinstance(layer, str):
        raise ValueError(f"{path} does not say of which layer it is; write the file with Keras 3.6 or later")
    return f"{layer}/{variables[int(match[2])]}"


def _named(file: Any, path: str) -> str | None:
    """Name an array of the layout before: `[/model_weights]/conv1_conv/conv1_conv/kernel:0`."""
    if path.startswith("/optimizer_weights/"):
        return None
    parts = path.removeprefix("/model_weights").strip("/").split("/")
    return f"{parts[0]}/{parts[-1].removesuffix(':0')}"


def _floats(arrays: "Iterable[tuple[str, np.ndarray]]") -> "Arrays":
    import numpy as np

    floating = ((name, value) for name, value in arrays if value.dtype.kind == "f" or value.dtype.name == "bfloat16")
    return {name: np.asarray(value, np.float32) for name, value in floating}


def _said(error: BaseException) -> str:
    """Return what an error says, in one line that is not too long."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}…"


_READERS: dict[str, "Callable[[Path], Arrays]"] = {
    ".safetensors": _safetensors,
    ".pth": _torch,
    ".pt": _torch,
    ".h5": _hdf5,
    ".keras": _keras,
}
