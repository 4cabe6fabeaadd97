"""Where a version keeps its golden images and what was said of them. Imports no TensorFlow.

<version>/assets/golden.json            names of the pictures in order, each with its best class
<version>/assets/golden/<picture>       as `pictures` made them
<version>/assets/golden/pixels.npy      preprocessed pixels before normalisation, 0..255, float16 `[n, <=32, <=32, C]`
<version>/assets/golden/image.npy       Keras' probabilities for what a client feeds to `image`, float32 `[n, K]`
<version>/assets/golden/bytes.npy       Keras' probabilities for the files themselves
<version>/assets/golden/<format>.npy    a lossy format's own, from `image`
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from kerasnets import documents
from kerasnets.errors import UserError
from kerasnets.run import write_json

DOCUMENT = "assets/golden.json"
FOLDER = "assets/golden"
_SIDE = 32
"""Rows and columns of a picture's pixels that are kept, evenly spaced: all of a small input, few of a large one."""
_LARGEST_PICTURE = 2**20


def sampled(pixels: np.ndarray) -> np.ndarray:
    """Return evenly spaced rows and columns of pixels `[…, h, w, C]`, at most 32 of each."""
    rows, columns = (
        np.rint(np.linspace(0, size - 1, min(size, _SIDE))).astype(int) for size in (pixels.shape[-3], pixels.shape[-2])
    )
    return pixels[..., rows[:, np.newaxis], columns, :]


@dataclass(frozen=True, eq=False)
class Golden:
    """Golden images and what a version is to say of them.

    Attributes:
        pictures: Name -> encoded image.
        pixels: float16 `[n, r, c, C]`, see `sampled`.
        probabilities: `image` and `bytes` -> Keras', float32 `[n, K]`.
        lossy: Format -> what the artefact itself said from `image` when it was published, float32 `[n, K]`.
    """

    pictures: dict[str, bytes]
    pixels: np.ndarray
    probabilities: Mapping[str, np.ndarray]
    lossy: Mapping[str, np.ndarray] = field(default_factory=dict)

    def write(self, directory: Path, labels: tuple[str, ...]) -> None:
        """Write all of it into a version's directory."""
        folder = directory / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.pictures.items():
            (folder / name).write_bytes(content)
        for name, array in {"pixels": self.pixels, **self.probabilities, **self.lossy}.items():
            np.save(folder / f"{name}.npy", array, allow_pickle=False)
        entries = [
            {"file": name, "label": labels[row.argmax()], "probability": float(row.max())}
            for name, row in zip(self.pictures, self.probabilities["image"], strict=True)
        ]
        write_json(directory / DOCUMENT, {"pictures": entries, "lossy": sorted(self.lossy)})

    @classmethod
    def read(cls, directory: Path, *, classes: int, image_size: tuple[int, int], channels: int) -> Self:
        """Return what `write` wrote.

        Raises:
            UserError: a file of it is missing or damaged.
        """
        document = documents.read(directory / DOCUMENT)
        names, folder = [entry["file"] for entry in document["pictures"]], directory / FOLDER
        height, width = (min(size, _SIDE) for size in image_size)
        answers = (len(names), classes)
        return cls(
            pictures={name: _picture(folder / name) for name in names},
            pixels=_array(folder / "pixels.npy", (len(names), height, width, channels), np.float16),
            probabilities={name: _array(folder / f"{name}.npy", answers) for name in ("image", "bytes")},
            lossy={name: _array(folder / f"{name}.npy", answers) for name in document["lossy"]},
        )


def _check_file(path: Path) -> None:
    if not path.is_file():  # nor a device or a pipe, which would never end
        raise UserError(f"{path} is missing or no file")


def _picture(path: Path) -> bytes:
    _check_file(path)
    try:
        if path.stat().st_size > _LARGEST_PICTURE:
            raise UserError(f"{path} is damaged: a golden image has at most {_LARGEST_PICTURE >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def _array(path: Path, shape: tuple[int, ...], dtype: type[np.floating] = np.float32) -> np.ndarray:
    _check_file(path)
    try:
        # mapped, so that nothing is read of a file whose header promises more than it should
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(found, np.ndarray) or found.shape != shape or found.dtype != dtype:
            raise ValueError(f"it is no {np.dtype(dtype)} array {list(shape)}")
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} is damaged: {error}") from error
    return np.array(found)
