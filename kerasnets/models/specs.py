"""The table of models: every variant is a row, every structural number a named field. Imports no Keras.

Sources: ResNet, He et al. 2015 (arXiv:1512.03385); pre-activation, He et al. 2016 (arXiv:1603.05027);
GoogLeNet, Szegedy et al. 2014 (arXiv:1409.4842); LeNet-5, LeCun et al. 1998.
"""

import abc
import dataclasses
import re
from collections.abc import Mapping, Sequence

from kerasnets.errors import UserError, nearest
from kerasnets.models.stages import Stages
from kerasnets.models.values import FLAG, Choice, Counts, Number, option, override

ACTIVATIONS = (
    *("relu", "leaky_relu", "prelu", "elu", "selu", "gelu", "silu"),
    *("sigmoid", "tanh", "softsign", "maxout"),
)
INITIALIZERS = (
    *("he_normal", "he_uniform", "glorot_normal", "glorot_uniform", "lecun_normal", "lecun_uniform"),
    "normal",
)
SMALL_STEM_UP_TO = 64  # pixels of the shorter side: with stem=auto, larger inputs get the ImageNet stem
STEMS = ("auto", "imagenet", "small")
MAIN_HEAD = "softmax"  # of models with one head; of several, the last is the real one
HEADS = ("softmax0", "softmax1", "softmax2")
INCEPTION_MODULES = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(abc.ABC):
    """What every family has. BN momentum is Keras': moving = momentum * moving + (1 - momentum) * batch."""

    activation: str = option("relu", Choice(ACTIVATIONS), "nonlinearity; maxout takes the larger of two pieces")
    initializer: str = option("he_normal", Choice(INITIALIZERS), "of every kernel")
    initializer_std: float = option(0.01, Number(0, closed="neither"), "standard deviation", initializer="normal")
    normalization: str = option("batch", Choice(("batch", "none")), "after each convolution (or before it: v2)")
    bn_epsilon: float = option(1e-5, Number(0, 1, "neither"), "added to the variance", normalization="batch")
    bn_momentum: float = option(0.9, Number(0, 1), "of the moving statistics", normalization="batch")
    conv_bias: bool | str = option(
        "unnormalized", Choice((True, False, "unnormalized")), "unnormalized: where no normalisation follows directly"
    )
    bias: float = option(0.0, Number(float("-inf")), "initial value of every bias")
    dropout: float = option(0.0, Number(0, 1), "rate before the classifier")

    def problems(self) -> list[str]:
        """Return what is wrong with the options together, in words."""
        return []

    @abc.abstractmethod
    def smallest_input(self) -> int:
        """Return the least height and width in pixels, for options whose stem is resolved."""

    @abc.abstractmethod
    def stages(self) -> Stages:
        """Return the names with which the layers' names begin, stage by stage."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResNetOptions(Options):
    """A ResNet or its plain counterpart. Stages are conv2, conv3, …; each after the first halves the resolution."""

    block: str = option("basic", Choice(("basic", "bottleneck")), "two 3x3, or 1x1, 3x3 and 1x1 to 4 x the width")
    blocks: tuple[int, ...] = option((2, 2, 2, 2), Counts(), "blocks of each stage")
    widths: tuple[int, ...] = option((64, 128, 256, 512), Counts(), "channels of each stage's 3x3 convolutions")
    residual: bool = option(True, FLAG, "false: the plain net, without shortcuts")
    shortcut: str = option(
        "B",
        Choice(("A", "B", "C")),
        "A: identity, zero-padded channels; B: projection where channels change; C: projection everywhere",
        residual=True,
    )
    stem: str = option("auto", Choice(STEMS), f"small: one 3x3/1; auto: small up to {SMALL_STEM_UP_TO} px")
    stride_on: str = option("3x3", Choice(("1x1", "3x3")), "which convolution strides", block="bottleneck")
    stride_block: str = option("first", Choice(("first", "last")), "which block of a stage strides")
    pre_activation: bool = option(False, FLAG, "v2: normalisation and activation before each convolution")
    zero_init_residual: bool = option(
        False, FLAG, "gamma 0 in a block's last BN", residual=True, normalization="batch", pre_activation=False
    )

    @property
    def expansion(self) -> int:
        """Return a block's output channels divided by the stage's width."""
        return 4 if self.block == "bottleneck" else 1

    def problems(self) -> list[str]:
        if len(self.blocks) != len(self.widths):
            return [f"model.blocks has {len(self.blocks)} stages, model.widths has {len(self.widths)}; they must agree"]
        if self.shortcut == "A" and self.residual and list(self.widths) != sorted(self.widths):
            return [
                f"model.widths is {list(self.widths)}; with model.shortcut=A a width must not be less than the last"
            ]
        return []

    def smallest_input(self) -> int:
        return (4 if self.stem == "imagenet" else 1) * 2 ** (len(self.blocks) - 1)

    def stages(self) -> Stages:
        return Stages(("conv1",), tuple(f"conv{number}" for number in range(2, 2 + len(self.blocks))), (MAIN_HEAD,))


@dataclasses.dataclass(frozen=True, kw_only=True)
class GoogLeNetOptions(Options):
    """GoogLeNet; the channels of its Inception modules stand in googlenet.py."""

    normalization: str = option("none", Choice(("batch", "none")), "after each convolution")
    bn_epsilon: float = option(1e-3, Number(0, 1, "neither"), "added to the variance", normalization="batch")
    lrn: bool = option(True, FLAG, "the paper's two local response normalisations")
    inception: str = option("reduced", Choice(("reduced", "naive")), "naive: no 1x1 reductions (figure 2a)")
    five: str = option(
        "5x5", Choice(("5x5", "3x3")), "kernel of the 5x5 branch; 3x3: torchvision's, which is one in spite of its name"
    )
    last_pool: str = option("3x3", Choice(("3x3", "2x2")), "window of the pooling before 5a; 2x2: torchvision's")
    width: float = option(1.0, Number(0, closed="neither"), "multiplies the channels of every convolution")
    stem: str = option("auto", Choice(STEMS), f"small: total stride 4, not 8; auto: small up to {SMALL_STEM_UP_TO} px")
    auxiliary: bool = option(True, FLAG, "the two auxiliary heads, on 4a and 4d")
    auxiliary_pool: str = option(
        "paper",
        Choice(("paper", "adaptive")),
        "paper: equal windows, to at most 4x4; adaptive: torchvision's, always to 4x4",
        auxiliary=True,
    )
    auxiliary_weight: float = option(0.3, Number(0), "loss weight of each auxiliary head", auxiliary=True)
    auxiliary_dropout: float = option(0.7, Number(0, 1), "rate in the auxiliary heads", auxiliary=True)
    dropout: float = option(0.4, Number(0, 1), "rate before the classifier")

    def smallest_input(self) -> int:
        return 32 if self.stem == "imagenet" else 16

    def stages(self) -> Stages:
        heads = HEADS if self.auxiliary else (MAIN_HEAD,)
        return Stages(("conv1", "conv2"), tuple(f"inception_{module}" for module in INCEPTION_MODULES), heads)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LeNetOptions(Options):
    """LeNet-5 as it is built today: softmax and dense layers for the paper's RBF units and partial connections."""

    activation: str = option("tanh", Choice(ACTIVATIONS), "nonlinearity; maxout takes the larger of two pieces")
    initializer: str = option("glorot_uniform", Choice(INITIALIZERS), "of every kernel")
    normalization: str = option("none", Choice(("batch", "none")), "after each convolution")
    pooling: str = option("average", Choice(("average", "max")), "2x2/2, after each convolution")
    padding: str = option("same", Choice(("same", "valid")), "of the first 5x5; same: the paper's margin around 28 px")

    def smallest_input(self) -> int:
        return 12 if self.padding == "same" else 16  # leaves 2x2 for the second pooling

    def stages(self) -> Stages:
        return Stages(("conv1",), ("conv2", "fc3", "fc4"), (MAIN_HEAD,))


