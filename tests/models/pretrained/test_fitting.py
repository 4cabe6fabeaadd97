"""What becomes of each tensor, and what is refused, in exact words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import shuffled, small

from kerasnets.errors import UserError
from kerasnets.models import pretrained

Saved = Callable[..., Path]


def values(model: Any) -> dict[str, np.ndarray]:
    return {variable.path: np.array(variable) for variable in model.weights}


def refused(model: Any, path: Path) -> str:
    """Return why a file is refused, without its path; the model must be as it was."""
    before = values(model)
    with pytest.raises(UserError) as error:
        pretrained.load(model, path)
    assert all(np.array_equal(before[name], value) for name, value in values(model).items())
    return str(error.value).removeprefix(str(path))


def by_state(loaded: pretrained.Loaded) -> dict[str, dict[str, str]]:
    """Return state -> name -> note, for what was not simply loaded."""
    states: dict[str, dict[str, str]] = {}
    for tensor in loaded.tensors:
        if tensor.state != "loaded":
            states.setdefault(tensor.state, {})[tensor.name] = tensor.note
    return states


CASES = [
    ("resnet18", "torchvision", {}, "torchvision", "imagenet"),
    ("resnet50", "timm", {}, "torchvision", "imagenet"),
    ("googlenet_torchvision", "torchvision", {}, "torchvision", "symmetric"),
    ("resnet50", "keras.applications", {"stride_on": "1x1", "conv_bias": True}, "keras.applications", "caffe"),
    ("resnet50v2", "keras.applications", {"stride_block": "last"}, "keras.applications", "symmetric"),
    ("resnet50v2", "kerasnets", {}, "kerasnets", None),
    ("lenet5", "kerasnets", {}, "kerasnets", None),
]


@pytest.mark.parametrize(("name", "family", "options", "found", "normalize"), CASES)
def test_round_trips_are_exact(
    name: str, family: str, options: dict[str, Any], found: str, normalize: str | None, saved: Saved
) -> None:
    model, other = shuffled(small(name, **options), 1), shuffled(small(name, **options), 2)
    path = saved(model, family)
    loaded = pretrained.load(other, path)
    assert (loaded.path, loaded.family, loaded.normalize, loaded.unused) == (path, found, normalize, ())
    stem = {"adapted": {"conv1_conv/kernel": "BGR there: channels reversed"}} if normalize == "caffe" else {}
    assert by_state(loaded) == stem
    assert [tensor.name for tensor in loaded.tensors] == [variable.path for variable in model.weights]
    before, after = values(model), values(other)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    first, second = pretrained.export(model, family), pretrained.export(other, family)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_layouts_are_those_of_the_family() -> None:
    model = shuffled(small("googlenet_torchvision", classes=7))
    ours, theirs = values(model), pretrained.export(model, "torchvision")
    np.testing.assert_array_equal(theirs["conv1.conv.weight"][1, 2, 3, 4], ours["conv1_conv/kernel"][3, 4, 2, 1])
    np.testing.assert_array_equal(theirs["fc.weight"][1, 2], ours["softmax2/kernel"][2, 1])
    # A flattened 4x4 map of C channels: input (channel, row, column) there, (row, column, channel) here.
    channels = ours["softmax0_conv/kernel"].shape[-1]
    there = theirs["aux1.fc1.weight"][6].reshape(channels, 4, 4)
    here = ours["softmax0_fc/kernel"][:, 6].reshape(4, 4, channels)
    np.testing.assert_array_equal(there.transpose(1, 2, 0), here)
    assert theirs["conv1.bn.num_batches_tracked"].dtype == np.int64
    assert not [name for name in theirs if name.endswith("conv.bias")]


def test_bgr_is_reversed_in_both_directions() -> None:
    model = shuffled(small("resnet50", stride_on="1x1", conv_bias=True))
    kernel = values(model)["conv1_conv/kernel"]
    np.testing.assert_array_equal(
        pretrained.export(model, "keras.applications")["conv1_conv/kernel"], kernel[:, :, [2, 1, 0]]
    )


def test_another_number_of_classes(saved: Saved) -> None:
    model = small("resnet18", classes=3)
    before = values(model)
    loaded = pretrained.load(model, saved(shuffled(small("resnet18", classes=9)), "torchvision"))
    note = "9 classes there, 3 here"
    assert by_state(loaded) == {"initial": {"softmax/kernel": note, "softmax/bias": note}}
    assert {tensor.source for tensor in loaded.tensors if tensor.state == "initial"} == {"fc.weight", "fc.bias"}
    after = values(model)
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == before.keys() - {"softmax/kernel", "softmax/bias"}


def test_one_channel_sums_the_stem(saved: Saved) -> None:
    colour, grey = shuffled(small("resnet18")), small("resnet18", channels=1)
    loaded = pretrained.load(grey, saved(colour, "torchvision"))
    assert by_state(loaded) == {"adapted": {"conv1_conv/kernel": "3 channels summed into 1"}}
    image = np.random.default_rng(0).random((2, 32, 32, 1), np.float32)
    expected = np.asarray(colour(np.repeat(image, 3, axis=-1)))
    np.testing.assert_allclose(grey(image), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_biases_before_a_normalisation_are_folded(saved: Saved) -> None:
    options = {"stride_on": "1x1"}
    biased, bare = shuffled(small("resnet50", conv_bias=True, **options)), small("resnet50", **options)
    loaded = pretrained.load(bare, saved(biased, "keras.applications"))
    adapted = by_state(loaded)["adapted"]
    assert adapted.pop("conv1_conv/kernel") == "BGR there: channels reversed"
    assert set(adapted) == {variable.path for variable in bare.weights if variable.path.endswith("moving_mean")}
    assert set(adapted.values()) == {"the convolution has a bias there: taken off the mean"}
    image = np.random.default_rng(0).random((2, 32, 32, 3), np.float32)
    expected = np.asarray(biased(image))
    np.testing.assert_allclose(bare(image), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_biases_that_are_not_there_are_zero(saved: Saved) -> None:
    bare, biased = shuffled(small("resnet18")), shuffled(small("resnet18", conv_bias=True))
    adapted = by_state(pretrained.load(biased, saved(bare, "torchvision")))["adapted"]
    assert set(adapted) == {variable.path for variable in biased.weights if variable.path.endswith("conv/bias")}
    assert set(adapted.values()) == {"no bias there: 0"}
    image = np.random.default_rng(0).random((2, 32, 32, 3), np.float32)
    np.testing.assert_allclose(biased(image), bare(image), rtol=1e-5)


def test_auxiliary_heads_may_be_absent_on_either_side(saved: Saved) -> None:
    name = "googlenet_torchvision"
    whole, main = shuffled(small(name)), small(name, auxiliary=False)
    loaded = pretrained.load(main, saved(whole, "torchvision"))
    assert by_state(loaded) == {}
    assert {one.partition(".")[0] for one in loaded.unused} == {"aux1", "aux2"} and len(loaded.unused) == 18
    other = small(name)
    loaded = pretrained.load(other, saved(main, "torchvision"))
    initial = by_state(loaded)["initial"]
    assert set(initial.values()) == {"no such head there"}
    assert set(initial) == {one.path for one in other.weights if one.path.startswith(("softmax0", "softmax1"))}
    np.testing.assert_array_equal(other.get_layer("softmax2").kernel, main.get_layer("softmax").kernel)


def test_auxiliary_heads_of_another_size_start_anew(saved: Saved) -> None:
    options = {"width": 0.05, "stem": "imagenet"}
    large, here = shuffled(small("googlenet_bn", size=64, **options)), small("googlenet_bn", **options)
    initial = by_state(pretrained.load(here, saved(large, "kerasnets")))["initial"]
    fc = "shape (96, 51) there, (24, 51) here"  # 4x4 pixels of 6 channels, and 2x2
    assert initial == {f"{head}_fc/{one}": fc for head in ("softmax0", "softmax1") for one in ("kernel", "bias")}


def test_a_file_without_a_head(saved: Saved) -> None:
    def cut(tensors: dict[str, np.ndarray]) -> None:
        del tensors["predictions/kernel"], tensors["predictions/bias"]

    options = {"stride_block": "last"}
    path = saved(shuffled(small("resnet50v2", **options)), "keras.applications", cut)
    loaded = pretrained.load(small("resnet50v2", **options), path)
    assert (loaded.family, loaded.normalize) == ("keras.applications", "symmetric")
    assert by_state(loaded) == {"initial": dict.fromkeys(("softmax/kernel", "softmax/bias"), "no such head there")}


def test_torchvisions_googlenet_does_not_fit_the_papers(saved: Saved) -> None:
    path = saved(small("googlenet_torchvision"), "torchvision")
    assert refused(small("googlenet_bn", width=0.05, stem="imagenet"), path) == (
        ": inception3a.branch3.1.conv.weight has shape (3, 3, 1, 2) in our order of axes, "
        "inception_3a_5x5_conv/kernel (5, 5, 1, 2); its tensors are nearest to those of googlenet_torchvision"
    )


def test_shape_errors_name_both_shapes_and_the_tensor(saved: Saved) -> None:
    path = saved(small("resnet18", widths=[4, 8]), "torchvision")
    assert refused(small("resnet18"), path) == (
        ": layer2.0.conv1.weight has shape (3, 3, 4, 8) in our order of axes, conv3_block1_1_conv/kernel (3, 3, 4, 6)"
    )


def test_another_stem_says_how_to_build_it(saved: Saved) -> None:
    path = saved(small("resnet18"), "torchvision")
    assert refused(small("resnet18", stem="small"), path) == (
        ": conv1.weight has shape (7, 7, 3, 4) in our order of axes, conv1_conv/kernel (3, 3, 3, 4); "
        "build the model with model.stem=imagenet"
    )


def test_a_deeper_model_is_not_cut(saved: Saved) -> None:
    path = saved(small("resnet18", blocks=[1, 3]), "torchvision")
    assert refused(small("resnet18"), path) == (": resnet18 has no place for layer2.2.bn1.bias and 9 more")


def test_a_shallower_model_does_not_fill_a_deeper_one(saved: Saved) -> None:
    path = saved(small("resnet18", blocks=[1, 1]), "torchvision")
    assert refused(small("resnet18", blocks=[1, 4]), path) == (
        " has 43% of resnet18's parameters without its heads; at least 90% are wanted"
    )


def test_what_no_model_has_is_refused(saved: Saved) -> None:
    def squeeze(tensors: dict[str, np.ndarray]) -> None:
        tensors["layer1.0.se.fc1.weight"] = np.ones((4, 1), np.float32)

    path = saved(small("resnet18"), "torchvision", squeeze)
    assert refused(small("resnet18"), path) == (
        " holds layer1.0.se.fc1.weight, which none of torchvision's models that are known here has"
    )


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_values_that_are_no_numbers(value: float, saved: Saved) -> None:
    def spoil(tensors: dict[str, np.ndarray]) -> None:
        tensors["layer1.0.bn1.running_var"][1] = value

    message = refused(small("resnet18"), saved(small("resnet18"), "torchvision", spoil))
    assert message == ": layer1.0.bn1.running_var holds NaN or infinity"


def test_names_are_shown_on_one_line(saved: Saved) -> None:
    def rename(tensors: dict[str, np.ndarray]) -> None:
        tensors["conv1\n\x1b[31m" + 1000 * "x"] = tensors.pop("conv1.weight")

    message = refused(small("resnet18"), saved(small("resnet18"), "torchvision", rename))
    assert message == (
        f" holds conv1\\n\\u001b[31m{83 * 'x'}…, which none of torchvision's models that are known here has"
    )


def test_weights_of_something_else(saved: Saved) -> None:
    def rename(tensors: dict[str, np.ndarray]) -> None:
        for name in list(tensors):
            tensors[f"features.{name}"] = tensors.pop(name)

    message = refused(small("resnet18"), saved(small("resnet18"), "torchvision", rename))
    assert message.startswith(" holds no weights of a model that is known here (features.")


RIGHT: dict[tuple[str, str], dict[str, Any]] = {
    ("resnet50", "keras.applications"): {"stride_on": "1x1", "conv_bias": True},
    ("resnet50v2", "keras.applications"): {"stride_block": "last"},
}
"""Options with which a model of ours is the family's."""


