"""Heatmaps of the `explain` endpoint that are refused, each for its own reason."""

from collections.abc import Callable
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasnets.artifacts import explained
from kerasnets.artifacts.feed import Feed
from kerasnets.artifacts.formats import FORMATS
from kerasnets.artifacts.reference import softmax
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.errors import CheckFailed
from kerasnets.gradcam.heatmaps import heatmaps

Change = Callable[[dict[str, np.ndarray], np.ndarray], dict[str, np.ndarray]]
IMAGES = np.random.default_rng(0).uniform(0, 1, (2, 4, 4, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """A network for which every place speaks for class 0, which is the best, and against class 1, the one after it."""
    image = keras.Input((4, 4, 1))
    features = keras.layers.Conv2D(2, 3, padding="same", use_bias=False, name="conv")(image)
    logits = keras.layers.Dense(3, use_bias=False)(keras.layers.GlobalAveragePooling2D()(features))
    found = keras.Model(image, logits)
    found.set_weights([np.ones((3, 3, 1, 2)), np.array([[1.0, -1.0, 0.0], [1.0, -1.0, 0.0]])])
    return found


class Artefact:
    """Stands for an artefact: answers as the model does, but for a change."""

    def __init__(self, model: keras.Model, change: Change) -> None:
        self._model, self._change = model, change

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return softmax(np.asarray(self._model(images)))

    def explained(self, images: np.ndarray, classes: np.ndarray) -> dict[str, np.ndarray]:
        maps, logits = heatmaps(self._model, "conv", tf.constant(images), tf.constant(classes))
        return self._change({"heatmaps": maps.numpy(), "probabilities": softmax(logits.numpy())}, classes)


def check(model: keras.Model, change: Change) -> float:
    preprocessing = Preprocessing((4, 4), 1, "squash", 1.0, (0.0,), (1.0,))
    reference = SimpleNamespace(model=model, preprocessing=preprocessing, labels=("a", "b", "c"))
    runner = Artefact(model, change)
    return explained.check(FORMATS["savedmodel"], runner, reference, Feed(), IMAGES)  # type: ignore[arg-type]


def other_probabilities(found: dict[str, np.ndarray], classes: np.ndarray) -> dict[str, np.ndarray]:
    return {**found, "probabilities": found["probabilities"][:, ::-1]}


def other_shape(found: dict[str, np.ndarray], classes: np.ndarray) -> dict[str, np.ndarray]:
    return {**found, "heatmaps": found["heatmaps"][:, :3]}


def other_map(found: dict[str, np.ndarray], classes: np.ndarray) -> dict[str, np.ndarray]:
    found["heatmaps"][1, 2, 3] += 0.25
    return found


def something_of_nothing(found: dict[str, np.ndarray], classes: np.ndarray) -> dict[str, np.ndarray]:
    return {**found, "heatmaps": np.where(classes[0] == 1, 1.0, found["heatmaps"])}


def no_number(found: dict[str, np.ndarray], classes: np.ndarray) -> dict[str, np.ndarray]:
    found["heatmaps"][1, 0, 0] = np.nan
    return found


def test_right_heatmaps_pass(model: keras.Model) -> None:
    assert check(model, lambda found, classes: found) < 1e-5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_probabilities, "its probabilities are not those of the image endpoint; they must be"),
        (other_shape, "maps [2, 3, 4]; must be [2, 4, 4]"),
        (other_map, "a heatmap differs from Keras' by 0.25; at most 0.0001 is allowed"),
        (something_of_nothing, "a heatmap differs from Keras' by 1; at most 0 is allowed"),
        (no_number, "a heatmap differs from Keras' by nan; at most 0.0001 is allowed"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_is_refused(model: keras.Model, change: Change, message: str) -> None:
    with pytest.raises(CheckFailed) as error:
        check(model, change)
    assert str(error.value) == f"savedmodel: explain: {message}"


def test_difference_and_allowance_are_those_of_one_image(model: keras.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, allowed = np.zeros((2, 1, 2), np.float32), np.array([0.5, 0.01], np.float32).reshape(2, 1, 1)
    monkeypatch.setattr(explained, "_expected", lambda *_: (expected, allowed))
    off = np.array([[[0.4, 0.0]], [[0.1, 0.0]]], np.float32)
    with pytest.raises(CheckFailed, match=r"a heatmap differs from Keras' by 0\.1; at most 0\.01 is allowed$"):
        check(model, lambda found, classes: {**found, "heatmaps": off})
