"""The memory of a training step: predicted tensor by tensor, against sums by hand and what TensorFlow logged."""

from collections.abc import Callable
from typing import Any

import keras
import pytest
from keras import layers

from kerasnets.models import memory

GRAPH, LAYER = 50_000_000, 850_000


def tiny() -> keras.Model:
    image = keras.Input((4, 4, 1))
    x = layers.Conv2D(2, 3, padding="same", use_bias=False)(image)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    return keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))


def test_a_tiny_network_by_hand() -> None:
    """Two images are 128 bytes, the convolution's output 256, the pooled features and the logits 16 each.

    The most is held when the pooling hands its gradient back: the image, the inputs of normalisation and ReLU (which
    writes over its input) and the logits; gradients of 16 and 256 bytes; and those of the dense layer's 6 weights.
    """
    found = memory.predict(tiny(), 2)
    assert found.weights == 2 * 4 * (18 + 8 + 6)
    assert found.optimizer == 4 * (18 + 4 + 6)
    assert found.activations == 128 + 256 + 256 + 16
    assert found.gradients == 4 * 6
    assert found.transient == 16 + 256 + 2 * 4 * (18 + 4 + 6)
    assert found.graph == GRAPH + 6 * LAYER
    assert found.step == 256 + 112 + 656 + 24 + 496
    assert found.document()["total"] == found.total == found.step + found.graph


def test_less_precision_halves_activations_alone() -> None:
    """Then the most is held when the normalisation hands its gradient back, which its own input outlives."""
    found = memory.predict(tiny(), 2, "bfloat16")
    assert (found.activations, found.gradients) == (64 + 128 + 8, 4 * 6 + 4 * 4)
    assert found.transient == 128 + 128 + 2 * 4 * (18 + 4 + 6)
    assert (found.weights, found.optimizer) == (256, 112)


def test_adam_keeps_two_numbers_a_weight() -> None:
    assert memory.predict(tiny(), 2, slots=2).optimizer == 2 * memory.predict(tiny(), 2).optimizer


def test_a_shortcut_is_held_once_and_its_gradients_are_summed() -> None:
    image = keras.Input((4, 4, 1))
    x = layers.Conv2D(1, 1, use_bias=False)(image)
    y = layers.Conv2D(1, 1, use_bias=False)(x)
    model = keras.Model(image, layers.GlobalAveragePooling2D()(layers.Add()([x, y])))
    found = memory.predict(model, 1)
    # The image, x, the output of 4; the gradient of the sum, which is y's and the shortcut's, and that of x through y.
    assert (found.activations, found.gradients) == (64 + 64 + 4, 4)
    assert found.transient == 64 + 64 + 2 * 4 * 2


@pytest.mark.parametrize(("precision", "logged"), [("float32", 255.45e6), ("bfloat16", 132.70e6)])
def test_googlenet_as_tensorflow_logged_it(precision: str, logged: float, outlined: Callable[..., Any]) -> None:
    """The most bytes of tensors of 7 images at a time, as TF_CPP_VMODULE=log_memory=2 shows them (TensorFlow 2.21).

    Local response normalisation keeps its input and two powers of its sum of squares; poolings keep a byte for each
    maximum. TensorFlow computes gradients of the auxiliary heads somewhat sooner than is predicted.
    """
    model = outlined("googlenet")
    found = memory.predict(model, 7, precision)
    weights = sum(int(keras.ops.size(weight)) for weight in model.trainable_weights)
    assert found.activations + found.transient - 2 * 4 * weights == pytest.approx(logged, rel=0.03)


def test_what_local_response_normalisation_keeps(outlined: Callable[..., Any]) -> None:
    """Of 7 x 56 x 56 x (64 + 192) inputs, in bytes each: an output, which all that follows reads, and two powers."""
    kept = {
        precision: [memory.predict(outlined("googlenet", lrn=lrn), 7, precision).activations for lrn in (True, False)]
        for precision in memory.BYTES
    }
    inputs = 7 * 56 * 56 * (64 + 192)
    bytes_each = {precision: (with_it - without) / inputs for precision, (with_it, without) in kept.items()}
    assert bytes_each == {"float32": 4 + 8, "bfloat16": 2 + 4, "float16": 2 + 12}


def test_what_a_layer_reads_is_not_known_so_it_holds_both() -> None:
    image = keras.Input((4, 4, 1))
    x = layers.Conv2D(1, 1, use_bias=False)(image)
    known, unknown = layers.AveragePooling2D(1)(x), layers.GaussianNoise(1.0)(x)
    held = [memory.predict(keras.Model(image, layers.Flatten()(end)), 1).activations for end in (known, unknown)]
    assert held[1] == held[0] + 64