@pytest.mark.parametrize(
    ("name", "family", "options", "message"),
    [
        (
            "resnet50",
            "torchvision",
            {"stride_on": "1x1"},
            "torchvision's model differs from resnet50 in where it strides; build it with model.stride_block=first "
            "model.stride_on=3x3",
        ),
        (
            "resnet50",
            "keras.applications",
            {"stride_on": "3x3"},
            "keras.applications's model differs from resnet50 in where it strides; build it with "
            "model.stride_block=first model.stride_on=1x1",
        ),
        (
            "resnet50v2",
            "keras.applications",
            {"stride_block": "first"},
            "keras.applications's model differs from resnet50v2 in where it strides; build it with "
            "model.stride_block=last model.stride_on=3x3",
        ),
        (
            "resnet18",
            "torchvision",
            {"bn_epsilon": 1e-3},
            "torchvision's model differs from resnet18 in its BN epsilon; build it with model.bn_epsilon=1e-05",
        ),
        (
            "googlenet_torchvision",
            "torchvision",
            {"last_pool": "3x3"},
            "torchvision's model differs from googlenet_torchvision in its poolings; build googlenet_torchvision",
        ),
    ],
)
def test_options_that_would_make_another_function(
    name: str, family: str, options: dict[str, Any], message: str, saved: Saved
) -> None:
    right = RIGHT.get((name, family), {})
    path = saved(small(name, **right), family)
    assert refused(small(name, **(right | options)), path) == f": {message}"
    with pytest.raises(UserError) as error:  # nor are such weights written
        pretrained.export(small(name, **(right | options)), family)
    assert str(error.value) == f"weights as {family}: {message}"


