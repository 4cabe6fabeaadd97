"""The table of models: names, options and their checks, without Keras."""

import subprocess
import sys

import pytest

from kerasnets.errors import UserError
from kerasnets.models import specs
from kerasnets.models.specs import Head


def refused(name: str, **overrides: object) -> str:
    with pytest.raises(UserError) as error:
        specs.options(name, overrides)
    return str(error.value)


def test_importing_the_table_imports_no_keras() -> None:
    code = (
        "import sys, kerasnets.models, kerasnets.models.specs\n"
        "assert not {'keras', 'tensorflow', 'numpy'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_every_name() -> None:
    imagenet = ("18", "34", "50", "101", "152")
    cifar = ("20", "32", "44", "56", "110", "1202")
    expected = [f"{kind}{layers}" for kind in ("resnet", "plain") for layers in imagenet + cifar]
    expected += ["resnet50v2", "resnet101v2", "resnet152v2", "googlenet", "googlenet_bn"]
    expected += ["googlenet_torchvision", "lenet5"]
    assert sorted(specs.MODELS) == sorted(expected)
    assert all(name == row.name for name, row in specs.MODELS.items())


@pytest.mark.parametrize("kind", ["resnet", "plain"])
def test_any_6n_plus_2_is_a_cifar_net(kind: str) -> None:
    row = specs.row(f"{kind}26")
    assert isinstance(row.options, specs.ResNetOptions)
    assert row.options.blocks == (4, 4, 4)
    assert row.options.widths == (16, 32, 64)
    assert (row.options.shortcut, row.options.stem, row.options.residual) == ("A", "small", kind == "resnet")
    assert (row.input_shape, row.classes) == ((32, 32, 3), 10)


@pytest.mark.parametrize(("name", "blocks"), [("resnet50", (3, 4, 6, 3)), ("plain152", (3, 8, 36, 3))])
def test_imagenet_names_win_over_6n_plus_2(name: str, blocks: tuple[int, ...]) -> None:
    options = specs.row(name).options
    assert isinstance(options, specs.ResNetOptions)
    assert (options.block, options.blocks) == ("bottleneck", blocks)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "resnt18",
            "model.name is 'resnt18', which is no model; `kerasnets models` lists them; did you mean 'resnet18'?",
        ),
        ("vgg", "model.name is 'vgg', which is no model; `kerasnets models` lists them"),
        (
            "resnet21",
            "model.name is 'resnet21'; a resnet has 18, 34, 50, 101, 152 layers, or 6n+2 (8, 14, 20, …); "
            "did you mean 'resnet20'?",
        ),
        (
            "plain2",
            "model.name is 'plain2'; a plain has 18, 34, 50, 101, 152 layers, or 6n+2 (8, 14, 20, …); "
            "did you mean 'plain8'?",
        ),
    ],
)
def test_unknown_names(name: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        specs.row(name)
    assert str(error.value) == message


def test_defaults_of_the_rows() -> None:
    fifty = specs.row("resnet50").options
    assert isinstance(fifty, specs.ResNetOptions)
    assert (fifty.stride_on, fifty.shortcut, fifty.bn_epsilon, fifty.bn_momentum) == ("3x3", "B", 1e-5, 0.9)
    paper, normalised = specs.row("googlenet").options, specs.row("googlenet_bn").options
    assert isinstance(paper, specs.GoogLeNetOptions)
    assert isinstance(normalised, specs.GoogLeNetOptions)
    assert (paper.normalization, paper.lrn) == ("none", True)
    assert (normalised.normalization, normalised.lrn, normalised.bn_epsilon) == ("batch", False, 1e-3)


def test_values_take_their_declared_type() -> None:
    options = specs.options("resnet18", {"bn_epsilon": "6e-4", "blocks": [1, 1], "widths": [8, 16], "dropout": 0})
    assert isinstance(options, specs.ResNetOptions)
    assert (options.bn_epsilon, options.blocks, options.widths) == (6e-4, (1, 1), (8, 16))
    assert type(options.dropout) is float


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"shortcut": "D"}, "model.shortcut is 'D'; allowed: A, B, C"),
        ({"shortcutt": "A"}, "model.shortcutt is not an option of resnet18; did you mean 'shortcut'?"),
        ({"residual": 1}, "model.residual is 1; allowed: true, false"),
        ({"residual": "true"}, "model.residual is 'true'; allowed: true, false"),
        ({"conv_bias": 0}, "model.conv_bias is 0; allowed: true, false, unnormalized"),
        ({"bn_epsilon": 0}, "model.bn_epsilon is 0; allowed: a number above 0 and below 1"),
        ({"bn_epsilon": "tiny"}, "model.bn_epsilon is 'tiny'; allowed: a number above 0 and below 1"),
        ({"dropout": 1.0}, "model.dropout is 1.0; allowed: a number at least 0 and below 1"),
        ({"dropout": True}, "model.dropout is True; allowed: a number at least 0 and below 1"),
        ({"dropout": float("nan")}, "model.dropout is nan; allowed: a number at least 0 and below 1"),
        ({"bias": "low"}, "model.bias is 'low'; allowed: a number"),
        ({"bias": float("inf")}, "model.bias is inf; allowed: a number"),
        ({"blocks": [2, 0]}, "model.blocks is [2, 0]; allowed: a list of positive whole numbers"),
        ({"blocks": 2}, "model.blocks is 2; allowed: a list of positive whole numbers"),
        ({"blocks": [2, 2]}, "model.blocks has 2 stages, model.widths has 4; they must agree"),
        (
            {"shortcut": "A", "widths": [64, 32, 64, 64]},
            "model.widths is [64, 32, 64, 64]; with model.shortcut=A a width must not be less than the last",
        ),
        ({"residual": False, "shortcut": "A"}, "model.shortcut has no effect with model.residual=false"),
        ({"stride_on": "1x1"}, "model.stride_on has no effect with model.block=basic"),
        ({"initializer_std": 0.1}, "model.initializer_std has no effect with model.initializer=he_normal"),
        (
            {"zero_init_residual": True, "pre_activation": True},
            "model.zero_init_residual has no effect with model.pre_activation=true",
        ),
    ],
    ids=str,
)
def test_refused_options(overrides: dict[str, object], message: str) -> None:
    assert refused("resnet18", **overrides) == message


