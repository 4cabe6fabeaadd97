"""What a set of images is like: classes, counts, sizes, colours. Imports no TensorFlow."""

import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from kerasnets.config import Data
from kerasnets.data import sources
from kerasnets.data.decode import DecodeError
from kerasnets.data.encoded import Encoded
from kerasnets.data.raw import read
from kerasnets.data.shards.index import DOCUMENT
from kerasnets.data.splitting import Examples
from kerasnets.errors import UserError

LONG = 2.0  # aspect ratio from which a central crop loses half of an image
_SAMPLE = 1000  # files whose headers are read
_DECODED = 48  # files whose pixels are looked at, for grey ones stored as RGB

Source = Literal["idx", "folder", "npz", "csv", "tfrecord"]


@dataclass(frozen=True)
class Facts:
    """What was seen. Sizes are (height, width) in pixels, of a sample above 1,000 files."""

    source: Source
    images: dict[str, int]
    classes: dict[str, int]
    smallest: tuple[int, int]
    median: tuple[int, int]
    largest: tuple[int, int]
    long: float
    """Share of images at least twice as long as wide."""
    channels: int
    unreadable: int
    ignored: int

    @property
    def training(self) -> int:
        """Images to train on, before a validation split is taken."""
        return self.images["train"]

    @property
    def side(self) -> int:
        """Shorter side of the median image."""
        return min(self.median)

    def words(self) -> list[str]:
        """Return what was seen, in lines for people."""
        counts = Counter(self.classes)
        most, least = counts.most_common(1)[0], counts.most_common()[-1]
        lines = [
            f"{len(counts)} classes; images: " + ", ".join(f"{n:,} {split}" for split, n in self.images.items()),
            f"largest class '{most[0]}' with {most[1]:,}, smallest '{least[0]}' with {least[1]:,} training images",
            "sizes (height x width): "
            + ", ".join(
                f"{word} {h} x {w}"
                for word, (h, w) in zip(
                    ("smallest", "median", "largest"), (self.smallest, self.median, self.largest), strict=True
                )
            )
            + ("; all grey" if self.channels == 1 else ""),
        ]
        if self.unreadable:
            lines.append(f"files that cannot be read, of those looked at: {self.unreadable}; see data.skip_corrupt")
        if self.ignored:
            lines.append(f"files that are not images by name, and ignored: {self.ignored}")
        return lines


def source_of(path: Path) -> Source:
    """Return the kind of source at `path`.

    Raises:
        UserError: It is none.
    """
    if not path.exists():
        sources.load(Data(source="folder", path=path), seed=0)  # says so, with the nearest name
    if (path / DOCUMENT).is_file():
        return "tfrecord"
    if path.is_dir():
        return "idx" if any(path.glob("train-images*ubyte*")) else "folder"
    if path.suffix == ".npz":
        return "npz"
    if path.suffix == ".csv":
        return "csv"
    raise UserError(f"{path} is neither a folder nor a .csv or .npz file")


def look(source: Source, examples: Examples) -> Facts:
    """Count classes and splits, and measure sizes and channels of the training images."""
    train = np.flatnonzero(examples.given == sources.SPLITS.index("train"))
    if not train.size:
        raise UserError("the data has no training images")
    given = np.bincount(examples.given, minlength=len(sources.SPLITS))
    counts = np.bincount(examples.labels[train], minlength=len(examples.class_names)).tolist()
    sizes, channels, unreadable = _measured(examples, train)
    areas = sizes.prod(axis=1)
    ratios = sizes.max(axis=1) / sizes.min(axis=1)
    return Facts(
        source=source,
        images={name: count for name, count in zip(sources.SPLITS, given.tolist(), strict=True) if count},
        classes=dict(zip(examples.class_names, counts, strict=True)),
        smallest=_pair(sizes[areas.argmin()]),
        median=_pair(np.median(sizes, axis=0)),
        largest=_pair(sizes[areas.argmax()]),
        long=float(np.mean(ratios >= LONG)),
        channels=channels,
        unreadable=unreadable,
        ignored=examples.ignored,
    )


def _pair(size: np.ndarray) -> tuple[int, int]:
    return int(size[0]), int(size[1])


def _measured(examples: Examples, train: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Return sizes `[n, 2]`, channels (1 if all are grey), and how many files cannot be read."""
    if examples.images is not None:
        shape = examples.images.shape
        return np.array([shape[1:3]]), shape[3], 0
    drawn = np.sort(np.random.default_rng(0).permutation(train)[:_SAMPLE])
    if examples.files is None:
        raise ValueError("examples have either images or files")
    files = examples.files.take(drawn)
    sizes = [size for size in (_size(files, i) for i in range(len(files))) if size is not None]
    if not sizes:
        raise UserError(f"none of the {len(files)} images looked at can be read; the first is {files.name(0)}")
    every = max(len(files) // _DECODED, 1)
    channels = 1 if all(_is_grey(files, i) for i in range(0, len(files), every)) else 3
    return np.array(sizes), channels, len(files) - len(sizes)


def _size(files: Encoded, index: int) -> tuple[int, int] | None:
    try:
        with Image.open(io.BytesIO(files.read(index))) as image:
            return image.height, image.width
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def _is_grey(files: Encoded, index: int) -> bool:
    try:
        pixels = read(files, index, 3)
    except DecodeError:
        return True  # says nothing of the others
    return bool((pixels == pixels[..., :1]).all())
