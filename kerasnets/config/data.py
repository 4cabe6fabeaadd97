"""The config's section `data`: images, splits, pixels, augmentation."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from kerasnets.config.fields import (
    Count,
    ImageSize,
    NonNegative,
    OrNone,
    Positive,
    Probability,
    Section,
    Share,
    in_parts,
    none,
)


class RandomResizedCrop(Section):
    """A random window of the image, resized to the model's input (Szegedy et al. 2014, sec. 6)."""

    scale: tuple[Positive, Positive] = (0.08, 1.0)
    """Smallest and largest share of the image's area that the window covers."""
    ratio: tuple[Positive, Positive] = (3 / 4, 4 / 3)
    """Smallest and largest width / height of the window."""


class ColorJitter(Section):
    """Random factors in [1 - x, 1 + x]; for hue, a random turn in [-x, x] of the colour circle."""

    brightness: NonNegative = 0.0
    contrast: NonNegative = 0.0
    saturation: NonNegative = 0.0
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0


class RandAugment(Section):
    """RandAugment (Cubuk et al. 2019): `layers` random operations, each at `magnitude` of 30."""

    layers: Annotated[int, Field(ge=1, le=8)] = 2
    magnitude: Annotated[int, Field(ge=0, le=30)] = 9


class Augment(Section):
    """Random changes of training images; never part of a model."""

    pad_crop: Count = 0
    """Pad by this many pixels on each side, then crop at random (He et al. 2015, sec. 4.2: 4)."""
    flip: bool = False
    """Mirror left and right with probability 1/2."""
    random_resized_crop: Annotated[RandomResizedCrop | None, OrNone] = None
    color_jitter: Annotated[ColorJitter | None, OrNone] = None
    rand_augment: Annotated[RandAugment | None, OrNone] = None
    random_erasing: Probability = 0.0
    """Probability of erasing a random rectangle (Zhong et al. 2017)."""
    mixup: NonNegative = 0.0
    """Alpha of MixUp's Beta distribution (Zhang et al. 2017); 0 is off."""
    cutmix: NonNegative = 0.0
    """Alpha of CutMix's Beta distribution (Yun et al. 2019); 0 is off."""


class Data(Section):
    """Which images, how they are split, and what becomes of their pixels."""

    source: Literal["digits", "idx", "folder", "npz", "csv", "tfrecord", "tfds"]
    path: Annotated[Path | None, OrNone] = None
    """Folder or file of the images, relative to the working directory; for `tfds` `name:version`. Not for `digits`."""
    tfds_dir: Annotated[Path | None, OrNone] = None
    """Where `tfds` has its data sets; default: TFDS_DATA_DIR, or ~/tensorflow_datasets."""
    class_names: Annotated[tuple[str, ...], BeforeValidator(in_parts)] = ()
    """Of `digits`, `idx` and `npz`, whose labels are numbers: the classes' names, in that order."""
    image_size: Annotated[ImageSize | None, OrNone] = None
    """Height and width of the model's input in pixels; default: the images' own size, 224 for files."""
    channels: Annotated[Literal[1, 3] | None, BeforeValidator(lambda v: int(v) if v in ("1", "3") else none(v))] = None
    """1 (grey) or 3 (RGB); default: the images' own, 3 for files."""
    validation_split: Share = 0.2
    """Share of the training images held out, per class, where the source has no validation split."""
    test_split: Share = 0.0
    """Share of the training images held out for a final test, where the source has no test split."""
    resize: Literal["crop", "squash", "pad"] = "crop"
    """crop: shorter side to size, central crop; squash: ignore the aspect ratio; pad: longer side to size."""
    crop_ratio: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the resized shorter side that the central crop keeps (ImageNet recipes: 0.875)."""
    normalize: Literal[
        "auto", "dataset", "imagenet", "caffe", "symmetric", "mean_image", "unit", "none", "pretrained"
    ] = "auto"
    """dataset: mean and std of the training split; mean_image: subtract its mean picture; unit: 0..1; symmetric: -1..1;
    caffe: subtract ImageNet's mean; none: 0..255; pretrained: as the run of model.pretrained did; auto: what
    model.pretrained was trained with, else dataset."""
    skip_corrupt: bool = False
    """Leave unreadable files out (counted and listed in the run) instead of stopping."""
    cache: Literal["none", "memory", "disk"] = "none"
    """Decode and resize files once and keep the pixels: in memory, or in a file that later runs use too. Those to
    train on are rounded to whole grey levels, one byte each; those to validate on are kept as they are, float32."""
    cache_dir: Annotated[Path | None, OrNone] = None
    """Directory of the files of `cache: disk`, which may be removed at any time; default: the user's cache."""
    workers: Count = 0
    """Images decoded at the same time; 0: one a core."""
    augment: Augment = Augment()

    @model_validator(mode="after")
    def _path_fits_source(self) -> Self:
        if (self.path is None) != (self.source == "digits"):
            wants = "takes no data.path" if self.source == "digits" else "needs data.path"
            raise ValueError(f"source '{self.source}' {wants}")
        if self.class_names and self.source not in ("digits", "idx", "npz"):
            raise ValueError(f"class_names goes with digits, idx and npz; source '{self.source}' has names of its own")
        if self.tfds_dir is not None and self.source != "tfds":
            raise ValueError(f"tfds_dir goes with source 'tfds', not '{self.source}'")
        if len(set(self.class_names)) < len(self.class_names):
            raise ValueError("class_names holds a name twice")
        if self.validation_split + self.test_split >= 1:
            raise ValueError("validation_split and test_split together leave nothing to train on")
        return self
