"""Models of the user's own: what is taken, what becomes of it, and what is said of what is not."""

import sys
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest

from kerasnets import config as configs
from kerasnets import models
from kerasnets.errors import UserError
from kerasnets.models import archive, complexity

SHAPE, CLASSES = (16, 16, 3), 4
CODE = """
import keras
from keras import layers


def _ended(shape, ends):
    image = keras.Input(shape)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(5, 3, activation="relu", name="first")(image))
    return keras.Model(image, ends(x))


def logits(input_shape, classes, width=8, act="relu"):
    image = keras.Input(input_shape, name="photo")
    x = layers.Conv2D(width, 3, activation=act, name="first")(image)
    return keras.Model(image, layers.Dense(classes, name="scores")(layers.GlobalMaxPooling2D()(x)))


def dense_softmax(input_shape, classes):
    return _ended(input_shape, layers.Dense(classes, activation="softmax"))


def softmax_layer(input_shape, classes):
    return _ended(input_shape, lambda x: layers.Softmax()(layers.Dense(classes)(x)))


def softmax_activation(input_shape, classes):
    return _ended(input_shape, lambda x: layers.Activation("softmax")(layers.Dense(classes)(x)))


def operation(input_shape, classes):
    return _ended(input_shape, lambda x: keras.ops.softmax(2 * layers.Dense(classes)(x)))


def softmax_operation(input_shape, classes):
    return _ended(input_shape, lambda x: keras.ops.softmax(layers.Dense(classes)(x)))


def sequential(input_shape, classes):
    start = [keras.Input(input_shape), layers.Conv2D(3, 3, name="first"), layers.Flatten()]
    return keras.Sequential([*start, layers.Dense(classes, activation="softmax")])


def nested(input_shape, classes):
    inner = keras.Sequential([keras.Input((8, 8, 4)), layers.DepthwiseConv2D(3), layers.BatchNormalization()])
    body = keras.Input(input_shape)
    body = keras.Model(body, inner(layers.Conv2D(4, 2, 2, name="first")(body)), name="body")
    image = keras.Input(input_shape)
    return keras.Model(image, layers.Dense(classes, "softmax")(layers.Flatten()(body(image, training=False))))


def without_softmax_name(input_shape, classes):
    return None


def sigmoid(input_shape, classes):
    return _ended(input_shape, layers.Dense(classes, activation="sigmoid"))


def two_outputs(input_shape, classes):
    return _ended(input_shape, lambda x: [layers.Dense(classes)(x), layers.Dense(classes)(x)])


def other_classes(input_shape, classes):
    return _ended(input_shape, layers.Dense(classes + 1))


def other_input(input_shape, classes):
    return _ended((20, 20, 3), layers.Dense(classes))


def lambda_layer(input_shape, classes):
    return _ended(input_shape, lambda x: layers.Dense(classes)(layers.Lambda(lambda x: x + 1)(x)))


class Mine(layers.Layer):
    def call(self, x):
        return x


def own_layer(input_shape, classes):
    return _ended(input_shape, lambda x: layers.Dense(classes)(Mine()(x)))


def regularized(input_shape, classes):
    return _ended(input_shape, layers.Dense(classes, kernel_regularizer="l2", name="last"))


class Subclass(keras.Model):
    pass


def subclassed(input_shape, classes):
    return Subclass()


def unbuilt(input_shape, classes):
    return keras.Sequential([layers.Flatten(), layers.Dense(classes)])


def taken(input_shape, classes):
    return _ended(input_shape, lambda x: layers.Dense(classes)(layers.Dense(3, name="softmax")(x)))


def fails(input_shape, classes):
    raise ZeroDivisionError("no width")


def others(shape, labels):
    return None


NUMBER = 3
"""


@pytest.fixture(autouse=True)
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module in the working directory."""
    (tmp_path / "my_nets.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield "my_nets"
    sys.modules.pop("my_nets", None)


def images() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(3, *SHAPE)).astype("float32")


def test_a_function_of_logits() -> None:
    model = models.build("my_nets:logits", SHAPE, CLASSES, width=5)
    assert [layer.name for layer in model.layers] == ["image", "first", "global_max_pooling2d", "softmax"]
    assert model.get_layer("first").filters == 5
    assert model.output_shape == (None, CLASSES)


@pytest.mark.parametrize(
    "name",
    ["dense_softmax", "softmax_layer", "softmax_activation", "softmax_operation", "operation", "sequential", "nested"],
)
def test_a_softmax_at_the_end_is_taken_off(name: str) -> None:
    models.build("my_nets:logits", SHAPE, CLASSES)  # which imports it
    my_nets = sys.modules["my_nets"]
    keras.utils.set_random_seed(1)
    whole = getattr(my_nets, name)(SHAPE, CLASSES)
    probabilities = np.asarray(whole(images()))
    keras.utils.set_random_seed(1)
    model = models.build(f"my_nets:{name}", SHAPE, CLASSES)
    logits = np.asarray(model(images()))
    assert np.abs(logits.sum(axis=1) - 1).min() > 1e-3
    np.testing.assert_allclose(np.asarray(keras.ops.softmax(logits)), probabilities, rtol=1e-5)
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    assert model.weights[0].path == "first/kernel" and len(model.weights) == len(whole.weights)
    again = models.build(f"my_nets:{name}", SHAPE, CLASSES)  # Keras goes on counting
    assert [variable.path for variable in again.weights] == [variable.path for variable in model.weights]


@pytest.mark.slow
def test_a_network_of_keras_applications_inside_another(tmp_path: Path) -> None:
    options = {"alpha": 0.35, "weights": None}
    model = models.build("keras.applications:MobileNetV2", (32, 32, 3), CLASSES, **options)
    model.save(tmp_path / "model.keras")
    again = models.build(str(tmp_path / "model.keras"), (32, 32, 3), CLASSES)
    pixels = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")
    np.testing.assert_array_equal(again(pixels), model(pixels))
    assert again.count_params() == model.count_params()


@pytest.mark.parametrize("kind", ["functional", "sequential"])
def test_a_compiled_model_of_a_file(kind: str, tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    scores = keras.layers.Dense(CLASSES, activation="softmax")
    model = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), scores])
    if kind == "functional":
        model = keras.Model(model.inputs[0], model.outputs[0])
    loss = keras.losses.SparseCategoricalCrossentropy()
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss, metrics=["accuracy"])
    model.fit(images(), np.zeros(3), verbose=0)
    model.save(tmp_path / "model.keras")
    found = models.build(str(tmp_path / "model.keras"), SHAPE, CLASSES)
    np.testing.assert_allclose(keras.ops.softmax(found(images())), model(images()), rtol=1e-5)


def test_files_that_were_looked_at_leave_nothing_behind(tmp_path: Path) -> None:
    """Keras would give what was only counted its values when the shape of a layer of the user's own is asked for."""
    models.build("lenet5", (16, 16, 1), 3).save(tmp_path / "model.keras")
    models.load(tmp_path / "model.keras")
    outlined = complexity.outline("lenet5")
    with keras.StatelessScope():
        pass
    assert all(variable._value is None for variable in outlined.weights)