@dataclasses.dataclass(frozen=True)
class Head:
    """An output: the name of its logits layer, its share of the loss, and whether it is the one that is served."""

    name: str
    loss_weight: float
    main: bool


@dataclasses.dataclass(frozen=True)
class Row:
    """A variant: its options, and the input shape (height, width, channels) and classes it was published with."""

    name: str
    family: str
    options: Options
    input_shape: tuple[int, int, int]
    classes: int
    source: str
    note: str = ""


_IMAGENET = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
}
_CIFAR = (20, 32, 44, 56, 110, 1202)
_PLAIN = "plain: without shortcuts"
_AS_TORCHVISION = "takes torchvision's weights: 3x3 for 5x5, a 2x2 pooling before 5a, auxiliary heads pooled to 4x4"
_TORCHVISION = GoogLeNetOptions(
    normalization="batch", lrn=False, five="3x3", last_pool="2x2", auxiliary_pool="adaptive", dropout=0.2
)
_AUXILIARY = "auxiliary heads pool to min(4, size) a side; at 14x14 that is the paper's 5x5/3"


def _imagenet(layers: int, kind: str = "resnet", version: str = "") -> Row:
    block, blocks = _IMAGENET[layers]
    options = ResNetOptions(block=block, blocks=blocks, residual=kind == "resnet", pre_activation=version == "v2")
    source = "He et al. 2016, arXiv:1603.05027" if version else "He et al. 2015, arXiv:1512.03385, table 1"
    note = "" if kind == "resnet" else _PLAIN
    return Row(f"{kind}{layers}{version}", "resnet", options, (224, 224, 3), 1000, source, note)


