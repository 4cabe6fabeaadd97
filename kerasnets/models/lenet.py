"""LeNet-5 (LeCun et al. 1998, section II.B), the ancestor, with softmax and full connections as it is built today."""

from typing import cast

import keras
from keras import KerasTensor as Tensor
from keras import layers

from kerasnets.models.layers import classifier, dense, unit
from kerasnets.models.specs import MAIN_HEAD, LeNetOptions, Options


def build(chosen: Options, input_shape: tuple[int, int, int], classes: int, name: str) -> keras.Model:
    """Return the model: images `[N, H, W, C]` -> logits `[N, classes]`."""
    options = cast(LeNetOptions, chosen)
    image = keras.Input(input_shape, name="image")
    x = unit(image, 6, 5, options, name="conv1", padding=options.padding)
    x = pool(x, options, name="pool1")
    x = unit(x, 16, 5, options, name="conv2", padding="valid")
    x = pool(x, options, name="pool2")
    x = layers.Flatten(name="flatten")(x)
    x = dense(x, 120, options, name="fc3")
    x = dense(x, 84, options, name="fc4")
    return keras.Model(image, classifier(x, classes, options, name=MAIN_HEAD), name=name)


def pool(x: Tensor, options: LeNetOptions, *, name: str) -> Tensor:
    """Halve the resolution."""
    layer = layers.AveragePooling2D if options.pooling == "average" else layers.MaxPooling2D
    return layer(2, name=name)(x)
