"""Random changes of colour, a batch at a time: pixels float32 `[N, h, w, C]`, 0..255, factors `[N, 1, 1, 1]`."""

from typing import Any

import tensorflow as tf

from kerasnets.config.data import ColorJitter

Tensor = Any

_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601


def blend(pixels: Tensor, plain: Tensor, factor: Tensor) -> Tensor:
    """Return the point at `factor` on the line from `plain` (0) to `pixels` (1), within 0..255."""
    return tf.clip_by_value(plain + factor * (pixels - plain), 0.0, 255.0)


def grey(pixels: Tensor) -> Tensor:
    """Return the luma, `[N, h, w, 1]`."""
    return pixels if pixels.shape[-1] == 1 else tf.reduce_sum(pixels * tf.constant(_LUMA), axis=-1, keepdims=True)


def mean_grey(pixels: Tensor) -> Tensor:
    """Return each image's mean luma, `[N, 1, 1, 1]`."""
    return tf.reduce_mean(grey(pixels), axis=(1, 2, 3), keepdims=True)


def turn_hue(pixels: Tensor, turn: Tensor) -> Tensor:
    """Return RGB pixels whose hue went `turn` of the way round the colour circle."""
    hue, saturation, value = tf.unstack(tf.image.rgb_to_hsv(pixels / 255.0), axis=-1)
    hue = tf.math.floormod(hue + turn[..., 0], 1.0)
    return tf.image.hsv_to_rgb(tf.stack([hue, saturation, value], axis=-1)) * 255.0


def jitter(pixels: Tensor, numbers: Tensor, strength: ColorJitter) -> Tensor:
    """Change brightness, contrast, saturation and hue, in this order (Krizhevsky et al. 2012; Howard 2013).

    Args:
        pixels: float32 `[N, h, w, C]`, 0..255.
        numbers: Uniform, `[N, 4]`, one for each change.
        strength: How far each goes.
    """
    signed = tf.reshape(2.0 * numbers - 1.0, (-1, 4, 1, 1, 1))
    factors = [
        tf.maximum(1.0 + signed[:, i] * x, 0.0)
        for i, x in enumerate((strength.brightness, strength.contrast, strength.saturation))
    ]
    if strength.brightness:
        pixels = blend(pixels, tf.zeros_like(pixels), factors[0])
    if strength.contrast:
        pixels = blend(pixels, mean_grey(pixels), factors[1])
    if strength.saturation and pixels.shape[-1] == 3:
        pixels = blend(pixels, grey(pixels), factors[2])
    if strength.hue and pixels.shape[-1] == 3:
        pixels = turn_hue(pixels, signed[:, 3] * strength.hue)
    return pixels


def autocontrast(pixels: Tensor) -> Tensor:
    """Stretch each channel of each image to 0..255; a channel of one grey level stays."""
    low = tf.reduce_min(pixels, axis=(1, 2), keepdims=True)
    high = tf.reduce_max(pixels, axis=(1, 2), keepdims=True)
    return tf.where(high > low, (pixels - low) * 255.0 / tf.maximum(high - low, 1e-3), pixels)


def equalize(pixels: Tensor) -> Tensor:
    """Flatten the histogram of each channel of each image, as Pillow's `ImageOps.equalize` does."""
    levels = tf.cast(tf.round(pixels), tf.int32)
    planes = tf.transpose(levels, (0, 3, 1, 2))
    flat = tf.reshape(planes, (-1, planes.shape[2] * planes.shape[3]))
    counts = tf.math.bincount(flat, minlength=256, maxlength=256, axis=-1)
    last = tf.reduce_max(tf.where(counts > 0, tf.range(256), -1), axis=-1, keepdims=True)
    step = (tf.shape(flat)[1] - tf.gather(counts, last, batch_dims=1)) // 255
    below = tf.cumsum(counts, axis=-1, exclusive=True)
    table = tf.where(step > 0, tf.minimum((below + step // 2) // tf.maximum(step, 1), 255), tf.range(256))
    mapped = tf.reshape(tf.gather(table, flat, batch_dims=1), tf.shape(planes))
    return tf.cast(tf.transpose(mapped, (0, 2, 3, 1)), tf.float32)


def sharpen(pixels: Tensor, factor: Tensor) -> Tensor:
    """Blend with a smoothed image: a factor below 1 blurs, above 1 sharpens (Pillow's `ImageEnhance.Sharpness`)."""
    kernel = tf.constant([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]])[:, :, None, None] / 13.0
    padded = tf.pad(pixels, ((0, 0), (1, 1), (1, 1), (0, 0)), "SYMMETRIC")
    smooth = tf.nn.depthwise_conv2d(padded, tf.repeat(kernel, pixels.shape[-1], axis=2), (1, 1, 1, 1), "VALID")
    return blend(pixels, smooth, factor)
