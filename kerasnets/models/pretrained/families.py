"""Families of weights: whose names and layouts a file has. Both directions are here, side by side.

Kernels of convolutions are [height, width, in, out] here and in Keras, [out, in, height, width] in PyTorch; dense ones
[in, out] and [out, in]. Where a dense layer follows a flattening, its inputs run over height, width, channels here, and
over channels, height, width there. keras.applications' first ResNets take BGR: their first kernel is reversed on the
way, so that preprocessing is RGB everywhere.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kerasnets.errors import UserError, nearest
from kerasnets.models.pretrained import names
from kerasnets.models.specs import HEADS, MAIN_HEAD

if TYPE_CHECKING:
    import keras
    import numpy as np

STEM = "conv1_conv/kernel"
_TORCH_VARIABLES = {
    "bn": {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"},
    "conv": {"kernel": "weight"},
    "dense": {"kernel": "weight", "bias": "bias"},
}
_COUNTER = "num_batches_tracked"
_AUXILIARY_SIDE = 4  # torchvision pools to 4x4 before it flattens


@dataclass(frozen=True)
class Family:
    """Whose names and layouts; without rules names are our plain ones."""

    name: str
    rules: tuple[names.Rule, ...]
    torch: bool = False

    def plain(self, name: str) -> str | None:
        """Return our plain name of their tensor, or None when the family has no such."""
        if not self.rules:
            return neutral(name)
        layer, _, variable = name.rpartition("." if self.torch else "/")
        if layer == "probs" and not self.torch:
            layer = "predictions"  # as files of before 2019 call it
        ours = names.to_ours(self.rules, layer)
        if ours is None or not self.torch:
            return ours and f"{ours}/{variable}"
        found = {theirs: own for own, theirs in _torch_variables(ours).items()}.get(variable)
        return found and f"{ours}/{found}"

    def foreign(self, plain: str) -> str | None:
        """Return their name of our variable, or None when the family has no such."""
        layer, _, variable = plain.rpartition("/")
        theirs = names.to_theirs(self.rules, layer)
        if theirs is None or not self.torch:
            return theirs and f"{theirs}/{variable}"
        found = _torch_variables(layer).get(variable)
        return found and f"{theirs}.{found}"

    def to_ours(self, plain: str, value: "np.ndarray") -> "np.ndarray":
        """Return a tensor of theirs in our layout."""
        if not self.torch or value.ndim < 2:
            return value
        if value.ndim == 4:
            return value.transpose(2, 3, 1, 0)
        if _flattened(plain) and value.ndim == 2 and value.shape[1] % _AUXILIARY_SIDE**2 == 0:
            maps = value.reshape(len(value), -1, _AUXILIARY_SIDE, _AUXILIARY_SIDE)
            return maps.transpose(2, 3, 1, 0).reshape(-1, len(value))
        return value.T

    def to_theirs(self, plain: str, value: "np.ndarray") -> "np.ndarray":
        """Return a tensor of ours in their layout."""
        if not self.torch or value.ndim < 2:
            return value
        if value.ndim == 4:
            return value.transpose(3, 2, 0, 1)
        if _flattened(plain) and value.shape[0] % _AUXILIARY_SIDE**2 == 0:
            maps = value.reshape(_AUXILIARY_SIDE, _AUXILIARY_SIDE, -1, value.shape[1])
            return maps.transpose(3, 2, 0, 1).reshape(value.shape[1], -1)
        return value.T


RESNET = Family("torchvision", names.TORCHVISION_RESNET, torch=True)
GOOGLENET = Family("torchvision", names.TORCHVISION_GOOGLENET, torch=True)
KERAS_APPLICATIONS = Family("keras.applications", names.KERAS_APPLICATIONS)
OURS = Family("kerasnets", ())
NAMES = ("torchvision", "timm", "keras.applications", "kerasnets")


def detect(found: Iterable[str]) -> Family | None:
    """Return the family of a file's names, or None; timm's ResNets have torchvision's names, and count as those."""
    found = list(found)
    if any(is_head(name) for name in found):
        return OURS
    scores = {
        family: sum(family.plain(name) is not None for name in found)
        for family in (RESNET, GOOGLENET, KERAS_APPLICATIONS)
    }
    best = max(scores, key=lambda family: scores[family])
    return best if scores[best] >= 2 else None