def _cifar(layers: int, kind: str = "resnet") -> Row:
    blocks = ((layers - 2) // 6,) * 3
    options = ResNetOptions(blocks=blocks, widths=(16, 32, 64), residual=kind == "resnet", shortcut="A", stem="small")
    source = "He et al. 2015, arXiv:1512.03385, section 4.2"
    note = "" if kind == "resnet" else _PLAIN
    return Row(f"{kind}{layers}", "resnet", options, (32, 32, 3), 10, source, note)


def _googlenet(name: str, options: GoogLeNetOptions, source: str, note: str = _AUXILIARY) -> Row:
    return Row(name, "googlenet", options, (224, 224, 3), 1000, source, note)


MODELS: dict[str, Row] = {
    row.name: row
    for row in (
        *(_imagenet(layers) for layers in _IMAGENET),
        *(_imagenet(layers, version="v2") for layers in (50, 101, 152)),
        *(_cifar(layers) for layers in _CIFAR),
        *(_imagenet(layers, "plain") for layers in _IMAGENET),
        *(_cifar(layers, "plain") for layers in _CIFAR),
        _googlenet("googlenet", GoogLeNetOptions(), "Szegedy et al. 2014, arXiv:1409.4842, table 1"),
        _googlenet(
            "googlenet_bn",
            GoogLeNetOptions(normalization="batch", lrn=False),
            "arXiv:1409.4842 with the batch normalisation of Ioffe and Szegedy 2015, arXiv:1502.03167",
        ),
        _googlenet("googlenet_torchvision", _TORCHVISION, "torchvision 0.28, models/googlenet.py", _AS_TORCHVISION),
        Row("lenet5", "lenet", LeNetOptions(), (28, 28, 1), 10, "LeCun et al. 1998, Proc. IEEE 86(11), section II.B"),
    )
}


def is_own(name: str) -> bool:
    """Tell whether a name stands for a model of the user's own: `module:function`, or a `.keras` file."""
    return ":" in name or name.endswith(".keras")


def row(name: str) -> Row:
    """Return the row of a name: one of `MODELS`, or `resnet<6n+2>` and `plain<6n+2>` of the CIFAR family.

    Raises UserError, with the nearest name, for any other.
    """
    if name in MODELS:
        return MODELS[name]
    match = re.fullmatch(r"(resnet|plain)([1-9]\d*)", name)
    if match is None:
        raise UserError(
            f"model.name is {name!r}, which is no model; `kerasnets models` lists them{nearest(name, MODELS)}"
        )
    kind, layers = match[1], int(match[2])
    if layers < 8 or layers % 6 != 2:
        known = ", ".join(str(count) for count in _IMAGENET)
        near = max(8, 6 * round((layers - 2) / 6) + 2)
        raise UserError(
            f"model.name is {name!r}; a {kind} has {known} layers, or 6n+2 (8, 14, 20, …); did you mean '{kind}{near}'?"
        )
    return _cifar(layers, kind)


def options(name: str, overrides: Mapping[str, object], others: Sequence[str] = ()) -> Options:
    """Return a model's options with the overrides applied, each in its declared type.

    Raises UserError with one line for each unknown name, value that is not allowed, or option without effect; `others`
    are names that may have been meant, beside the options'.
    """
    changed, problems = override(row(name).options, overrides, name, others)
    problems += [] if problems else changed.problems()
    if problems:
        raise UserError("\n".join(problems))
    return changed


def heads(name: str, **overrides: object) -> tuple[Head, ...]:
    """Return the heads of a model, lowest first: outputs, losses, weights and metrics all follow from this tuple."""
    if is_own(name):
        return (Head(MAIN_HEAD, 1.0, True),)
    chosen = options(name, overrides)
    if not isinstance(chosen, GoogLeNetOptions) or not chosen.auxiliary:
        return (Head(MAIN_HEAD, 1.0, True),)
    *lower, main = HEADS
    return *(Head(name, chosen.auxiliary_weight, False) for name in lower), Head(main, 1.0, True)


def resolve(chosen: Options, input_shape: tuple[int, int, int]) -> Options:
    """Return the options with `stem=auto` decided by the input's shorter side (height, width, channels)."""
    if getattr(chosen, "stem", "") != "auto":
        return chosen
    stem = "small" if min(input_shape[:2]) <= SMALL_STEM_UP_TO else "imagenet"
    return dataclasses.replace(chosen, stem=stem)  # type: ignore[call-arg]


def check_input(name: str, chosen: Options, input_shape: tuple[int, int, int], classes: int) -> None:
    """Raise UserError if the input (height, width, channels) is too small for the strides, or not 1 or 3 channels."""
    if len(input_shape) != 3 or any(type(side) is not int or side < 1 for side in input_shape):
        raise UserError(f"input_shape is {input_shape!r}; allowed: (height, width, channels), whole numbers")
    if input_shape[2] not in (1, 3):
        raise UserError(f"input_shape {input_shape} has {input_shape[2]} channels; allowed: 1 or 3")
    smallest = resolve(chosen, input_shape).smallest_input()
    if min(input_shape[:2]) < smallest:
        raise UserError(
            f"input_shape {input_shape} is too small for {name}; the smallest is {smallest}x{smallest} pixels"
        )
    if type(classes) is not int or classes < 2:
        raise UserError(f"classes is {classes!r}; allowed: a whole number, at least 2")
