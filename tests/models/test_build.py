"""`models.build`, `main` and `load`: inputs, heads, and models that live on without kerasnets."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from kerasnets import models
from kerasnets.errors import UserError
from kerasnets.models import complexity, specs

# One small net for each piece of graph that a variant may have.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "identity": ("resnet8", {}),
    "projection": ("resnet8", {"shortcut": "C", "zero_init_residual": True}),
    "bottleneck": ("resnet50", {"blocks": (1, 1), "widths": (8, 16), "stride_on": "1x1"}),
    "pre-activation": ("resnet50v2", {"blocks": (1, 2), "widths": (8, 16), "stride_block": "last", "shortcut": "A"}),
    "plain": ("plain8", {"normalization": "none", "activation": "prelu"}),
    "maxout": ("resnet8", {"activation": "maxout", "pre_activation": True}),
    "lrn": ("googlenet", {"width": 0.1}),
    "inception-bn": ("googlenet_bn", {"width": 0.1}),
    "lenet": ("lenet5", {"activation": "leaky_relu", "dropout": 0.5}),
}
SHAPE = (20, 24, 3)


def build(variant: str) -> keras.Model:
    name, options = VARIANTS[variant]
    keras.utils.set_random_seed(7)
    model = models.build(name, SHAPE, 5, **options)
    for variable in model.variables:  # as training leaves it: biases, statistics and scales that are not 0 and 1
        variable.assign(variable + 0.1 * np.random.default_rng(1).random(variable.shape))
    return model


def images() -> np.ndarray:
    return np.random.default_rng(2).normal(size=(2, *SHAPE)).astype("float32")


def logits(model: keras.Model) -> dict[str, np.ndarray]:
    outputs = model(images())
    return {name: np.asarray(value) for name, value in outputs.items()} if isinstance(outputs, dict) else {"": outputs}


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-5, atol=1e-5)


def relayered(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Clone a layer, batch normalisation as a subclass: what training does."""

    class Fast(keras.layers.BatchNormalization):
        pass

    replaced = type(layer) is keras.layers.BatchNormalization
    return (Fast if replaced else type(layer)).from_config(layer.get_config())


def test_one_head_is_one_tensor_of_the_layer_softmax() -> None:
    model = models.build("resnet8")
    assert model.name == "resnet8"
    assert model.input.name == "image"
    assert (model.input_shape, model.output_shape) == ((None, 32, 32, 3), (None, 10))
    assert model.layers[-1].name == "softmax"
    assert model.layers[-1].activation is keras.activations.linear
    assert models.main(model) is model


def test_three_heads_are_a_dict_by_the_names_of_their_layers(outlined: Callable[..., Any]) -> None:
    model = outlined("googlenet", (28, 28, 1), 10)
    names = [head.name for head in models.heads("googlenet")]
    assert list(model.output) == names
    for name in names:
        assert model.get_layer(name).activation is keras.activations.linear
        assert model.output[name] is model.get_layer(name).output
        assert model.output[name].shape == (None, 10)


def test_the_main_model_has_no_auxiliary_layer_and_shares_the_rest(outlined: Callable[..., Any]) -> None:
    model = outlined("googlenet", (28, 28, 1), 10)
    main = models.main(model)
    auxiliary = [layer.name for layer in model.layers if layer.name.startswith(("softmax0", "softmax1"))]
    assert len(auxiliary) == 2 * 8
    kept = [layer for layer in model.layers if layer.name not in auxiliary]
    assert {id(layer) for layer in main.layers} == {id(layer) for layer in kept}
    assert main.layers[-1].name == "softmax2"
    assert main.output_shape == (None, 10)


def test_without_auxiliary_heads_googlenet_has_one_output() -> None:
    model = models.build("googlenet", (28, 28, 1), 10, auxiliary=False, width=0.1)
    assert model.output_shape == (None, 10)
    assert model.layers[-1].name == "softmax"


@pytest.mark.parametrize("variant", VARIANTS)
def test_clone_model_keeps_outputs_and_names(variant: str) -> None:
    model = build(variant)
    clone = keras.models.clone_model(model, clone_function=relayered)
    clone.set_weights(model.get_weights())
    assert [weight.path for weight in clone.weights] == [weight.path for weight in model.weights]
    assert [layer.name for layer in clone.layers] == [layer.name for layer in model.layers]
    assert_same(logits(clone), logits(model))


@pytest.mark.parametrize("variant", VARIANTS)
def test_names_are_unique_and_do_not_depend_on_what_was_built_before(variant: str) -> None:
    name, options = VARIANTS[variant]
    first, second = (complexity.outline(name, SHAPE, 5, **options) for _ in range(2))
    paths = [weight.path for weight in first.weights]
    assert len(set(paths)) == len(paths)
    assert paths == [weight.path for weight in second.weights]
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]


