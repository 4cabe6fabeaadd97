"""Pixels -> model input: one serialisable definition that training, evaluation and every artefact share.

Imports no TensorFlow: the caller hands over `tensorflow` as `xp`, or `numpy`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Self

import numpy as np

from kerasnets import documents
from kerasnets.config import Data
from kerasnets.data import statistics
from kerasnets.data.resample import Array, as_float, axis_weights, resample, sizes, steps_from_middle
from kerasnets.data.sources import Dataset
from kerasnets.documents import SCHEMA
from kerasnets.errors import UserError

MEAN_IMAGE = "mean.npy"
FILE_SIZE = (224, 224)
CONSTANTS = {
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "unit": ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
    "symmetric": ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "caffe": ((123.68, 116.779, 103.939), (1.0, 1.0, 1.0)),
}
"""`data.normalize` -> mean and std of red, green and blue, on the scale 0..255."""

Resize = Literal["crop", "squash", "pad"]


@dataclass(frozen=True)
class Preprocessing:
    """What becomes of raw pixels (0..255) before the model sees them: resize, then `(pixels - mean) / std`.

    Attributes:
        image_size: Height and width of the model's input.
        channels: 1 or 3.
        resize: `squash` stretches both axes; `crop` scales the image until it covers `image_size / crop_ratio` and
            keeps the centre; `pad` scales it until it fits and fills up with the mean colour (0 in the model's input).
        crop_ratio: Share of the resized shorter side that the central crop keeps.
        mean: Per channel, on the scale 0..255.
        std: Per channel, on the scale 0..255.
        mean_image: float32 `[h, w, C]`, subtracted in place of `mean` (Krizhevsky et al. 2012, sec. 2), or None.
    """

    image_size: tuple[int, int]
    channels: int
    resize: Resize
    crop_ratio: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    mean_image: np.ndarray | None = field(default=None, compare=False)

    def apply(self, images: Array, xp: ModuleType) -> Array:
        """Return the model's input, float32 `[N, h, w, C]`.

        Args:
            images: Raw pixels, float32 `[N, H, W, C]`, 0..255, of any H and W.
            xp: numpy or tensorflow.
        """
        return self.normalize(self.resized(images, xp))

    def resized(self, images: Array, xp: ModuleType) -> Array:
        """Return raw pixels at the model's size: `[N, H, W, C]` -> `[N, h, w, C]`, both float32 0..255.

        Images that have the right size already are returned as they are.
        """
        size = sizes(images, xp)
        if tuple(images.shape[1:3]) == self.image_size and (self.resize != "crop" or self.crop_ratio == 1):
            return images
        (height, width), steps = self.image_size, self.ratios(size, xp)
        rows = axis_weights(size[0], height, *steps[0], xp)
        columns = axis_weights(size[1], width, *steps[1], xp)
        pixels = resample(images, rows, columns, xp)
        return self.letterboxed(pixels, size, xp)

    def normalize(self, pixels: Array) -> Array:
        """Return `(pixels - mean) / std` of raw pixels at the model's size."""
        return (pixels - self._mean) / np.asarray(self.std, np.float32)

    @property
    def _mean(self) -> np.ndarray:
        return np.asarray(self.mean if self.mean_image is None else self.mean_image, np.float32)

    def ratios(self, size: tuple[Any, Any], xp: ModuleType) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        """Return the input pixels per output pixel, down and right, each as (numerator, denominator)."""
        (height, width), (rows, columns) = (
            (as_float(side, xp) for side in size),
            (as_float(side, xp) for side in self.image_size),
        )
        down, right = (height, rows), (width, columns)
        if self.resize == "squash":
            return down, right
        tall = height * columns > width * rows  # taller, for its width, than the model's input
        if xp is np:
            shorter, longer = (right, down) if tall else (down, right)
        else:
            shorter = (xp.where(tall, width, height), xp.where(tall, columns, rows))
            longer = (xp.where(tall, height, width), xp.where(tall, rows, columns))
        step = (shorter[0] * self.crop_ratio, shorter[1]) if self.resize == "crop" else longer
        return step, step

    def steps(self, size: tuple[int, int]) -> tuple[float, float]:
        """Return how many pixels of an image of `size` (H, W) one of the model's input stands for, down and right.

        The middles of both lie on each other.
        """
        down, right = self.ratios(size, np)
        return float(down[0] / down[1]), float(right[0] / right[1])

    def letterboxed(self, pixels: Array, size: tuple[Any, Any], xp: ModuleType) -> Array:
        """Return resized pixels, for `pad` with the mean colour wherever a pixel's centre is outside the image.

        Args:
            pixels: At the model's size, float32 `[N, h, w, C]`.
            size: Height and width before the resize.
            xp: numpy or tensorflow.
        """
        if self.resize != "pad":
            return pixels
        step, _ = self.ratios(size, xp)
        down, right = (
            xp.abs(steps_from_middle(out) * step[0]) <= as_float(length, xp) * step[1]
            for length, out in zip(size, self.image_size, strict=True)
        )
        mask = xp.logical_and(xp.reshape(down, (-1, 1, 1)), xp.reshape(right, (1, -1, 1)))
        return xp.where(mask, pixels, self._mean)

    def normalized_as(self, other: Self) -> Self:
        """Return it with another's mean and std; with its mean image too where that has the size.

        Grey images get the mean of three channels' numbers, which is what a stem whose kernels were summed over the
        channels expects, on average.
        """
        mean, std = (_for_channels(values, self.channels) for values in (other.mean, other.std))
        image = other.mean_image if other.mean_image is not None else np.empty(0)
        fits = image.shape == (*self.image_size, self.channels)
        return replace(self, mean=mean, std=std, mean_image=image if fits else None)

    def describe(self) -> str:
        """Return the definition in words, for the model card."""
        height, width = self.image_size
        colour = "grey" if self.channels == 1 else "RGB"
        how = {
            "squash": f"stretched to {height} x {width}",
            "crop": f"scaled to cover {height} x {width}"
            + f" / {self.crop_ratio:g}" * (self.crop_ratio != 1)
            + ", central crop",
            "pad": f"scaled to fit {height} x {width}, filled up with the mean colour",
        }[self.resize]
        what = "the training set's mean image" if self.mean_image is not None else _listed(self.mean)
        return f"8-bit {colour} pixels 0..255; {how} (antialiased); minus {what}; divided by {_listed(self.std)}."

    def save(self, directory: Path) -> None:
        """Write preprocessing.json and, where there is a mean image, mean.npy."""
        document = {
            "schema": SCHEMA,
            "image_size": list(self.image_size),
            "channels": self.channels,
            "resize": self.resize,
            "crop_ratio": self.crop_ratio,
            "mean": list(self.mean),
            "std": list(self.std),
            "mean_image": None if self.mean_image is None else MEAN_IMAGE,
        }
        if self.mean_image is not None:
            np.save(directory / MEAN_IMAGE, self.mean_image)
        (directory / "preprocessing.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Return what `save` wrote.

        Raises:
            UserError: preprocessing.json is missing or of another schema.
        """
        path = directory / "preprocessing.json"
        if not path.is_file():
            raise UserError(f"{path} does not exist")
        document = documents.read(path)
        channels = document["channels"]
        if not len(document["mean"]) == len(document["std"]) == channels:
            raise UserError(f"{path} is damaged: mean and std are not of {channels} channels")
        return cls(
            image_size=(document["image_size"][0], document["image_size"][1]),
            channels=channels,
            resize=document["resize"],
            crop_ratio=document["crop_ratio"],
            mean=tuple(document["mean"]),
            std=tuple(document["std"]),
            mean_image=_mean_image(directory / MEAN_IMAGE, (*document["image_size"], channels))
            if document["mean_image"]
            else None,
        )


def _mean_image(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read the mean image.

    Raises:
        UserError: it is not one of this shape.
    """
    try:
        # mapped, so that nothing is read of a file whose header promises more than it should
        image = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(image, np.ndarray) or image.shape != shape or image.dtype != np.float32:
            raise ValueError(f"it is no float32 array {list(shape)}")
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} is damaged: {error}") from error
    return np.array(image)


def _for_channels(values: Sequence[float], channels: int) -> tuple[float, ...]:
    return tuple(values) if len(values) == channels else (sum(values) / len(values),) * channels


def _listed(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in values) + ")"


def fit(
    data: Data,
    dataset: Dataset,
    seed: int,
    skip: frozenset[int] = frozenset(),
    pretrained: Preprocessing | None = None,
) -> Preprocessing:
    """Return the preprocessing of a config, its mean and std measured on the resized training split where asked.

    Args:
        data: The config's section; an `image_size` or `channels` of None becomes the data set's own.
        dataset: Its training split is measured (a seeded sample of it above 10,000 images).
        seed: Decides the sample.
        skip: Indices of unreadable training images.
        pretrained: Of the run that `normalize: pretrained` stands for.

    Raises:
        UserError: An image cannot be decoded.
    """
    size = data.image_size or dataset.native_size or FILE_SIZE
    channels = data.channels or dataset.channels or 3
    raw = Preprocessing(size, channels, data.resize, data.crop_ratio, (0.0,) * channels, (1.0,) * channels)
    if data.normalize == "pretrained":
        if pretrained is None:
            raise ValueError("normalize: pretrained needs the preprocessing of that run")
        return raw.normalized_as(pretrained)
    if data.normalize in CONSTANTS:
        mean, std = (_for_channels(values, channels) for values in CONSTANTS[data.normalize])
        return replace(raw, mean=mean, std=std)
    found = statistics.measure(dataset.train, channels, lambda images: raw.resized(images, np), repr(raw), seed, skip)
    image = found.mean_image if data.normalize == "mean_image" else None
    return Preprocessing(size, channels, data.resize, data.crop_ratio, found.mean, found.std, image)
