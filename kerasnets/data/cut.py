"""Training's resize: the part of an image that is wanted, decoded alone and resized in one operation.

What it makes is what `resample.py` defines, within a hundredth of a grey level for photographs of up to a megapixel
(the operation divides early, in float32); evaluation and every artefact use the definition itself.
"""

from dataclasses import dataclass, replace
from typing import Any, Self

import tensorflow as tf

Tensor = Any

_MARGIN = 2  # pixels round what is needed: a JPEG's part is not exact at its border
_INWARDS = 2.0**-23  # of the output's side: more than float32 loses on the way to a pixel's place


@dataclass(frozen=True)
class Cut:
    """Where an image's pixels of the model's size come from, down and right.

    Attributes:
        middle: Of the output, in input pixels, float32 `[2]`.
        step: Input pixels from one output pixel to the next, float32 `[2]`.
        out: Height and width of the output.
    """

    middle: Tensor
    step: Tensor
    out: tuple[int, int]

    def inwards(self) -> Self:
        """Return the cut whose pixels are nearer to the middle, by less than a ten-thousandth of one.

        The operation makes those black whose centres are outside the image. One that is on the border is to count as
        inside, wherever float32 rounds it to.
        """
        half = self.middle / self.step  # of the image, in output pixels
        return replace(self, step=self.step * (1 - _INWARDS * tf.constant(self.out, tf.float32) / half))

    def box(self, size: Tensor) -> Tensor:
        """Return the box (top, left, height, width), int32 `[4]`, of all pixels that count in an image of a size."""
        reach = self.step * tf.constant(self.out, tf.float32) / 2 + tf.maximum(self.step, 1.0) + _MARGIN
        low = tf.maximum(tf.cast(tf.floor(self.middle - reach), tf.int32), 0)
        high = tf.minimum(tf.cast(tf.math.ceil(self.middle + reach), tf.int32), size)
        return tf.concat([low, high - low], 0)

    def resampled(self, pixels: Tensor, corner: Tensor) -> Tensor:
        """Return float32 `[h, w, C]` of a box's pixels, uint8 `[H, W, C]`, whose corner (top, left) is given."""
        scale = 1.0 / self.step
        shift = tf.constant(self.out, tf.float32) / 2 - (self.middle - tf.cast(corner, tf.float32)) * scale
        return tf.raw_ops.ScaleAndTranslate(
            images=pixels[None], size=self.out, scale=scale, translation=shift, kernel_type="triangle", antialias=True
        )[0]


@dataclass(frozen=True)
class Part:
    """What is decoded of an image to be cut.

    Attributes:
        pixels: uint8 `[H, W, C]`.
        corner: Where its first pixel is in the image (top, left), int32 `[2]`.
        size: Height and width of the whole image, int32 `[2]`.
        cut: Of the image.
    """

    pixels: Tensor
    corner: Tensor
    size: Tensor
    cut: Cut