LOAD_ALONE = """
import sys, numpy
sys.modules["kerasnets"] = None
import keras
images = numpy.load("images.npy")
for name in sys.argv[1:]:
    outputs = keras.models.load_model(f"{name}.keras", compile=False)(images)
    numpy.savez(f"{name}.npz", **(outputs if isinstance(outputs, dict) else {"": outputs}))
"""


@pytest.mark.slow
def test_saved_models_load_without_kerasnets(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", images())
    saved = {}
    for variant in VARIANTS:
        model = build(variant)
        model.save(tmp_path / f"{variant}.keras")
        saved[variant] = logits(model)
    subprocess.run([sys.executable, "-c", LOAD_ALONE, *VARIANTS], cwd=tmp_path, check=True, timeout=300)
    for variant in VARIANTS:
        with np.load(tmp_path / f"{variant}.npz") as loaded:
            assert_same(dict(loaded), saved[variant])


@pytest.mark.parametrize("variant", ["identity", "maxout", "lrn"])
def test_load_gives_back_what_was_saved(variant: str, tmp_path: Path) -> None:
    model = build(variant)
    model.save(tmp_path / "model.keras")
    assert_same(logits(models.load(tmp_path / "model.keras")), logits(model))


@pytest.mark.variant
def test_very_deep_models_build_clone_save_and_load(tmp_path: Path) -> None:
    code = (
        "import sys; from kerasnets import models; import keras\n"
        "assert sys.getrecursionlimit() == 1000\n"
        "if sys.argv[1] == 'save':\n"
        "    model = models.build('resnet1202')\n"
        "    keras.models.clone_model(model)\n"
        "    model.save('deep.keras')\n"
        "else:\n"
        "    model = models.load('deep.keras')\n"
        "assert model.count_params() == 19_510_906, model.count_params()\n"
    )
    for action in ("save", "load"):
        subprocess.run(
            [sys.executable, "-c", code, action],
            cwd=tmp_path,
            check=True,
            timeout=300,
            env={"PYTHONPATH": str(Path(models.__file__).parents[2]), "PATH": ""},
        )


def test_the_recursion_limit_is_never_lowered() -> None:
    before = sys.getrecursionlimit()
    models.allow_depth(1)
    assert sys.getrecursionlimit() == before


@pytest.mark.parametrize(
    ("name", "options", "smallest"),
    [
        ("resnet18", {"stem": "imagenet"}, 32),
        ("resnet18", {}, 8),
        ("resnet8", {}, 4),
        ("googlenet", {}, 16),
        ("googlenet", {"stem": "imagenet", "width": 0.1}, 32),
        ("lenet5", {}, 12),
        ("lenet5", {"padding": "valid"}, 16),
    ],
)
def test_the_smallest_input_builds_and_one_pixel_less_is_refused(
    name: str, options: dict[str, Any], smallest: int
) -> None:
    assert models.build(name, (smallest, smallest + 5, 1), 3, **options).input_shape == (
        None,
        smallest,
        smallest + 5,
        1,
    )
    with pytest.raises(UserError) as error:
        models.build(name, (smallest + 5, smallest - 1, 1), 3, **options)
    assert str(error.value) == (
        f"input_shape {(smallest + 5, smallest - 1, 1)} is too small for {name}; "
        f"the smallest is {smallest}x{smallest} pixels"
    )


@pytest.mark.parametrize(
    ("shape", "classes", "message"),
    [
        ((32, 32, 4), 10, "input_shape (32, 32, 4) has 4 channels; allowed: 1 or 3"),
        ((32, 32), 10, "input_shape is (32, 32); allowed: (height, width, channels), whole numbers"),
        ((None, 32, 3), 10, "input_shape is (None, 32, 3); allowed: (height, width, channels), whole numbers"),
        ((32, 32, 3), 1, "classes is 1; allowed: a whole number, at least 2"),
        ((32, 32, 3), 2.5, "classes is 2.5; allowed: a whole number, at least 2"),
    ],
)
def test_inputs_that_no_model_takes(shape: Any, classes: Any, message: str) -> None:
    with pytest.raises(UserError) as error:
        models.build("resnet8", shape, classes)
    assert str(error.value) == message


@pytest.mark.parametrize("size", [(33, 47, 3), (51, 34, 1)])
@pytest.mark.parametrize("stem", ["imagenet", "small"])
@pytest.mark.parametrize("name", ["resnet18", "resnet50v2", "googlenet_bn"])
def test_odd_and_oblong_inputs_fit_together(name: str, stem: str, size: tuple[int, int, int]) -> None:
    shallow = {} if name == "googlenet_bn" else {"blocks": (1, 2, 1, 1), "stride_block": "last"}
    model = complexity.outline(name, size, 4, stem=stem, **shallow)
    shapes = [output.shape for output in keras.tree.flatten(model.output)]
    assert shapes == [(None, 4)] * len(specs.heads(name))