def test_an_unlike_name_is_answered_with_all_names() -> None:
    assert refused("lenet5", xyz=1) == (
        "model.xyz is not an option of lenet5; its options: activation, initializer, initializer_std, normalization, "
        "bn_epsilon, bn_momentum, conv_bias, bias, dropout, pooling, padding"
    )


def test_all_problems_are_told_together() -> None:
    assert refused("resnet18", activation="rleu", stem="large").splitlines() == [
        "model.activation is 'rleu'; allowed: relu, leaky_relu, prelu, elu, selu, gelu, silu, sigmoid, tanh, "
        "softsign, maxout; did you mean 'relu'?",
        "model.stem is 'large'; allowed: auto, imagenet, small",
    ]


@pytest.mark.parametrize("name", specs.MODELS)
def test_all_options_of_a_row_written_out_mean_the_row(name: str) -> None:
    defaults = specs.MODELS[name].options
    assert specs.options(name, vars(defaults)) == defaults


def test_heads() -> None:
    assert specs.heads("resnet18") == (Head("softmax", 1.0, True),)
    assert specs.heads("googlenet") == (
        Head("softmax0", 0.3, False),
        Head("softmax1", 0.3, False),
        Head("softmax2", 1.0, True),
    )
    assert [head.loss_weight for head in specs.heads("googlenet_bn", auxiliary_weight=0.5)] == [0.5, 0.5, 1.0]
    assert specs.heads("googlenet", auxiliary=False) == (Head("softmax", 1.0, True),)


@pytest.mark.parametrize(
    ("name", "size", "stem"),
    [
        ("resnet18", 64, "small"),
        ("resnet18", 65, "imagenet"),
        ("googlenet", 28, "small"),
        ("googlenet", 224, "imagenet"),
    ],
)
def test_the_stem_follows_the_shorter_side(name: str, size: int, stem: str) -> None:
    resolved = specs.resolve(specs.options(name, {}), (size, size + 100, 3))
    assert getattr(resolved, "stem") == stem  # noqa: B009  (not every family has one)


def test_a_named_stem_stays() -> None:
    options = specs.options("resnet18", {"stem": "imagenet"})
    assert specs.resolve(options, (32, 32, 3)) is options
