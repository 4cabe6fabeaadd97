"""Raw pixels of a split, in order, through Pillow. Imports no TensorFlow."""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from kerasnets.data import decode
from kerasnets.data.decode import DecodeError
from kerasnets.data.encoded import Encoded
from kerasnets.data.sources import Split
from kerasnets.data.threads import in_threads


def read(files: Encoded, index: int, channels: int) -> np.ndarray:
    """Return an encoded image's pixels, uint8 `[h, w, channels]`.

    Raises:
        DecodeError: It cannot be read or decoded; the message begins with its name.
    """
    try:
        return decode.pillow(files.read(index), channels)
    except (DecodeError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DecodeError(f"{files.name(index)}: {reason}") from error


def picture(split: Split, index: int) -> Image.Image:
    """Return an image as training sees it before its resize: 8-bit RGB (grey for grey arrays), upright.

    Raises:
        DecodeError: It cannot be read or decoded; the message begins with its name.
    """
    pixels = read(split.files, index, 3) if split.files is not None else split.images[index]  # type: ignore[index]
    return Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)


def kept(split: Split, skip: frozenset[int]) -> np.ndarray:
    """Return the indices of a split's examples that are used, int64, ascending."""
    used = np.ones(len(split), bool)
    used[list(skip)] = False
    return np.flatnonzero(used)


def raw_images(split: Split, channels: int, indices: np.ndarray, workers: int = 0) -> Iterator[np.ndarray]:
    """Yield uint8 `[h, w, channels]` of the examples at `indices`, in that order, files decoded in threads.

    Raises:
        DecodeError: A file cannot be decoded; the message begins with its name.
    """
    images, files = split.images, split.files
    if images is not None:
        yield from (decode.with_channels(images[i], channels) for i in indices.tolist())
    elif files is not None:
        yield from in_threads(lambda index: read(files, index, channels), indices, workers)


def raw_batches(
    split: Split, channels: int, batch_size: int, skip: frozenset[int] = frozenset(), workers: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield `(pixels, labels)` in order: float32 `[N, H, W, channels]`, 0..255, and int32 `[N]`, N <= batch_size.

    Consecutive images of one size go together; a change of size ends a batch.

    Args:
        split: What to read.
        channels: 1 or 3.
        batch_size: The most images in one batch.
        skip: Indices that are left out.
        workers: Threads that decode; 0: one a core and a few more.

    Raises:
        DecodeError: A file cannot be decoded; the message begins with its name.
    """
    indices = kept(split, skip)
    images: list[np.ndarray] = []
    done = 0
    for pixels in raw_images(split, channels, indices, workers):
        if images and (len(images) == batch_size or images[0].shape != pixels.shape):
            yield _batch(images), split.labels[indices[done : done + len(images)]]
            done, images = done + len(images), []
        images.append(pixels)
    if images:
        yield _batch(images), split.labels[indices[done:]]


def _batch(images: list[np.ndarray]) -> np.ndarray:
    return np.stack(images).astype(np.float32)
