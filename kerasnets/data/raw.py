"""Raw pixels of a split, in order, through Pillow. Imports no TensorFlow."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from kerasnets.data import decode
from kerasnets.data.decode import DecodeError
from kerasnets.data.sources import Split

_AHEAD = 4  # images in flight for each thread: enough to keep it busy, few enough to stay small


def read(path: Path, channels: int) -> np.ndarray:
    """Return a file's pixels, uint8 `[h, w, channels]`.

    Raises:
        DecodeError: It cannot be read or decoded; the message begins with the path.
    """
    try:
        return decode.pillow(path.read_bytes(), channels)
    except (DecodeError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DecodeError(f"{path}: {reason}") from error


def picture(split: Split, index: int) -> Image.Image:
    """Return an image as training sees it before its resize: 8-bit RGB (grey for grey arrays), upright.

    Raises:
        DecodeError: Its file cannot be read or decoded; the message begins with the path.
    """
    pixels = read(split.paths[index], 3) if split.paths is not None else split.images[index]  # type: ignore[index]
    return Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)


def kept(split: Split, skip: frozenset[int]) -> list[int]:
    """Return the indices of a split's examples that are used."""
    return [i for i in range(len(split)) if i not in skip]


def raw_images(split: Split, channels: int, indices: list[int], workers: int = 0) -> Iterator[np.ndarray]:
    """Yield uint8 `[h, w, channels]` of the examples at `indices`, in that order, files decoded in threads.

    Raises:
        DecodeError: A file cannot be decoded; the message begins with its path.
    """
    if split.images is not None:
        for i in indices:
            yield decode.with_channels(split.images[i], channels)
        return
    paths = [split.paths[i] for i in indices] if split.paths is not None else []
    with ThreadPoolExecutor(workers or None) as pool:
        waiting = iter(paths)
        ahead = _AHEAD * pool._max_workers
        running: deque[Future[np.ndarray]] = deque(pool.submit(read, path, channels) for path in islice(waiting, ahead))
        try:
            while running:
                pixels = running.popleft().result()
                running.extend(pool.submit(read, path, channels) for path in islice(waiting, 1))
                yield pixels
        finally:
            for future in running:
                future.cancel()


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
        DecodeError: A file cannot be decoded; the message begins with its path.
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
