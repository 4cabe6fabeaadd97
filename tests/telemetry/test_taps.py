"""What is watched in a network, and that watching leaves it as it is."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from kerasnets import models
from kerasnets.telemetry.taps import named_outputs, nonlinearity, tap

layers = keras.layers


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: layers.ReLU(), "relu"),
        (lambda: layers.LeakyReLU(), "leaky_relu"),
        (lambda: layers.PReLU(), "prelu"),
        (lambda: layers.Softmax(), "softmax"),
        (lambda: layers.Activation("tanh"), "tanh"),
        (lambda: layers.Dense(1, activation="sigmoid"), "sigmoid"),
        (lambda: layers.Conv2D(1, 1, activation="relu6"), "relu6"),
        (lambda: layers.Maximum(name="conv_maxout"), "maxout"),
        (lambda: layers.Dense(1), None),
        (lambda: layers.Dense(1, activation="linear"), None),
        (lambda: layers.BatchNormalization(), None),
        (lambda: layers.Activation(lambda x: x), "<lambda>"),
    ],
)
def test_the_nonlinearity_of_a_layer(make: Callable[[], Any], expected: str | None) -> None:
    assert nonlinearity(make()) == expected


def test_outputs_of_one_head_of_a_dict_and_of_a_list() -> None:
    image = keras.Input((4,))
    low, high = layers.Dense(2, name="low")(image), layers.Dense(3, name="high")(image)
    assert list(named_outputs(keras.Model(image, high))) == ["high"]
    assert list(named_outputs(keras.Model(image, [low, high]))) == ["low", "high"]
    assert list(named_outputs(keras.Model(image, {"a": low, "b": high}))) == ["a", "b"]


def small() -> keras.Model:
    keras.utils.set_random_seed(0)
    inner_in = keras.Input((8, 8, 2))
    inner = keras.Model(inner_in, layers.Conv2D(2, 3, activation="relu", name="inside")(inner_in), name="inner")
    image = keras.Input((8, 8, 1), name="image")
    shared = layers.Activation("tanh", name="twice")
    x = shared(layers.Conv2D(2, 3, padding="same", name="conv")(image))
    x = shared(inner(x))
    x = layers.BatchNormalization(name="bn")(layers.Flatten(name="flatten")(x))
    return keras.Model(image, {"low": layers.Dense(2, name="softmax0")(x), "high": layers.Dense(3, name="softmax1")(x)})


def test_what_is_watched() -> None:
    _, watched = tap(small())
    assert watched.activations == {"twice": "tanh", "inside": "relu", "low": "linear", "high": "linear"}
    assert watched.shapes == {
        **{"twice": (None, 8, 8, 2), "inside": (None, 6, 6, 2)},
        **{"low": (None, 2), "high": (None, 3)},
    }
    assert watched.heads == ("low", "high")
    assert len(watched.names) == 2 + 2 + 2 + 4
    assert watched.names[0] == "conv/kernel"


def test_outputs_and_weights_are_the_networks_own() -> None:
    net = small()
    before = [type(layer) for layer in net.layers]
    tapped, _ = tap(net)
    assert {id(v) for v in tapped.weights} == {id(v) for v in net.weights}
    images = np.random.default_rng(0).normal(size=(3, 8, 8, 1)).astype("float32")
    for training in (False, True):
        expected, found = net(images, training=training), tapped(images, training=training)
        for head in ("low", "high"):
            np.testing.assert_array_equal(found["outputs"][head], expected[head])
    assert [type(layer) for layer in net.layers] == before
    twice = keras.Model(net.input, net.get_layer("conv").output)(images)
    np.testing.assert_allclose(found["activations"]["twice"], np.tanh(twice), rtol=1e-5)


def test_a_nested_sequential_is_looked_into_and_one_at_the_top_is_refused() -> None:
    nested = keras.Sequential([layers.Flatten(), layers.Dense(4, activation="tanh", name="inside")], name="nested")
    image = keras.Input((2, 2, 1))
    _, watched = tap(keras.Model(image, nested(layers.Rescaling(2.0)(image))))
    assert watched.activations == {"inside": "tanh", "nested": "linear"}
    assert watched.shapes["inside"] == (None, 4)
    with pytest.raises(TypeError, match=r"^nested is not a functional model; of a Sequential: keras.Model"):
        tap(nested)


@pytest.mark.parametrize(("name", "options"), [("resnet20", {}), ("resnet20", {"activation": "sigmoid"})])
def test_every_nonlinearity_of_a_shipped_model_is_watched(name: str, options: dict[str, Any]) -> None:
    _, watched = tap(models.build(name, input_shape=(8, 8, 1), classes=10, **options))
    function = options.get("activation", "relu")
    assert set(watched.activations.values()) == {function, "linear"}
    assert list(watched.activations)[0] == f"conv1_{function}" and list(watched.activations)[-1] == "softmax"
    assert len(watched.activations) == 20