def neutral(path: str) -> str:
    """Return the plain name of a variable of ours: the main head is `softmax` in every model."""
    layer, _, variable = path.rpartition("/")
    return f"{MAIN_HEAD if layer == HEADS[-1] else layer}/{variable}"


def is_head(plain: str) -> bool:
    """Return whether a variable belongs to a head, main or auxiliary."""
    return plain.startswith(MAIN_HEAD)


def is_counter(name: str) -> bool:
    """Return whether a name is that of PyTorch's counter of batches, which nothing here needs."""
    return name.endswith(f".{_COUNTER}")


def bgr(family: Family, found: Iterable[str]) -> bool:
    """Return whether weights with these plain names take BGR: keras.applications' ResNets without pre-activation."""
    return family is KERAS_APPLICATIONS and not any("_preact_" in plain for plain in found)


def normalization(family: Family, found: Iterable[str]) -> str | None:
    """Return the `data.normalize` that weights with these plain names expect, None where their file does not tell."""
    if family is KERAS_APPLICATIONS:
        return "caffe" if bgr(family, found) else "symmetric"
    return {RESNET: "imagenet", GOOGLENET: "symmetric"}.get(family)


def fitting(name: str, plain: Iterable[str]) -> Family:
    """Return the family of a name for a model with these plain names."""
    if name in (OURS.name, KERAS_APPLICATIONS.name):
        return OURS if name == OURS.name else KERAS_APPLICATIONS
    return GOOGLENET if any(found.startswith("inception_") for found in plain) else RESNET


def export(model: "keras.Model", name: str) -> "dict[str, np.ndarray]":
    """Return a model's weights in a family's names and layouts; see `pretrained.export`."""
    import numpy as np

    ours = {variable.path: np.array(variable) for variable in model.weights}
    if name not in NAMES:
        raise UserError(f"weights of {name!r} are not known here; allowed: {', '.join(NAMES)}{nearest(name, NAMES)}")
    if name == OURS.name:
        return ours
    found = {neutral(path): value for path, value in ours.items()}
    family = fitting(name, found)
    _biases(found, wanted=bgr(family, found))  # keras.applications' first ResNets alone
    if bgr(family, found) and STEM in found:
        found[STEM] = found[STEM][:, :, ::-1]
    made: dict[str, np.ndarray] = {}
    for plain, value in found.items():
        theirs = family.foreign(plain)
        if theirs is None or (name == "timm" and family is GOOGLENET):
            raise UserError(f"{name} has no model with a variable such as {plain}, which {model.name} has")
        made[theirs] = np.ascontiguousarray(family.to_theirs(plain, value))
        if theirs.endswith(".running_var"):
            made[theirs.replace("running_var", _COUNTER)] = np.zeros((), np.int64)
    return made


def fold(found: "dict[str, np.ndarray]", conv: str) -> None:
    """Take the bias of a convolution off the moving mean of the normalisation that follows: the same function."""
    bias = found.pop(f"{conv}/bias")
    mean = f"{conv.removesuffix('_conv')}_bn/moving_mean"
    found[mean] = found[mean] - bias


def _biases(found: "dict[str, np.ndarray]", wanted: bool) -> None:
    """See that convolutions which a normalisation follows have biases, or none."""
    import numpy as np

    for kernel in [plain for plain in found if plain.endswith("_conv/kernel")]:
        conv = kernel.removesuffix("/kernel")
        normalized = f"{conv.removesuffix('_conv')}_bn/moving_mean" in found
        if normalized and not wanted and f"{conv}/bias" in found:
            fold(found, conv)
        if normalized and wanted:
            found.setdefault(f"{conv}/bias", np.zeros(found[kernel].shape[-1], found[kernel].dtype))


def _torch_variables(layer: str) -> Mapping[str, str]:
    kind = layer.rpartition("_")[2]
    return _TORCH_VARIABLES[kind if kind in ("bn", "conv") else "dense"]


def _flattened(plain: str) -> bool:
    """Return whether a dense layer's inputs are a flattened image."""
    return plain.endswith("_fc/kernel")
