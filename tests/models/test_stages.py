"""Which layer is of which stage, and the words of `model.freeze` and `training.layer_multipliers`."""

import pytest

from kerasnets import models
from kerasnets.errors import UserError
from kerasnets.models import specs
from kerasnets.models.googlenet import INCEPTION
from kerasnets.models.stages import Stages

RESNET = specs.options("resnet18", {}).stages()
GOOGLENET = specs.options("googlenet_bn", {}).stages()
TINY = {"widths": (4, 4, 8, 8)}
TINY_NETWORKS = {
    "resnet18": TINY,
    "resnet50v2": TINY,
    "resnet20": {"widths": (2, 4, 8)},
    "googlenet_bn": {"width": 0.1},
    "lenet5": {},
}


def test_the_stages_of_a_resnet() -> None:
    assert RESNET == Stages(("conv1",), ("conv2", "conv3", "conv4", "conv5"), ("softmax",))
    assert specs.options("resnet20", {}).stages().names == ("conv1", "conv2", "conv3", "conv4")


def test_the_stages_of_a_googlenet_are_its_stem_and_its_modules() -> None:
    assert GOOGLENET.stem == ("conv1", "conv2")
    assert GOOGLENET.body == tuple(f"inception_{module}" for module in INCEPTION)
    assert GOOGLENET.heads == ("softmax0", "softmax1", "softmax2")
    assert specs.options("googlenet", {"auxiliary": False}).stages().heads == ("softmax",)


@pytest.mark.parametrize("name", TINY_NETWORKS)
def test_every_variable_is_of_a_stage_and_they_come_in_order(name: str) -> None:
    options = TINY_NETWORKS[name]
    net = models.build(name, input_shape=(32, 32, 1), classes=3, **options)
    stages = specs.options(name, options).stages()
    found = list(dict.fromkeys(stages.of(v.path) for layer in net.layers for v in layer.weights))
    assert [stage for stage in found if stage != "head"] == list(stages.names)
    heads = {v.path.split("/")[0] for v in net.weights if stages.of(v.path) == "head"}
    assert set(stages.heads) <= heads
    assert all(layer.startswith(stages.heads) for layer in heads)


@pytest.mark.parametrize(
    ("path", "stage"),
    [
        ("conv2_block1_0_bn/moving_mean", "conv2"),
        ("conv1_conv/kernel", "conv1"),
        ("post_bn/gamma", "conv5"),
        ("softmax/bias", "head"),
    ],
)
def test_of_a_resnets_variable(path: str, stage: str) -> None:
    assert RESNET.of(path) == stage


def test_of_a_googlenets_variables() -> None:
    assert GOOGLENET.of("conv2_reduce_conv/kernel") == "conv2"
    assert GOOGLENET.of("inception_4a_3x3_reduce_conv/kernel") == "inception_4a"
    assert GOOGLENET.of("softmax1_fc/kernel") == "head"


def test_of_a_model_that_is_not_ours_each_layer_is_a_stage() -> None:
    layers = ["conv2d", "conv2d", "conv2d_1", "softmax_scale", "softmax"]
    found = Stages.of_layers(layers, "softmax")
    assert found == Stages(("conv2d",), ("conv2d_1", "softmax_scale"), ("softmax",))
    assert [found.of(f"{layer}/kernel") for layer in layers[1:]] == ["conv2d", "conv2d_1", "softmax_scale", "head"]
    assert found.up_to("conv2d_1") == ("conv2d", "conv2d_1")
    assert Stages.of_layers(["conv", "logits"], "softmax").heads == ("logits", "softmax")  # its output has no weights


def test_an_error_does_not_list_a_hundred_layers() -> None:
    deep = Stages(("a0",), tuple(f"a{number}" for number in range(1, 100)), ("softmax",))
    with pytest.raises(UserError, match=r"a stage \(a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, …, a99\) or backbone"):
        deep.up_to("zz")


def test_conv1_is_not_the_beginning_of_conv10() -> None:
    deep = Stages(("conv1",), tuple(f"conv{number}" for number in range(2, 11)), ("softmax",))
    assert deep.of("conv10_block1_1_conv/kernel") == "conv10"
    assert deep.rates({"conv1": 0.5})["conv10"] == 1.0


@pytest.mark.parametrize(
    ("word", "frozen"),
    [
        ("none", ()),
        ("stem", ("conv1", "conv2")),
        ("conv1", ("conv1",)),
        ("inception_3b", ("conv1", "conv2", "inception_3a", "inception_3b")),
        ("backbone", GOOGLENET.names),
        ("inception_5b", GOOGLENET.names),
    ],
)
def test_freeze_reaches_up_to(word: str, frozen: tuple[str, ...]) -> None:
    assert GOOGLENET.up_to(word) == frozen


def test_a_stage_that_is_not_there_is_named_with_the_nearest() -> None:
    with pytest.raises(UserError) as error:
        RESNET.up_to("conv6")
    assert str(error.value) == (
        "model.freeze is 'conv6'; allowed: none, stem, a stage (conv1, conv2, conv3, conv4, conv5) or backbone, which "
        "is all but the head; did you mean 'conv5'?"
    )


def test_multipliers_go_by_how_names_begin_and_the_longest_counts() -> None:
    found = GOOGLENET.rates({"stem": 0.1, "inception_4": 0.5, "inception_4c": 0.7, "inception": 0.3, "head": 2.0})
    assert found["conv1"] == found["conv2"] == 0.1
    assert found["inception_3a"] == found["inception_5b"] == 0.3
    assert found["inception_4a"] == 0.5
    assert found["inception_4c"] == 0.7
    assert found["head"] == 2.0
    assert list(found) == [*GOOGLENET.names, "head"]


def test_a_stage_of_the_stem_counts_more_than_the_stem() -> None:
    assert GOOGLENET.rates({"conv2": 0.3, "stem": 0.1})["conv2"] == 0.3


def test_decay_goes_from_the_head_down_and_gives_way_to_multipliers() -> None:
    found = RESNET.rates({"conv3": 3.0}, decay=0.5)
    assert found == {"conv1": 0.03125, "conv2": 0.0625, "conv3": 3.0, "conv4": 0.25, "conv5": 0.5, "head": 1.0}


@pytest.mark.parametrize(("word", "end"), [("cnv4", "; did you mean 'conv4'?"), ("", "…"), ("4", "…")])
def test_a_multiplier_of_no_stage_is_refused(word: str, end: str) -> None:
    rest = "; allowed: stem, conv1, conv2, conv3, conv4, conv5, head, or how some of these begin"
    with pytest.raises(UserError) as error:
        RESNET.rates({word: 0.1})
    words = f"training.layer_multipliers names '{word}', which is no stage of the model"
    assert str(error.value) == words + (rest if end == "…" else end)
