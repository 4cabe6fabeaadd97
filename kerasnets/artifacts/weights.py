"""A run's weights in files of other libraries: the way back of `model.pretrained`, read again before they are there."""

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from kerasnets.console import emit_json, import_tensorflow, out
from kerasnets.durable import sync
from kerasnets.errors import CheckFailed, UserError
from kerasnets.run import Run

if TYPE_CHECKING:
    import keras

Arrays = Mapping[str, np.ndarray]
_TORCH = (".safetensors", ".pth", ".pt")
_HDF5 = ".weights.h5"
FORMATS = {
    "torchvision": _TORCH,
    "timm": _TORCH,
    "keras.applications": (_HDF5,),
    "safetensors": (".safetensors",),
    "h5": (_HDF5,),
}
"""Whose names and layouts -> what the file's name ends with, the first of them by default."""
_FAMILIES = {"safetensors": "kerasnets", "h5": "kerasnets"}
_TWINS = {
    f"resnet{layers}{version}": f"ResNet{layers}{version.upper()}"
    for layers in (50, 101, 152)
    for version in ("", "v2")
}
"""Our name -> the function of keras.applications."""


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--format", "form", type=click.Choice(list(FORMATS)), default="safetensors", show_default=True, help="Whose names."
)
@click.option("--output", "-o", type=click.Path(path_type=Path), required=True, help="The file; must not exist.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def weights(run: Path, form: str, output: Path, as_json: bool) -> None:
    """Write RUN's best weights as a file that other libraries load; `model.pretrained=FILE` reads it back bit for bit.

    torchvision and timm: their names and layouts, as .safetensors or .pth. keras.applications: a .weights.h5 for its
    ResNets. safetensors and h5: our own names; h5 is what `load_weights` of a Keras model like model.keras takes.
    """
    arrays = write(Run.open(run), form, output)
    parameters = sum(array.size for name, array in arrays.items() if array.dtype.kind == "f")
    if as_json:
        emit_json({"schema": 1, "path": str(output), "format": form, "tensors": len(arrays), "parameters": parameters})
    else:
        out.print(f"{output}: {len(arrays):,} tensors, {parameters:,} numbers, {output.stat().st_size:,} bytes")


def write(run: Run, form: str, output: Path) -> Arrays:
    """Write the best weights of a run; return what is in the file, by the names in it.

    Raises:
        UserError: the file is there already or has another kind of name, or the format has no such model.
        CheckFailed: what was read back is not what was written; no file is left.
    """
    _check(form, output)
    import_tensorflow()
    from kerasnets import models
    from kerasnets.models import pretrained

    model = models.load(run.model_file)
    arrays = pretrained.export(model, _FAMILIES.get(form, form))
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".weights-") as folder:
        aside = Path(folder) / output.name
        _writer(form, output)(aside, arrays, model, run.config.model.name)
        _check_same(pretrained.files.read(aside), arrays, form)
        sync(aside)
        os.replace(aside, output)
    sync(output.parent)
    return arrays


def _check(form: str, output: Path) -> None:
    if not output.name.endswith(FORMATS[form]):
        raise UserError(f"--output {output}: a file of format {form} ends with {' or '.join(FORMATS[form])}")
    if output.exists():
        raise UserError(f"--output {output} is there already; name another file")
    if not output.parent.is_dir():
        raise UserError(f"--output {output}: there is no directory {output.parent}")


def _writer(form: str, output: Path) -> Callable[[Path, Arrays, "keras.Model", str], None]:
    if form == "keras.applications":
        return _keras_applications
    if form == "h5":
        return lambda path, arrays, model, name: model.save_weights(path)
    return _safetensors if output.suffix == ".safetensors" else _torch


def _safetensors(path: Path, arrays: Arrays, model: "keras.Model", name: str) -> None:
    from safetensors.numpy import save_file

    save_file(dict(arrays), path)


def _torch(path: Path, arrays: Arrays, model: "keras.Model", name: str) -> None:
    try:
        import torch
    except ImportError as error:
        raise UserError(f"{path.name} needs torch: pip install torch, or name a .safetensors file") from error
    torch.save({key: torch.from_numpy(np.array(value)) for key, value in arrays.items()}, path)


def _keras_applications(path: Path, arrays: Arrays, model: "keras.Model", name: str) -> None:
    """Write through the library's own model, whose order of layers such files have."""
    import keras

    if name not in _TWINS:
        raise UserError(f"keras.applications has no {name}; it has {', '.join(_TWINS)}")
    make: Any = getattr(keras.applications, _TWINS[name])
    twin = make(weights=None, input_shape=model.input_shape[1:], classes=model.output_shape[-1])
    theirs = {variable.path: variable for variable in twin.weights}
    for key in theirs.keys() ^ arrays.keys():
        raise UserError(f"keras.applications.{_TWINS[name]} is another model: {key} is in one of them alone")
    for key, variable in theirs.items():
        if tuple(variable.shape) != arrays[key].shape:
            shapes = f"{tuple(variable.shape)} there and {arrays[key].shape} here"
            raise UserError(f"keras.applications.{_TWINS[name]} is another model: {key} is {shapes}")
        variable.assign(arrays[key])
    twin.save_weights(path)


def _check_same(found: Arrays, wanted: Arrays, form: str) -> None:
    """See that what was read back is bit for bit what was to be written; counters are no weights."""
    wanted = {name: value for name, value in wanted.items() if value.dtype.kind == "f"}
    for name in found.keys() ^ wanted.keys():
        raise CheckFailed(f"format {form}: {name} is {'not ' if name in wanted else ''}in the file that was written")
    for name, value in wanted.items():
        if found[name].tobytes() != value.tobytes():
            raise CheckFailed(f"format {form}: {name} is not in the file as it was written")
