"""Fast layers give the numbers of plain ones, and come out again as plain ones."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasnets.models import layers
from kerasnets.training.fast import make_fast
from kerasnets.training.normalization import (
    FreezableBatchNormalization,
    FusedBatchNormalization,
    LocalResponseNormalization,
)


def plain() -> keras.Model:
    keras.utils.set_random_seed(3)
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(8, 3, name="conv")(image)
    x = keras.layers.BatchNormalization(momentum=0.8, epsilon=1e-4, name="bn")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(keras.layers.ReLU(name="relu")(x))
    x = keras.layers.BatchNormalization(name="flat_bn")(x)
    return keras.Model(image, keras.layers.Dense(4, name="softmax")(x))


IMAGES = np.random.default_rng(0).normal(1, 3, (16, 8, 8, 3)).astype("float32")


def gradients(net: keras.Model) -> tuple[np.ndarray, list[np.ndarray]]:
    with tf.GradientTape() as tape:
        outputs = net(IMAGES, training=True)
        loss = tf.reduce_mean(tf.cast(outputs, tf.float32)[:, 0] ** 2)
    return outputs.numpy(), [g.numpy() for g in tape.gradient(loss, net.trainable_variables)]


def test_outputs_gradients_and_moving_statistics_equal_those_of_plain_layers() -> None:
    one, fast = plain(), make_fast(plain())
    for (expected, expected_gradients), (found, found_gradients) in [(gradients(one), gradients(fast.net))]:
        np.testing.assert_allclose(found, expected, atol=2e-5)
        for a, b in zip(found_gradients, expected_gradients, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)
    for a, b in zip(fast.net.variables, one.variables, strict=True):
        assert a.path == b.path
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fast.net(IMAGES), one(IMAGES), atol=1e-5)


def test_no_weights_are_drawn_for_the_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    one = plain()
    monkeypatch.setattr(keras.initializers.VarianceScaling, "__call__", lambda *_, **__: pytest.fail("drawn again"))
    twin = make_fast(one).net
    for a, b in zip(twin.weights, one.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_four_dimensional_normalisation_alone_is_fused() -> None:
    net = make_fast(plain()).net
    assert type(net.get_layer("bn")) is FusedBatchNormalization
    assert type(net.get_layer("flat_bn")) is FreezableBatchNormalization


@pytest.mark.parametrize(("precision", "compute"), [("bfloat16", "bfloat16"), ("float16", "float16")])
def test_mixed_precision_keeps_variables_and_logits_in_float32(precision: str, compute: str) -> None:
    net = make_fast(plain(), precision).net
    assert net.get_layer("conv").compute_dtype == compute
    assert {variable.dtype for variable in net.variables} == {"float32"}
    assert net(IMAGES).dtype == tf.float32
    assert net.get_layer("bn").output.dtype == compute


def test_to_plain_gives_plain_layers_with_the_trained_weights(tmp_path) -> None:
    fast = make_fast(plain(), "bfloat16")
    gradients(fast.net)  # moves the statistics
    fast.net.get_layer("conv").kernel.assign_add(tf.ones_like(fast.net.get_layer("conv").kernel))
    model = fast.to_plain()
    assert {type(layer).__module__.split(".")[0] for layer in model.layers} == {"keras"}
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(IMAGES), model(IMAGES))
    np.testing.assert_allclose(loaded(IMAGES), fast.net(IMAGES), atol=0.3)  # logits of up to 20, in bfloat16


def test_frozen_normalisation_uses_and_keeps_its_statistics() -> None:
    net = make_fast(plain()).net
    net.get_layer("bn").trainable = False
    before = net.get_layer("bn").moving_mean.numpy()
    net(IMAGES, training=True)
    np.testing.assert_array_equal(net.get_layer("bn").moving_mean.numpy(), before)


def normalized(alpha: float = 1e-4) -> keras.Model:
    """Return local response normalisation as our models have it, and a layer that is about the same."""
    image = keras.Input((6, 5, 16), name="image")
    same = layers.local_response_norm(image, name="same")
    inside = keras.Input((6, 5, 16))
    other = keras.Model(inside, inside * keras.ops.rsqrt(1 + alpha * keras.ops.square(inside)), name="other")
    return keras.Model(image, other(same))


def test_local_response_normalisation_has_the_numbers_and_gradients_of_the_plain_layer() -> None:
    net = make_fast(normalized()).net
    assert type(net.get_layer("same")) is LocalResponseNormalization
    assert type(net.get_layer("other")) is not LocalResponseNormalization
    rng = np.random.default_rng(0)
    images, upstream = (tf.constant(rng.normal(0, 200, (3, 6, 5, 16)), tf.float32) for _ in range(2))

    def both(layer: keras.layers.Layer) -> tuple[np.ndarray, np.ndarray]:
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = layer(images)
        return outputs.numpy(), tape.gradient(outputs, images, upstream).numpy()

    for found, expected in zip(both(net.get_layer("same")), both(normalized().get_layer("same")), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(("precision", "close"), [("bfloat16", 0.02), ("float16", 0.003)])
def test_local_response_normalisation_in_half_the_bits_keeps_its_range(precision: str, close: float) -> None:
    images = tf.constant(np.random.default_rng(1).normal(0, 2000, (2, 6, 5, 16)), tf.float32)
    layer = make_fast(normalized(), precision).net.get_layer("same")
    found = layer(images)
    assert found.dtype == layer.compute_dtype == precision
    expected = normalized().get_layer("same")(images).numpy()  # squares of 4e6 are beyond float16
    np.testing.assert_allclose(tf.cast(found, tf.float32), expected, atol=close * np.abs(expected).max())
