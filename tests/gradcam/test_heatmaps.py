"""Grad-CAM: equal to what theory says of simple heads, and where the evidence is known, there."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers as L

from kerasnets import models
from kerasnets.errors import UserError
from kerasnets.gradcam import layers
from kerasnets.gradcam.heatmaps import heatmaps

NETWORKS = {
    "resnet20": ((16, 16, 3), {"blocks": [1, 1, 1]}, "conv4_block1_out"),
    "googlenet": ((32, 32, 3), {"width": 0.1}, "inception_5b_output"),
    "plain20": ((16, 16, 3), {"blocks": [1, 1, 1]}, "conv4_block1_out"),
    "lenet5": ((28, 28, 1), {}, "pool2"),
}


def network(name: str) -> keras.Model:
    shape, options, _ = NETWORKS[name]
    return models.main(models.build(name, shape, 5, **options))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_last_layer_that_keeps_places_apart_is_chosen(name: str) -> None:
    assert layers.choose(network(name), None) == NETWORKS[name][2]


@pytest.mark.parametrize("name", ["resnet20", "googlenet"])
def test_a_linear_head_gives_class_activation_maps(name: str) -> None:
    model = network(name)
    head = layers.linear_head(model)
    assert head is not None
    rng = np.random.default_rng(0)
    images, classes = rng.normal(size=(3, *model.input_shape[1:])).astype(np.float32), np.array([4, -1, 0], np.int32)
    found, logits = heatmaps(model, head.layer, tf.constant(images), tf.constant(classes))
    features = keras.Model(model.input, model.get_layer(head.layer).output)(images, training=False).numpy()
    evidence = head.evidence(features, np)
    bias = model.layers[-1].bias.numpy()
    np.testing.assert_allclose(evidence.sum(axis=(1, 2)) + bias, logits, atol=1e-4)
    chosen = [4, int(np.argmax(logits[1])), 0]
    maps = np.stack([np.maximum(one[..., place], 0) for one, place in zip(evidence, chosen, strict=True)])
    highest = maps.max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(found, maps / np.where(highest > 0, highest, 1), atol=1e-4)
    assert found.numpy().max() == 1.0


def test_evidence_in_a_corner_lights_that_corner() -> None:
    image = keras.Input((32, 32, 3))
    x = L.Conv2D(2, 3, padding="same", activation="relu", use_bias=False, name="colours")(image)
    x = L.MaxPooling2D(4, name="small")(x)
    model = keras.Model(image, L.Dense(2, use_bias=False)(L.Flatten()(L.AveragePooling2D(2)(x))))
    kernel = np.zeros((3, 3, 3, 2), np.float32)
    kernel[1, 1, 0, 0] = kernel[1, 1, 2, 1] = 1.0  # one channel sees red, the other blue
    model.get_layer("colours").set_weights([kernel])
    model.layers[-1].set_weights([np.tile(np.eye(2, dtype=np.float32), (16, 1))])
    picture = np.zeros((1, 32, 32, 3), np.float32)
    picture[0, :8, :8, 0] = 1.0  # red above left
    picture[0, 24:, 24:, 2] = 0.9  # blue below right
    for wanted, rows in ((0, slice(0, 2)), (1, slice(6, 8)), (-1, slice(0, 2))):
        found, _ = heatmaps(model, "small", tf.constant(picture), tf.constant([wanted]))
        lit = np.zeros((8, 8), np.float32)
        lit[rows, rows] = 1.0
        np.testing.assert_allclose(found[0], lit, atol=1e-6)


def test_nothing_that_speaks_for_a_class_is_a_map_of_zeros() -> None:
    image = keras.Input((4, 4, 1))
    x = L.Conv2D(1, 1, use_bias=False, activation="relu", name="seen")(image)
    model = keras.Model(image, L.Dense(2)(L.GlobalAveragePooling2D()(x)))
    found, _ = heatmaps(model, "seen", tf.zeros((1, 4, 4, 1)), tf.constant([1]))
    np.testing.assert_array_equal(found, np.zeros((1, 4, 4)))


def test_a_class_that_is_not_there_is_refused() -> None:
    model = network("lenet5")
    with pytest.raises(tf.errors.InvalidArgumentError, match="there are 5 classes"):
        heatmaps(model, "pool2", tf.zeros((1, 28, 28, 1)), tf.constant([5]))


def test_words_about_layers() -> None:
    model = network("lenet5")
    assert layers.linear_head(model) is None
    with pytest.raises(UserError, match=r"^--layer conv2_tan is not a layer.*; did you mean 'conv2_tanh'\?$"):
        layers.choose(model, "conv2_tan")
    with pytest.raises(UserError, match="^--layer fc3 keeps no places apart; the last one that .* is 'pool2'$"):
        layers.choose(model, "fc3")
    image = keras.Input((8, 8, 3))
    flat = keras.Model(image, L.Dense(2)(L.Flatten()(image)))
    with pytest.raises(UserError, match="^no layer of this model keeps places apart, so there is nothing to show"):
        layers.choose(flat, None)
