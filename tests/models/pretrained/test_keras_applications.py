"""Our ResNets with the options of keras.applications compute what keras.applications computes, weight for weight."""

from typing import Any

import keras
import numpy as np
import pytest

from kerasnets import models

V1 = {"stride_on": "1x1", "conv_bias": True}
V2 = {"stride_block": "last"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "theirs", "options"),
    [("resnet50", keras.applications.ResNet50, V1), ("resnet50v2", keras.applications.ResNet50V2, V2)],
)
def test_same_outputs(name: str, theirs: Any, options: dict[str, Any]) -> None:
    shape = (64, 80, 3)
    keras.utils.set_random_seed(5)
    reference = theirs(weights=None, input_shape=shape, classes=7, classifier_activation=None)
    model = models.build(name, shape, 7, stem="imagenet", bn_epsilon=1.001e-5, **options)
    draw = np.random.default_rng(5)
    for layer in [layer for layer in reference.layers if layer.weights]:
        # biases, scales and statistics that are not 0 and 1
        values = [value + 0.1 * draw.random(value.shape) * (value.ndim == 1) for value in layer.get_weights()]
        layer.set_weights(values)
        model.get_layer("softmax" if layer.name == "predictions" else layer.name).set_weights(values)
    assert model.count_params() == reference.count_params()
    images = draw.normal(size=(2, *shape)).astype("float32")
    expected = np.asarray(reference(images))
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(model(images), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
