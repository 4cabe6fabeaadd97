"""Random changes of training images, a batch at a time. Imported by training alone; never part of a model.

Colours change on raw pixels; then the pixels are normalised; then images move, so that what comes in from outside
is the mean colour. What becomes of an example is a function of (seed, epoch, position), whatever batch it is in
(but for its neighbour, with which MixUp and CutMix mix it).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from kerasnets.config import Augment
from kerasnets.data import colour, mix, rand_augment
from kerasnets.data.draws import Draws
from kerasnets.data.geometry import boxes, pad_crop_flip
from kerasnets.data.preprocessing import Preprocessing

Tensor = Any

_STREAM = 1
_ERASED_AREA, _ERASED_RATIO = (0.02, 0.4), (0.3, 1 / 0.3)  # Zhong et al. 2017, sec. 4.1


@dataclass(frozen=True)
class Step:
    """One change: how many uniform numbers an example takes, and `(images, numbers [N, draws]) -> images`."""

    draws: int
    change: Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Augmenter:
    """All changes that a config asks for, but the random window, which belongs to the resize (`streams.py`).

    What `changed` makes of an image does not depend on the others that it is given with; `mixed` mixes neighbours.
    """

    wanted: Augment
    preprocessing: Preprocessing
    seed: int

    def changed(self, pixels: Tensor, epoch: Tensor, first: Tensor) -> Tensor:
        """Return the model's input `[N, h, w, C]`, before any mixing.

        Args:
            pixels: Raw pixels at the model's size, float32 `[N, h, w, C]`, 0..255.
            epoch: Counted from 0.
            first: Position of the first example in its epoch; the others follow.
        """
        raw, moves = self._raw_steps(), self._input_steps()
        numbers = self._numbers(epoch, first, tf.shape(pixels)[0])
        used = 0
        for step in raw:
            pixels, used = step.change(pixels, numbers[:, used : used + step.draws]), used + step.draws
        images = self.preprocessing.normalize(pixels)
        for step in moves:
            images, used = step.change(images, numbers[:, used : used + step.draws]), used + step.draws
        return images

    def mixed(self, images: Tensor, labels: Tensor, epoch: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
        """Return a batch's images and labels `[N, K]`, the latter soft after MixUp and CutMix.

        Args:
            images: What `changed` returned, `[N, h, w, C]`.
            labels: One-hot, float32 `[N, K]`.
            epoch: Counted from 0.
            first: Position of the batch's first example in its epoch.
        """
        if not self._mixes:
            return images, labels
        numbers = self._numbers(epoch, first, tf.shape(images)[0])[:, -mix.DRAWS :]
        return mix.mixed(images, labels, numbers, self.wanted.mixup, self.wanted.cutmix)

    @property
    def _mixes(self) -> bool:
        return bool(self.wanted.mixup or self.wanted.cutmix)

    def _numbers(self, epoch: Tensor, first: Tensor, examples: Tensor) -> Tensor:
        """Return the uniform numbers of all changes, in order, those of mixing last."""
        steps = (*self._raw_steps(), *self._input_steps())
        count = sum(step.draws for step in steps) + mix.DRAWS * self._mixes
        return Draws(self.seed, _STREAM, count)(epoch, first, examples)

    def _raw_steps(self) -> list[Step]:
        steps = []
        jitter, wanted = self.wanted.color_jitter, self.wanted.rand_augment
        if jitter is not None:
            steps.append(Step(4, lambda pixels, numbers: colour.jitter(pixels, numbers, jitter)))
        if wanted is not None:
            magnitude, fill = wanted.magnitude, float(np.mean(self.preprocessing.mean))
            steps += [
                Step(rand_augment.DRAWS, lambda pixels, numbers: rand_augment.layer(pixels, numbers, magnitude, fill))
            ] * wanted.layers
        return steps

    def _input_steps(self) -> list[Step]:
        steps = []
        pad, flip, probability = self.wanted.pad_crop, self.wanted.flip, self.wanted.random_erasing
        if pad or flip:
            steps.append(Step(3, lambda images, numbers: pad_crop_flip(images, numbers, pad, flip)))
        if probability:
            steps.append(Step(5, lambda images, numbers: erase(images, numbers, probability)))
        return steps


def erase(images: Tensor, numbers: Tensor, probability: float) -> Tensor:
    """Set a random rectangle of some images to 0, the mean colour (Zhong et al. 2017).

    Args:
        images: Model input `[N, h, w, C]`.
        numbers: Uniform, `[N, 5]`: whether, area, ratio, row, column.
        probability: Share of images that lose a rectangle.
    """
    height, width = images.shape[1], images.shape[2]
    area = height * width * (_ERASED_AREA[0] + numbers[:, 1] * (_ERASED_AREA[1] - _ERASED_AREA[0]))
    low, high = (float(np.log(ratio)) for ratio in _ERASED_RATIO)
    ratio = tf.exp(low + numbers[:, 2] * (high - low))
    sides = tf.stack([tf.minimum(tf.sqrt(area * ratio), height), tf.minimum(tf.sqrt(area / ratio), width)], axis=1)
    chosen = tf.reshape(numbers[:, 0] < probability, (-1, 1, 1, 1))
    # The centre keeps the whole rectangle inside, as the paper's retries do.
    centres = (sides / 2 + numbers[:, 3:] * ([float(height), float(width)] - sides)) / [float(height), float(width)]
    return tf.where(tf.logical_and(chosen, boxes(centres, sides, (height, width))), 0.0, images)
