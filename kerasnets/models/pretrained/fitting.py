"""Which tensor of a file goes into which variable of a model, and what is done to it on the way."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kerasnets.errors import UserError
from kerasnets.errors import plain as printable
from kerasnets.models.pretrained import families
from kerasnets.models.pretrained.families import STEM, Family
from kerasnets.models.pretrained.likeness import likeness
from kerasnets.models.pretrained.sameness import check_same_function

if TYPE_CHECKING:
    import keras
    import numpy as np

SHARE = 0.9
"""Of the parameters outside the heads, how many a file must have for a model."""


@dataclass(frozen=True)
class Tensor:
    """What became of one variable of the model.

    Attributes:
        name: its plain name, such as `conv2_block1_1_conv/kernel`.
        source: the file's name of it, None where the file has none.
        state: `loaded` as it is (but for the order of its axes), `adapted`, or `initial`: left as it was.
        note: what was adapted, or why it was left; empty for `loaded`.
    """

    name: str
    source: str | None
    state: str
    note: str = ""


@dataclass(frozen=True)
class Loaded:
    """What `pretrained.load` did.

    Attributes:
        path: the file.
        family: `torchvision` (timm's ResNets too), `keras.applications` or `kerasnets`.
        tensors: one for each variable of the model, in its order.
        unused: names of the file's tensors that the model has no place for: those of heads.
        normalize: what `data.normalize` must be for such weights: `imagenet`, `caffe` (mean 123.68, 116.779, 103.939,
            std 1, in RGB), `symmetric` ([-1, 1]); None where the file does not tell.
    """

    path: Path
    family: str
    tensors: tuple[Tensor, ...]
    unused: tuple[str, ...]
    normalize: str | None


class Plan(NamedTuple):
    """What to assign, and how it will be told."""

    values: "list[tuple[keras.Variable, np.ndarray]]"
    loaded: Loaded


@dataclass
class _Source:
    """A file's tensors by plain name, in our layout."""

    names: dict[str, str]
    values: "dict[str, np.ndarray]"
    notes: dict[str, str]


def fit(model: "keras.Model", arrays: "dict[str, np.ndarray]", path: Path) -> Plan:
    """Find the place of each tensor; nothing is written into the model yet.

    Raises:
        UserError: see `pretrained.load`.
    """
    family = families.detect(arrays)
    if family is None:
        first = ", ".join(_shown(name) for name in list(arrays)[:3])
        raise UserError(
            f"{path} holds no weights of a model that is known here ({first}, …); read are torchvision's ResNets and "
            "GoogLeNet, timm's ResNets of the same names, keras.applications' ResNets, and ours"
        )
    source = _translate(family, arrays, path)
    like = likeness(source.values, model.name)
    variables = {families.neutral(variable.path): variable for variable in model.weights}
    _fold_biases(source, variables)
    values, tensors = [], []
    fresh = dict(_fresh_heads(source, variables))
    for plain, variable in variables.items():
        value, tensor = _place(plain, variable, source, fresh, f"{path}: ", like)
        tensors.append(tensor)
        if value is not None:
            values.append((variable, value))
    unused = [name for plain, name in source.names.items() if plain not in variables and plain in source.values]
    _check_leftovers(source, variables, model, path, like)
    _check_share(variables, tensors, model, path, like)
    check_same_function(model, family, source.values, path)
    normalize = families.normalization(family, source.values)
    return Plan(values, Loaded(path, family.name, tuple(tensors), tuple(unused), normalize))


def _translate(family: Family, arrays: "dict[str, np.ndarray]", path: Path) -> _Source:
    """Bring a file's names and layouts to ours."""
    import numpy as np

    source = _Source({}, {}, {})
    for name, value in arrays.items():
        if families.is_counter(name):
            continue
        plain = family.plain(name)
        if plain is None:
            known = f"{family.name}'s models that are known here"
            raise UserError(f"{path} holds {_shown(name)}, which none of {known} has")
        if plain in source.names:
            both = f"{_shown(source.names[plain])} and {_shown(name)}"
            raise UserError(f"{path} holds both {both}, which are one and the same")
        if not np.isfinite(value).all():
            raise UserError(f"{path}: {_shown(name)} holds NaN or infinity")
        source.names[plain] = name
        source.values[plain] = family.to_ours(plain, value)
    stem = source.values.get(STEM)
    if families.bgr(family, source.values) and stem is not None and stem.ndim == 4 and stem.shape[2] == 3:
        source.values[STEM] = stem[:, :, ::-1]
        source.notes[STEM] = "BGR there: channels reversed"
    return source


def _fold_biases(source: _Source, variables: dict[str, Any]) -> None:
    """Where a convolution has a bias there and none here, and a normalisation follows, its moving mean takes it."""
    import numpy as np

    for plain in [plain for plain in source.values if plain.endswith("_conv/bias")]:
        conv = plain.removesuffix("/bias")
        mean = f"{conv.removesuffix('_conv')}_bn/moving_mean"
        bias = source.values[plain]
        if plain in variables or f"{conv}/kernel" not in variables or mean not in variables:
            continue
        if bias.shape != source.values.setdefault(mean, np.zeros_like(bias)).shape:
            continue  # the shapes of these are wrong: that is told where they are placed
        families.fold(source.values, conv)
        source.names.setdefault(mean, source.names[plain])
        source.notes[mean] = "the convolution has a bias there: taken off the mean"


def _fresh_heads(source: _Source, variables: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each layer of a head that cannot take the file's weights, and why."""
    for plain, variable in variables.items():
        layer = plain.rpartition("/")[0]
        found = source.values.get(plain)
        if not families.is_head(plain) or (found is not None and found.shape == tuple(variable.shape)):
            continue
        if found is None:
            if not plain.endswith("_conv/bias"):
                yield layer, "no such head there"
        elif "_" not in layer and found.shape[:-1] == tuple(variable.shape)[:-1]:
            yield layer, f"{found.shape[-1]} classes there, {variable.shape[-1]} here"
        else:
            yield layer, f"shape {found.shape} there, {tuple(variable.shape)} here"


def _place(
    plain: str, variable: Any, source: _Source, fresh: dict[str, str], where: str, like: str
) -> "tuple[np.ndarray | None, Tensor]":
    """Return what to assign to a variable, None for nothing, and how that will be told."""
    import numpy as np

    name, shape = source.names.get(plain), tuple(variable.shape)
    layer = plain.rpartition("/")[0]
    if layer in fresh:
        return None, Tensor(variable.path, name, "initial", fresh[layer])
    value = source.values.get(plain)
    if value is None and plain.endswith("_conv/bias") and f"{layer}/kernel" in source.values:
        return np.zeros(shape, np.float32), Tensor(variable.path, None, "adapted", "no bias there: 0")
    if value is None:
        return None, Tensor(variable.path, None, "initial", "not in the file")
    notes = [source.notes[plain]] if plain in source.notes else []
    if plain == STEM and value.ndim == 4 and value.shape[2] == 3 and shape == (*value.shape[:2], 1, value.shape[3]):
        value = value.sum(axis=2, keepdims=True)
        notes.append("3 channels summed into 1")
    if value.shape != shape:
        order = " in our order of axes" if value.ndim > 1 else ""
        hint = _stem_hint(value.shape, shape) if plain == STEM else ""
        raise UserError(f"{where}{name} has shape {value.shape}{order}, {variable.path} {shape}{hint or like}")
    state = "adapted" if notes else "loaded"
    return value, Tensor(variable.path, name, state, "; ".join(notes))


def _shown(name: str) -> str:
    """Return a file's name of a tensor on one line, not too long: it may be anything."""
    text = printable(name).replace("\n", "\\n").replace("\t", "\\t")
    return text if len(text) <= 100 else f"{text[:100]}…"


def _stem_hint(there: tuple[int, ...], here: tuple[int, ...]) -> str:
    """Return what to do about a stem of the other size."""
    stems = {7: "imagenet", 3: "small"}
    if there[0] == here[0] or there[0] not in stems:
        return ""
    return f"; build the model with model.stem={stems[there[0]]}"


def _check_leftovers(source: _Source, variables: dict[str, Any], model: Any, path: Path, like: str) -> None:
    """Refuse a file of which part would be thrown away: what is left would be another function."""
    left = [plain for plain in source.values if plain not in variables and not families.is_head(plain)]
    if left:
        more = f" and {len(left) - 1} more" if len(left) > 1 else ""
        raise UserError(f"{path}: {model.name} has no place for {_shown(source.names[left[0]])}{more}{like}")


def _check_share(variables: dict[str, Any], tensors: list[Tensor], model: Any, path: Path, like: str) -> None:
    """Refuse a file that has too little of the model."""
    body = [
        (math.prod(variable.shape), tensor.state != "initial")
        for (plain, variable), tensor in zip(variables.items(), tensors, strict=True)
        if not families.is_head(plain)
    ]
    total, there = sum(size for size, _ in body), sum(size for size, found in body if found)
    if there < SHARE * total:
        raise UserError(
            f"{path} has {there / total:.0%} of {model.name}'s parameters without its heads; at least {SHARE:.0%} are "
            f"wanted{like}"
        )