WRONG = {
    "taken": r"it has a layer named 'softmax', which is what its output is called here",
    "sigmoid": r"it ends in a sigmoid \(dense\w*\); logits, or a softmax over the classes, are wanted",
    "two_outputs": r"it has 1 inputs and 2 outputs; one input \(images\) and one output \(logits or prob",
    "other_classes": r"its output is \[N, 5\]; the data's 4 classes want \[N, 4\]",
    "other_input": r"its input is \[N, 20, 20, 3\]; the data's images are \[N, 16, 16, 3\]",
    "lambda_layer": r"it names keras.layers.Lambda, of which no model here is made",
    "own_layer": r"it names my_nets.Mine, of which no model here is made",
    "regularized": r"last/kernel has a regularizer, which training does not see; take training.weight_decay",
    "subclassed": r"found Subclass; a functional Keras model is wanted, from keras.Input to an output",
    "unbuilt": r"found a Sequential model without an Input; a functional Keras model is wanted",
    "without_softmax_name": r"found NoneType; a functional Keras model is wanted",
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_said(name: str) -> None:
    with pytest.raises(UserError, match=f"^model.name=my_nets:{name}: {WRONG[name]}"):
        models.build(f"my_nets:{name}", SHAPE, CLASSES)


def test_a_function_that_fails_is_named_with_its_line(tmp_path: Path) -> None:
    line = CODE.splitlines().index('    raise ZeroDivisionError("no width")') + 1
    expected = f"model.name=my_nets:fails failed: ZeroDivisionError: no width ({tmp_path}/my_nets.py, line {line})"
    with pytest.raises(UserError) as caught:
        models.build("my_nets:fails", SHAPE, CLASSES)
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "no_nets:logits",
            {},
            "model.name=no_nets:logits: module 'no_nets' cannot be imported: No module",
        ),
        ("my_nets:logit", {}, "model.name=my_nets:logit: 'my_nets' has no function 'logit'; did you mean 'logits'?"),
        ("my_nets:NUMBER", {}, "model.name=my_nets:NUMBER: 'my_nets' has no function 'NUMBER'"),
        ("my_nets:logits", {"widht": 3}, "model.widht is no parameter of my_nets:logits; did you mean 'width'?"),
        ("my_nets:others", {}, "model.name=my_nets:others: it must have parameters named `input_shape` and `classes`"),
        ("os:system", {}, "model.name=os:system: it must have parameters named `input_shape` and `classes`"),
        ("missing.keras", {}, "model.name=missing.keras: there is no such file"),
        ("missing.keras", {"width": 3}, "model.width: a `.keras` file is what it is and takes no options"),
    ],
)
def test_what_cannot_be_called_is_said(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError) as caught:
        models.build(name, SHAPE, CLASSES, **options)
    assert str(caught.value).startswith(message)


def test_a_size_must_be_given() -> None:
    with pytest.raises(UserError, match="input_shape and classes must be given for a model of your own"):
        models.build("my_nets:logits")


def test_a_config_imports_nothing() -> None:
    config = configs.load("digits-resnet20", ["model={name: 'my_nets:logits', width: '6'}"])
    assert config.model.options == {"width": 6}
    assert "my_nets" not in sys.modules
    assert configs.load("digits-resnet20", ["model={name: a.keras}"]).model.options == {}
    assert [head.name for head in models.heads("my_nets:logits", width=6)] == ["softmax"]


def test_layers_that_are_let_through_are_keras_own() -> None:
    assert [name for name in sorted(archive.ALLOWED["keras.layers"]) if not hasattr(keras.layers, name)] == []
    for module in ("core", "math", "nn", "numpy"):
        assert archive.ALLOWED[f"keras.src.ops.{module}"]
    operations = archive.ALLOWED["keras.src.ops.nn"]
    homes = [getattr(keras.src.ops, module) for module in ("core", "math", "nn", "numpy")]
    assert [name for name in sorted(operations) if not any(hasattr(home, name) for home in homes)] == []
