"""GoogLeNet (Szegedy et al. 2014): nine Inception modules and two auxiliary heads."""

from typing import NamedTuple, cast

import keras
from keras import KerasTensor as Tensor
from keras import layers

from kerasnets.models.layers import classifier, dense, initial, local_response_norm, unit
from kerasnets.models.specs import HEADS, MAIN_HEAD, GoogLeNetOptions, Options


class Channels(NamedTuple):
    """Output channels of an Inception module's convolutions (table 1)."""

    one: int
    reduce3: int
    three: int
    reduce5: int
    five: int
    pool: int


INCEPTION = {
    "3a": Channels(64, 96, 128, 16, 32, 32),
    "3b": Channels(128, 128, 192, 32, 96, 64),
    "4a": Channels(192, 96, 208, 16, 48, 64),
    "4b": Channels(160, 112, 224, 24, 64, 64),
    "4c": Channels(128, 128, 256, 24, 64, 64),
    "4d": Channels(112, 144, 288, 32, 64, 64),
    "4e": Channels(256, 160, 320, 32, 128, 128),
    "5a": Channels(256, 160, 320, 32, 128, 128),
    "5b": Channels(384, 192, 384, 48, 128, 128),
}
AUXILIARY = {"4a": HEADS[0], "4d": HEADS[1]}
POOL_AFTER = {"3b": "pool3", "4e": "pool4"}


def build(chosen: Options, input_shape: tuple[int, int, int], classes: int, name: str) -> keras.Model:
    """Return the model: images `[N, H, W, C]` -> logits `[N, classes]`, of each head by name where there are several.

    The stem must be resolved.
    """
    options = cast(GoogLeNetOptions, chosen)
    image = keras.Input(input_shape, name="image")
    outputs = {}
    x = stem(image, options)
    for module, channels in INCEPTION.items():
        x = inception(x, channels, options, name=f"inception_{module}")
        if options.auxiliary and module in AUXILIARY:
            outputs[AUXILIARY[module]] = auxiliary_head(x, classes, options, name=AUXILIARY[module])
        if module in POOL_AFTER:
            x = pool(x, int(options.last_pool[0]) if module == "4e" else 3, name=POOL_AFTER[module])
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    if not options.auxiliary:
        return keras.Model(image, classifier(x, classes, options, name=MAIN_HEAD), name=name)
    outputs[HEADS[-1]] = classifier(x, classes, options, name=HEADS[-1])
    return keras.Model(image, outputs, name=name)


def stem(x: Tensor, options: GoogLeNetOptions) -> Tensor:
    """Map the image to 192 channels at an eighth of its resolution, or (small) at a quarter."""
    kernel, strides = (3, 1) if options.stem == "small" else (7, 2)
    x = unit(x, scaled(64, options), kernel, options, name="conv1", strides=strides)
    x = pool(x, name="pool1")
    if options.lrn:
        x = local_response_norm(x, name="pool1_lrn")
    x = unit(x, scaled(64, options), 1, options, name="conv2_reduce")
    x = unit(x, scaled(192, options), 3, options, name="conv2")
    if options.lrn:
        x = local_response_norm(x, name="conv2_lrn")
    return pool(x, name="pool2")


def pool(x: Tensor, window: int = 3, *, name: str) -> Tensor:
    """Halve the resolution. At even sizes `same` is the original (Caffe's) rounding up, all on the right and below."""
    return layers.MaxPooling2D(window, 2, "same", name=name)(x)


def inception(x: Tensor, channels: Channels, options: GoogLeNetOptions, *, name: str) -> Tensor:
    """Concatenate 1x1, 3x3 and 5x5 convolutions and a pooling (figure 2b; naive, without reductions: figure 2a)."""
    three = five = x
    pooled = layers.MaxPooling2D(3, 1, "same", name=f"{name}_pool")(x)
    if options.inception == "reduced":
        three = unit(x, scaled(channels.reduce3, options), 1, options, name=f"{name}_3x3_reduce")
        five = unit(x, scaled(channels.reduce5, options), 1, options, name=f"{name}_5x5_reduce")
        pooled = unit(pooled, scaled(channels.pool, options), 1, options, name=f"{name}_pool_proj")
    branches = [
        unit(x, scaled(channels.one, options), 1, options, name=f"{name}_1x1"),
        unit(three, scaled(channels.three, options), 3, options, name=f"{name}_3x3"),
        unit(five, scaled(channels.five, options), int(options.five[0]), options, name=f"{name}_5x5"),
        pooled,
    ]
    return layers.Concatenate(name=f"{name}_output")(branches)


def auxiliary_head(x: Tensor, classes: int, options: GoogLeNetOptions, *, name: str) -> Tensor:
    """Classify from the middle of the network (section 5): pooling, 1x1 to 128, dense 1024, dropout, logits.

    The paper pools 14x14 by 5x5/3 to 4x4. Other sizes are pooled to at most 4x4 by the rule that gives just that.
    torchvision's windows are of different sizes or distances where 4 does not divide the size (adaptive).
    """
    if options.auxiliary_pool == "adaptive":
        pooling = layers.AdaptiveAveragePooling2D(4, name=f"{name}_pool")
    else:
        windows, strides = zip(*(pooling_to(4, size) for size in x.shape[1:3]), strict=True)
        pooling = layers.AveragePooling2D(windows, strides, name=f"{name}_pool")
    x = pooling(x)
    x = unit(x, scaled(128, options), 1, options, name=name)
    x = layers.Flatten(name=f"{name}_flatten")(x)
    x = dense(x, scaled(1024, options), options, name=f"{name}_fc")
    if options.auxiliary_dropout:
        x = layers.Dropout(options.auxiliary_dropout, name=f"{name}_dropout")(x)
    return layers.Dense(classes, **initial(options), name=name)(x)


def pooling_to(target: int, size: int) -> tuple[int, int]:
    """Return window and stride that pool `size` pixels to min(target, size), leaving none out."""
    outputs = min(target, size)
    stride = size // outputs
    return size - (outputs - 1) * stride, stride


def scaled(channels: int, options: GoogLeNetOptions) -> int:
    """Return the channels times the width multiplier, at least 1."""
    return max(1, round(channels * options.width))