def test_keras_applications_epsilon_is_ours(saved: Saved) -> None:
    options = {"stride_on": "1x1", "conv_bias": True}
    path = saved(small("resnet50", **options), "keras.applications")
    assert pretrained.load(small("resnet50", bn_epsilon=1.001e-5, **options), path).normalize == "caffe"


UNKNOWN = "are not known here; allowed: torchvision, timm, keras.applications, kerasnets"


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("pytorch", f"weights of 'pytorch' {UNKNOWN}"),
        ("torchvison", f"weights of 'torchvison' {UNKNOWN}; did you mean 'torchvision'?"),
    ],
)
def test_unknown_families(family: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        pretrained.export(small("lenet5"), family)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("name", "family", "variable"),
    [
        ("resnet50v2", "torchvision", "conv1_conv/bias"),
        ("lenet5", "keras.applications", "conv2_conv/kernel"),
        ("googlenet_torchvision", "timm", "conv1_conv/kernel"),
        ("googlenet", "torchvision", "conv1_conv/bias"),
    ],
)
def test_families_that_have_no_such_model(name: str, family: str, variable: str) -> None:
    with pytest.raises(UserError) as error:
        pretrained.export(small(name, **({"width": 0.05} if "google" in name else {})), family)
    assert str(error.value) == f"{family} has no model with a variable such as {variable}, which {name} has"
