"""Weights of others in our graphs, and ours in their names.

Read are torchvision's ResNets and GoogLeNet, timm's ResNets of the same names, keras.applications' ResNets of both
versions, and our own models and runs. One table of names and one of layouts (families.py) serve both directions.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from kerasnets.models.pretrained import families, files, fitting
from kerasnets.models.pretrained.fitting import SHARE, Loaded, Tensor
from kerasnets.models.pretrained.sameness import check_same_function

if TYPE_CHECKING:
    import keras
    import numpy as np

__all__ = ["FAMILIES", "SHARE", "Loaded", "Tensor", "export", "load"]
FAMILIES = families.NAMES


def load(model: "keras.Model", path: str | Path) -> Loaded:
    """Copy the weights of a file (or of a run directory's model.keras) into a model of ours.

    All or nothing: when this raises, the model is as it was. Heads are replaceable: one of another number of classes
    stays as it was initialised. The rest is not: each of the file's other tensors must have its place in the model.

    Args:
        model: what `models.build` returned.
        path: .safetensors, .pth or .pt (both need torch), .h5, .weights.h5, .keras, or a run directory.

    Returns:
        What became of each variable, and what `data.normalize` such weights expect.

    Raises:
        UserError: the file cannot be read or is of no family known here; a value is NaN or infinite; a shape
            differs; tensors are left over, or less than `SHARE` of the model's parameters is there; or the model's
            options make another function of them.
    """
    path = Path(path)
    plan = fitting.fit(model, files.read(path), path)
    for variable, value in plan.values:
        variable.assign(value)
    return plan.loaded


def export(model: "keras.Model", family: str) -> "dict[str, np.ndarray]":
    """Return a model's weights in a family's names and layouts, as its own files hold them; `load` reads them back.

    `torchvision` and `timm` are a state dict, its batch counters 0; `keras.applications` is layer/variable;
    `kerasnets` is our plain names. A convolution's bias where theirs has none is folded into the normalisation's
    moving mean, and theirs where ours has none is 0: only in the first case the way back is not bit for bit.

    Raises:
        UserError: no such family, or it has no such model, or its model makes another function of these weights.
    """
    made = families.export(model, family)
    plain = {families.neutral(variable.path) for variable in model.weights}
    check_same_function(model, families.fitting(family, plain), plain, f"weights as {family}")
    return made
