"""Which example goes into which split: given by the source, or drawn per class and by seed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kerasnets.data.encoded import Encoded
from kerasnets.errors import UserError

SPLITS = ("train", "validation", "test")
_SALT = 0x5B11  # keeps these draws apart from others made from the same seed


@dataclass(frozen=True, eq=False)
class Examples:
    """All examples of a source, and the split that the source gives each of them.

    Attributes:
        class_names: In the order of the labels.
        labels: int32 `[n]`.
        given: Split of each example, uint8 `[n]`, an index into `SPLITS`.
        ids: Unique names.
        images: uint8 `[n, h, w, c]`, or None.
        files: Encoded images, or None.
        ignored: Files left aside because they are not images by name; records without a label.
        native_size: Height and width that all encoded images have, if known.
        channels: Channels that all encoded images have, if known.
    """

    class_names: tuple[str, ...]
    labels: np.ndarray
    given: np.ndarray
    ids: Sequence[str]
    images: np.ndarray | None = None
    files: Encoded | None = None
    ignored: int = 0
    native_size: tuple[int, int] | None = None
    channels: int | None = None


def complete(examples: Examples, validation: float, test: float, seed: int) -> dict[str, np.ndarray]:
    """Return the indices of each split, sorted; splits that the source lacks are drawn from its training examples.

    Args:
        examples: All of them.
        validation: Share of the training examples for validation, where the source gives none.
        test: Likewise for the test split; 0 means no test split.
        seed: Decides the draw.

    Raises:
        UserError: A split would be empty.
    """
    parts = {name: np.flatnonzero(examples.given == place) for place, name in enumerate(SPLITS)}
    shares = {
        "validation": validation if not parts["validation"].size else 0.0,
        "test": test if not parts["test"].size else 0.0,
    }
    for name, drawn in _draw(parts["train"], examples.labels, shares, seed).items():
        parts[name] = np.concatenate([parts[name], drawn]) if name != "train" else drawn
    if not parts["train"].size:
        raise UserError("the data has no training images")
    if not parts["validation"].size:
        key = "data.validation_split"
        raise UserError(f"the data has no validation images; give a validation split, or raise {key} ({validation:g})")
    return {name: index for name, index in parts.items() if index.size}


def _draw(train: np.ndarray, labels: np.ndarray, shares: dict[str, float], seed: int) -> dict[str, np.ndarray]:
    """Return `train` cut into train, validation and test, per class, rounding to nearest; one stays for training."""
    generator = np.random.default_rng([seed, _SALT])
    drawn: dict[str, list[np.ndarray]] = {"train": [], "validation": [], "test": []}
    _, sizes = np.unique(labels[train], return_counts=True)
    by_class = train[np.argsort(labels[train], kind="stable")]
    for whole in np.split(by_class, np.cumsum(sizes)[:-1]) if train.size else []:
        members = generator.permutation(whole)
        size = members.size
        for name, share in shares.items():
            count = min(round(share * size), members.size - 1)
            drawn[name].append(members[:count])
            members = members[count:]
        drawn["train"].append(members)
    return {name: np.sort(np.concatenate(pieces)) for name, pieces in drawn.items() if pieces}
