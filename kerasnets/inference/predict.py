"""Classify image files with a published ONNX model: onnxruntime and Pillow, no TensorFlow."""

import glob
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kerasnets.artifacts import store
from kerasnets.artifacts.batches import groups
from kerasnets.artifacts.feed import Feed
from kerasnets.artifacts.formats import Runner
from kerasnets.artifacts.manifest import Manifest
from kerasnets.data import decode
from kerasnets.data.files import is_image
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.data.tree import below, content
from kerasnets.environment import cores
from kerasnets.errors import UserError, nearest
from kerasnets.inference.subject import open_runner


@dataclass(frozen=True)
class Prediction:
    """The best classes of one image, best first."""

    path: str
    classes: tuple[tuple[str, float], ...]
    unknown: bool | None = None
    """Whether the best probability is too low for an answer; None of a model that always answers."""

    def document(self) -> dict[str, Any]:
        """Return the prediction as `predict --json` prints it."""
        classes = [{"label": label, "probability": probability} for label, probability in self.classes]
        return {"path": self.path, "classes": classes} | ({} if self.unknown is None else {"unknown": self.unknown})


@dataclass(frozen=True)
class Failure:
    """An image that could not be classified, and why."""

    path: str
    reason: str

    def document(self) -> dict[str, Any]:
        """Return the failure as `predict --json` prints it."""
        return {"path": self.path, "error": self.reason}


@dataclass(frozen=True)
class Decoded:
    """An image file's pixels, uint8 `[h, w, channels]`."""

    path: str
    pixels: np.ndarray


def find(words: Iterable[str], listed: Iterable[str] = ()) -> Iterator[str]:
    """Yield the files that `words` stand for: files, folders (all images below), globs, and `-` for `listed`.

    A word that stands for nothing is yielded as it is, to fail as a file that does not exist. Folders are walked as the
    source `folder` walks them.
    """
    for word in words:
        if word == "-":
            yield from (line.rstrip("\r\n") for line in listed if line.strip())
        elif os.path.isdir(word):
            yield from _images(word)
        elif not os.path.exists(word) and (found := sorted(glob.glob(word, recursive=True))):
            yield from (path for path in found if not os.path.isdir(path))
        else:
            yield word


def _images(folder: str) -> list[str]:
    names = (name for name, kind in below(folder) if is_image(name, kind))
    return sorted((os.path.join(folder, name) for name in names), key=lambda path: path.split("/"))


class Predictor:
    """A published version, opened to classify image files."""

    def __init__(self, directory: Path) -> None:
        """Open MODEL-DIR.

        Raises:
            UserError: there is no such model, or it holds no ONNX.
            CheckFailed: a file of the version is not the one that was published.
        """
        manifest = Manifest.read(store.resolve(directory))
        manifest.check_files()
        self._runner: Runner = open_runner(manifest, "onnx")
        self._feed: Feed = manifest.feed
        self._preprocessing = Preprocessing.load(manifest.directory)
        self.labels = self._runner.labels
        self.unknown_below = manifest.unknown_below

    def __call__(self, paths: Iterable[str], *, top: int, batch_size: int) -> Iterator[Prediction | Failure]:
        """Yield a prediction or a failure for each path, in order; neighbours of one size go through together."""
        for group in groups(self._decoded(paths), _shape, batch_size):
            images = [item for item in group if isinstance(item, Decoded)]
            failures = [item for item in group if isinstance(item, Failure)]
            yield from self._classify(images, top) if images else failures

    def _classify(self, images: Sequence[Decoded], top: int) -> Iterator[Prediction]:
        batch = self._feed.prepare(np.stack([image.pixels for image in images]), self._preprocessing)
        outputs = self._runner.outputs(batch)
        unknown = outputs["unknown"].tolist() if self.unknown_below is not None else [None] * len(images)
        for image, row, too_low in zip(images, outputs["probabilities"], unknown, strict=True):
            best = np.argsort(-row, kind="stable")[:top]
            yield Prediction(image.path, tuple((self.labels[i], float(row[i])) for i in best), too_low)

    def _decoded(self, paths: Iterable[str]) -> Iterator[Decoded | Failure]:
        """Decode ahead in threads, twice as many files as there are cores, in order."""
        channels, workers = self._preprocessing.channels, cores()
        ahead: deque[Future[Decoded | Failure]] = deque()
        with ThreadPoolExecutor(workers) as pool:
            for path in paths:
                ahead.append(pool.submit(read_image, path, channels))
                if len(ahead) > 2 * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()


def _shape(item: Decoded | Failure) -> tuple[int, ...] | None:
    return item.pixels.shape if isinstance(item, Decoded) else None


def read_image(path: str, channels: int) -> Decoded | Failure:
    """Return the pixels of a file, uint8 `[h, w, channels]`, or why they cannot be had."""
    try:
        return Decoded(path, decode.pillow(content(path), channels))
    except OSError as error:
        hint = nearest(Path(path).name, _beside(Path(path))) if isinstance(error, FileNotFoundError) else ""
        return Failure(path, f"{error.strerror}{hint}")
    except UserError as error:
        return Failure(path, str(error))
    except ValueError as error:  # a line of a list may hold what no path can
        return Failure(path, str(error))


def _beside(path: Path) -> list[str]:
    return [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
