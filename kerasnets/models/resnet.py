"""ResNets, their pre-activation variants and their plain counterparts (He et al. 2015 and 2016).

Layers are named as in keras.applications: `conv3_block2_1_conv` is the first convolution of the second block of
stage conv3, `…_0_…` belongs to the shortcut.
"""

from typing import cast

import keras
from keras import KerasTensor as Tensor
from keras import layers

from kerasnets.models.layers import activate_sum, classifier, conv, norm, unit
from kerasnets.models.specs import MAIN_HEAD, Options, ResNetOptions


def build(chosen: Options, input_shape: tuple[int, int, int], classes: int, name: str) -> keras.Model:
    """Return the model: images `[N, H, W, C]` -> logits `[N, classes]`. The stem must be resolved."""
    options = cast(ResNetOptions, chosen)
    image = keras.Input(input_shape, name="image")
    x = stem(image, options)
    stages = len(options.blocks)
    resting = 1 if options.stride_block == "first" else stages  # the stage that keeps its resolution
    for number, (blocks, width) in enumerate(zip(options.blocks, options.widths, strict=True), start=1):
        strides = 1 if number == resting else 2
        x = stage(x, blocks, width, strides, options, name=f"conv{number + 1}")
    if options.pre_activation:
        x = activate_sum(norm(x, options, name="post"), options, name=f"post_{options.activation}")
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    return keras.Model(image, classifier(x, classes, options, name=MAIN_HEAD), name=name)


def stem(x: Tensor, options: ResNetOptions) -> Tensor:
    """Map the image to the first stage's input: at a quarter of its resolution, or (small) at the full one."""
    piece = conv if options.pre_activation else unit  # pre-activation: the first block normalises
    if options.stem == "small":
        return piece(x, options.widths[0], 3, options, name="conv1")
    x = piece(x, options.widths[0], 7, options, name="conv1", strides=2)
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)  # zeros, as keras.applications; after ReLU the same as -inf
    return layers.MaxPooling2D(3, 2, name="pool1_pool")(x)


def stage(x: Tensor, blocks: int, width: int, strides: int, options: ResNetOptions, *, name: str) -> Tensor:
    """Stack the blocks of a stage, one of which strides."""
    block = pre_activation_block if options.pre_activation else post_activation_block
    striding = 1 if options.stride_block == "first" else blocks
    for number in range(1, blocks + 1):
        x = block(x, width, strides if number == striding else 1, options, name=f"{name}_block{number}")
    return x


def post_activation_block(x: Tensor, width: int, strides: int, options: ResNetOptions, *, name: str) -> Tensor:
    """Convolutions, each normalised; the last is added to the shortcut before its activation (2015, figure 2)."""
    entry = x
    *inner, (filters, kernel, stride) = kernels(width, strides, options)
    for number, (channels, size, step) in enumerate(inner, start=1):
        x = unit(x, channels, size, options, name=f"{name}_{number}", strides=step)
    last = f"{name}_{len(inner) + 1}"
    x = conv(x, filters, kernel, options, name=last, strides=stride, normalized=True)
    x = norm(x, options, name=last, gamma="zeros" if options.zero_init_residual else "ones")
    if options.residual:
        skip = shortcut(entry, filters, strides, options, name=f"{name}_0")
        x = layers.Add(name=f"{name}_add")([skip, x])
    return activate_sum(x, options, name=f"{name}_out")


def pre_activation_block(x: Tensor, width: int, strides: int, options: ResNetOptions, *, name: str) -> Tensor:
    """Normalise and activate before each convolution; the sum stays bare (2016, figure 4e)."""
    entry = x
    x = norm(x, options, name=f"{name}_preact")
    x = active = activate_sum(x, options, name=f"{name}_preact_{options.activation}")
    *inner, (filters, kernel, stride) = kernels(width, strides, options)
    for number, (channels, size, step) in enumerate(inner, start=1):
        x = unit(x, channels, size, options, name=f"{name}_{number}", strides=step)
    x = conv(x, filters, kernel, options, name=f"{name}_{len(inner) + 1}", strides=stride)
    if not options.residual:
        return x
    source = active if projects(entry, filters, options) else entry
    skip = shortcut(source, filters, strides, options, name=f"{name}_0")
    return layers.Add(name=f"{name}_out")([skip, x])


def kernels(width: int, strides: int, options: ResNetOptions) -> tuple[tuple[int, int, int], ...]:
    """Return (channels, kernel size, strides) of a block's convolutions."""
    if options.block == "basic":
        return (width, 3, strides), (width, 3, 1)
    first, second = (strides, 1) if options.stride_on == "1x1" else (1, strides)
    return (width, 1, first), (width, 3, second), (width * options.expansion, 1, 1)


def projects(x: Tensor, filters: int, options: ResNetOptions) -> bool:
    """Return whether the shortcut is a 1x1 convolution (2015, section 3.3: options A, B and C)."""
    return options.shortcut == "C" or (options.shortcut == "B" and x.shape[-1] != filters)


def shortcut(x: Tensor, filters: int, strides: int, options: ResNetOptions, *, name: str) -> Tensor:
    """Bring the block's input to the shape of its output, by projection or without parameters."""
    if projects(x, filters, options):
        normalized = not options.pre_activation
        x = conv(x, filters, 1, options, name=name, strides=strides, normalized=normalized)
        return norm(x, options, name=name) if normalized else x
    if strides > 1:
        x = layers.MaxPooling2D(1, strides, name=f"{name}_pool")(x)
    missing = filters - x.shape[-1]
    if missing:
        # Read as channels-first, [N, H, W, C] has W and C for its two spatial axes: this pads the channels with zeros.
        pad = layers.ZeroPadding2D(((0, 0), (0, missing)), data_format="channels_first", name=f"{name}_pad")
        x = pad(x)
    return x
