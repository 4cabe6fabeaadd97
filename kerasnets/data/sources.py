"""Where images come from: one function a source, each returning splits with labels and class names.

Imports no TensorFlow.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kerasnets.config import Data
from kerasnets.data import files, tfds
from kerasnets.data.arrays import digits, idx, npz
from kerasnets.data.encoded import Encoded
from kerasnets.data.shards import index
from kerasnets.data.splitting import SPLITS, Examples, complete
from kerasnets.data.strings import Strings
from kerasnets.errors import UserError, nearest


@dataclass(frozen=True, eq=False)
class Split:
    """Labelled images, either as pixels in memory or as encoded bytes.

    Attributes:
        labels: int32 `[n]`, indices into the class names.
        images: uint8 `[n, h, w, c]`, or None.
        files: An encoded image for each label, or None.
        ids: A name for each image, unique in its data set: its path below the root, or such as `train/123`.
    """

    labels: np.ndarray
    images: np.ndarray | None
    files: Encoded | None
    ids: Sequence[str]

    def __post_init__(self) -> None:
        if (self.images is None) == (self.files is None):
            raise ValueError("a split has either images or files")
        members = self.files if self.images is None else self.images
        if members is None or not len(self.labels) == len(self.ids) == len(members):
            raise ValueError("labels, ids and images of a split differ in number")

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Splits of one data set, its class names in order, and the images' own size and channels where all share them."""

    class_names: tuple[str, ...]
    train: Split
    validation: Split
    test: Split | None = None
    native_size: tuple[int, int] | None = None
    channels: int | None = None
    ignored: int = 0
    """Files that were left aside because their names are not those of images."""

    @property
    def splits(self) -> dict[str, Split]:
        """The splits that are there, by name."""
        found = {name: getattr(self, name) for name in SPLITS}
        return {name: split for name, split in found.items() if split is not None}

    def split(self, name: str) -> Split:
        """Return the split called `name`.

        Raises:
            UserError: There is none.
        """
        if name not in self.splits:
            raise UserError(f"the data has no {name} split; it has {', '.join(self.splits)}")
        return self.splits[name]


_SOURCES: dict[str, Callable[[Path], Examples]] = {
    "idx": idx,
    "folder": files.folder,
    "npz": npz,
    "csv": files.table,
    "tfrecord": index.load,
}


def read(data: Data) -> Examples:
    """Return all examples of a source with the splits that it gives them; see `load`."""
    examples = _examples(data)
    if not data.class_names:
        return examples
    given, there = len(data.class_names), len(examples.class_names)
    if given != there:
        raise UserError(f"data.class_names names {given} classes; {data.path or data.source} has {there}")
    return replace(examples, class_names=data.class_names)


def _examples(data: Data) -> Examples:
    if data.source == "digits":
        return digits()
    if data.source == "tfds":
        return tfds.load(_given(data.path), data.tfds_dir)
    return _SOURCES[data.source](_existing(data.path))


def load(data: Data, *, seed: int) -> Dataset:
    """Return the data set that a config's `data` section names; files are listed, not decoded.

    Splits that the source lacks are taken from its training images, per class and by seed.

    Raises:
        UserError: The path does not exist, or what is there is not such a source.
    """
    examples = read(data)
    parts = complete(examples, data.validation_split, data.test_split, seed)
    images = examples.images
    return Dataset(
        class_names=examples.class_names,
        **{name: _split(examples, index) for name, index in parts.items()},
        native_size=examples.native_size if images is None else (images.shape[1], images.shape[2]),
        channels=examples.channels if images is None else images.shape[3],
        ignored=examples.ignored,
    )


def _split(examples: Examples, index: np.ndarray) -> Split:
    images, files, ids = examples.images, examples.files, examples.ids
    return Split(
        labels=examples.labels[index],
        images=None if images is None else images[index],
        files=None if files is None else files.take(index),
        ids=ids.take(index) if isinstance(ids, Strings) else tuple(ids[i] for i in index),
    )


def _given(path: Path | None) -> Path:
    if path is None:
        raise UserError("data.path is missing")
    return path


def _existing(given: Path | None) -> Path:
    path = _given(given)
    if not path.exists():
        parent = path.parent
        siblings = sorted(entry.name for entry in parent.iterdir()) if parent.is_dir() else []
        raise UserError(f"data.path: {path} does not exist{nearest(path.name, siblings)}")
    return path
