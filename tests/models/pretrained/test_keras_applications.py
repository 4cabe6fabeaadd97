"""keras.applications' ResNets with random weights, by file and loader: the same outputs, the same step."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from drawn_weights import differs, images, labels
from one_step import training_pass

from kerasnets import models
from kerasnets.models import pretrained

V1 = {"stride_on": "1x1", "conv_bias": True}
V2 = {"stride_block": "last"}
SIZE, CLASSES = 64, 10


def randomised(model: Any) -> Any:
    """Give biases, scales and statistics values that are not 0 and 1.

    The scales that end a branch are small, as training leaves them: see `drawn_weights.drawn`.
    """
    draw = np.random.default_rng(5)
    for variable in model.weights:
        if len(variable.shape) == 1:
            low, high = {"gamma": (0.3, 0.7), "moving_variance": (0.5, 1.5)}.get(variable.name, (-0.1, 0.1))
            small = 0.4 if variable.path.endswith(("_2_bn/gamma", "_3_bn/gamma")) else 1
            variable.assign(small * draw.uniform(low, high, variable.shape))
    return model


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "theirs", "options"),
    [
        ("resnet50", keras.applications.ResNet50, V1),
        pytest.param("resnet101", keras.applications.ResNet101, V1, marks=pytest.mark.variant),
        pytest.param("resnet152", keras.applications.ResNet152, V1, marks=pytest.mark.variant),
        ("resnet50v2", keras.applications.ResNet50V2, V2),
        pytest.param("resnet101v2", keras.applications.ResNet101V2, V2, marks=pytest.mark.variant),
        pytest.param("resnet152v2", keras.applications.ResNet152V2, V2, marks=pytest.mark.variant),
    ],
)
def test_same_numbers(name: str, theirs: Any, options: dict[str, Any], tmp_path: Path) -> None:
    keras.utils.set_random_seed(5)
    shape = (SIZE, SIZE, 3)
    reference = randomised(theirs(weights=None, input_shape=shape, classes=CLASSES, classifier_activation=None))
    reference.save_weights(tmp_path / "reference.weights.h5")
    model = models.build(name, shape, CLASSES, stem="imagenet", bn_momentum=0.99, **options)
    assert model.count_params() == reference.count_params()
    loaded = pretrained.load(model, tmp_path / "reference.weights.h5")
    reverses = options is V1  # BGR there, RGB here
    assert (loaded.family, loaded.normalize) == ("keras.applications", "caffe" if reverses else "symmetric")
    there = images(SIZE)[..., ::-1] if reverses else images(SIZE)
    expected = np.asarray(reference(there, training=False))
    assert np.ptp(expected) > 0.1
    assert differs(model(images(SIZE), training=False), expected) < 1e-4

    step, one = training_pass(model, images(SIZE), labels()), training_pass(reference, there, labels())
    assert differs(step.outputs["softmax"], one.outputs["softmax"]) < 1e-4
    assert abs(step.loss - one.loss) < 1e-4 * one.loss
    assert step.moving.keys() == one.moving.keys()
    assert max(differs(step.moving[path], one.moving[path]) for path in one.moving) < 1e-4
