"""Mean and standard deviation of a split's resized pixels, kept for next time where files had to be decoded."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from kerasnets.data.cache_root import cache_root
from kerasnets.data.raw import kept, raw_images
from kerasnets.data.sources import Split
from kerasnets.errors import UserError

SAMPLE = 10_000  # images; more of them move mean and std by less than a tenth of a grey level
_SALT = 0x57A7  # keeps the sample's draw apart from others made from the same seed
_BATCH = 64
_LEAST_STD = 1.0  # grey level: images of one colour are not divided by 0


@dataclass(frozen=True, eq=False)
class Statistics:
    """Per channel, on the scale 0..255; `mean_image` is float32 `[h, w, C]`."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    mean_image: np.ndarray


def measure(
    split: Split,
    channels: int,
    resize: Callable[[np.ndarray], np.ndarray],
    definition: str,
    seed: int,
    skip: frozenset[int] = frozenset(),
) -> Statistics:
    """Return the statistics of a split, of a seeded sample of it above 10,000 images.

    Args:
        split: The training split.
        channels: 1 or 3.
        resize: float32 `[N, H, W, C]` -> `[N, h, w, C]`.
        definition: What `resize` does, in words that change when it does: part of the cache's key.
        seed: Decides the sample.
        skip: Indices that are left out.

    Raises:
        DecodeError: A file cannot be decoded.
        UserError: Nothing is left to measure.
    """
    indices = kept(split, skip)
    if not indices.size:
        raise UserError("the data has no readable training images")
    if len(indices) > SAMPLE:
        drawn = np.random.default_rng([seed, _SALT]).choice(len(indices), SAMPLE, replace=False)
        indices = indices[np.sort(drawn)]
    if split.files is None:
        return _measure(split, channels, resize, indices)
    path = _cache_file(split.files.fingerprint(indices), f"{definition} {channels}")
    found = _read(path)
    if found is None:
        found = _measure(split, channels, resize, indices)
        _write(path, found)
    return found


def _measure(
    split: Split, channels: int, resize: Callable[[np.ndarray], np.ndarray], indices: np.ndarray
) -> Statistics:
    total: np.ndarray | float = 0.0
    squares: np.ndarray | float = 0.0
    for pixels in _resized(split, channels, resize, indices):
        total = total + pixels.sum(axis=0, dtype=np.float64)
        squares = squares + np.square(pixels, dtype=np.float64).sum(axis=(0, 1, 2))
    image = np.asarray(total) / len(indices)
    mean = image.mean(axis=(0, 1))
    variance = np.asarray(squares) / (len(indices) * image.shape[0] * image.shape[1]) - mean**2
    std = np.maximum(np.sqrt(np.maximum(variance, 0)), _LEAST_STD)
    return Statistics(tuple(mean.tolist()), tuple(std.tolist()), image.astype(np.float32))


def _resized(
    split: Split, channels: int, resize: Callable[[np.ndarray], np.ndarray], indices: np.ndarray
) -> Iterator[np.ndarray]:
    """Yield float32 `[N, h, w, C]`: batches of an array's images, files one at a time."""
    if split.images is None:
        for pixels in raw_images(split, channels, indices):
            yield resize(pixels[None].astype(np.float32))
        return
    raw = list(raw_images(split, channels, indices))
    for start in range(0, len(raw), _BATCH):
        yield resize(np.stack(raw[start : start + _BATCH]).astype(np.float32))


def _cache_file(fingerprint: str, definition: str) -> Path:
    """Return where the statistics of these images are kept; a changed one leads elsewhere."""
    digest = hashlib.sha256(f"{definition}\0{fingerprint}".encode())
    return cache_root() / "statistics" / f"{digest.hexdigest()[:32]}.npz"


def _read(path: Path) -> Statistics | None:
    with suppress(OSError, ValueError, KeyError, BadZipFile), np.load(path, allow_pickle=False) as archive:
        return Statistics(
            tuple(archive["mean"].tolist()), tuple(archive["std"].tolist()), archive["mean_image"].astype(np.float32)
        )
    return None


def _write(path: Path, found: Statistics) -> None:
    """Keep the statistics; where nothing can be written they are measured again next time."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as aside:
            np.savez(aside, mean=found.mean, std=found.std, mean_image=found.mean_image)
        os.replace(aside.name, path)
