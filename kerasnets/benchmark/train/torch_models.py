"""ResNets and GoogLeNet as they are written in plain PyTorch: the same networks as ours, weight for weight.

Sources: He et al. 2015 (arXiv:1512.03385), Szegedy et al. 2014 (arXiv:1409.4842). Modules bear our layers' names, as
far as PyTorch has them, so that weights can be carried over. Needs torch, which nothing else of kerasnets needs.
"""

from collections import OrderedDict
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional

from kerasnets.models import specs
from kerasnets.models.googlenet import AUXILIARY, INCEPTION, POOL_AFTER, Channels
from kerasnets.models.specs import HEADS, MAIN_HEAD, GoogLeNetOptions, ResNetOptions


def build(name: str) -> nn.Module:
    """Return the network of a row of `MODELS` that `arms.in_torch` knows, with He's initial weights.

    It maps images `[N, C, H, W]` to logits `[N, K]` by head name; in inference, to the main head's alone.
    """
    row = specs.row(name)
    options = specs.resolve(row.options, row.input_shape)
    if row.family == "resnet":
        network: nn.Module = ResNet(cast(ResNetOptions, options), row.input_shape[2], row.classes)
    else:
        network = GoogLeNet(cast(GoogLeNetOptions, options), row.input_shape[2], row.classes)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network


class Unit(nn.Sequential):
    """Convolution, batch normalisation where there is one, ReLU where it is wanted."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, options: Any, *, stride: int = 1, active: bool = True
    ) -> None:
        normalized = options.normalization == "batch"
        layers: dict[str, nn.Module] = {
            "conv": nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=not normalized)
        }
        if normalized:
            layers["bn"] = nn.BatchNorm2d(outputs, options.bn_epsilon, 1 - options.bn_momentum)
        if active:
            layers["relu"] = nn.ReLU(inplace=True)
        super().__init__(OrderedDict(layers))


class Widen(nn.Module):
    """The shortcut without parameters (He et al. 2015, option A): every other pixel, channels filled up with zeros."""

    def __init__(self, missing: int, stride: int) -> None:
        super().__init__()
        self.missing, self.stride = missing, stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.missing))


class Block(nn.Module):
    """A residual block, basic or bottleneck; a plain one adds nothing."""

    def __init__(self, inputs: int, width: int, stride: int, options: ResNetOptions) -> None:
        super().__init__()
        outputs = width * options.expansion
        if options.block == "basic":
            shapes = [(inputs, width, 3, stride), (width, width, 3, 1)]
        else:
            first, second = (stride, 1) if options.stride_on == "1x1" else (1, stride)
            shapes = [(inputs, width, 1, first), (width, width, 3, second), (width, outputs, 1, 1)]
        units = {
            str(number): Unit(*shape[:3], options, stride=shape[3], active=number < len(shapes))
            for number, shape in enumerate(shapes, start=1)
        }
        self.body = nn.Sequential(OrderedDict(units))
        self.shortcut: nn.Module | None = None
        if options.residual and options.shortcut == "B" and inputs != outputs:
            self.shortcut = Unit(inputs, outputs, 1, options, stride=stride, active=False)
        elif options.residual:
            same = inputs == outputs and stride == 1
            self.shortcut = nn.Identity() if same else Widen(outputs - inputs, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.body(x)
        if self.shortcut is not None:
            y = y + self.shortcut(x)
        return functional.relu(y, inplace=True)


class ResNet(nn.Module):
    """He et al. 2015, table 1 and section 4.2; where a bottleneck strides is an option (v1, v1.5)."""

    def __init__(self, options: ResNetOptions, channels: int, classes: int) -> None:
        super().__init__()
        small = options.stem == "small"
        inputs = options.widths[0]
        self.conv1 = Unit(channels, inputs, 3 if small else 7, options, stride=1 if small else 2)
        self.pool1 = nn.Identity() if small else nn.MaxPool2d(3, 2, 1)
        stages: dict[str, nn.Module] = {}
        for number, (blocks, width) in enumerate(zip(options.blocks, options.widths, strict=True)):
            made: dict[str, nn.Module] = {}
            for place in range(blocks):
                made[f"block{place + 1}"] = Block(inputs, width, 2 if number and not place else 1, options)
                inputs = width * options.expansion
            stages[f"conv{number + 2}"] = nn.Sequential(OrderedDict(made))
        self.stages = nn.Sequential(OrderedDict(stages))
        self.softmax = nn.Linear(inputs, classes)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.stages(self.pool1(self.conv1(x)))
        return {MAIN_HEAD: self.softmax(torch.flatten(functional.adaptive_avg_pool2d(x, 1), 1))}


class Inception(nn.Module):
    """Four branches, concatenated (Szegedy et al. 2014, figure 2b)."""

    def __init__(self, inputs: int, channels: Channels, options: GoogLeNetOptions) -> None:
        super().__init__()
        self.one = Unit(inputs, channels.one, 1, options)
        self.reduce3 = Unit(inputs, channels.reduce3, 1, options)
        self.three = Unit(channels.reduce3, channels.three, 3, options)
        self.reduce5 = Unit(inputs, channels.reduce5, 1, options)
        self.five = Unit(channels.reduce5, channels.five, 5, options)
        self.pool = nn.MaxPool2d(3, 1, 1)
        self.proj = Unit(inputs, channels.pool, 1, options)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branches = [self.one(x), self.three(self.reduce3(x)), self.five(self.reduce5(x)), self.proj(self.pool(x))]
        return torch.cat(branches, 1)


class Auxiliary(nn.Module):
    """A head in the middle (section 5): pooling to 4x4, 1x1 to 128, dense 1024, dropout, logits."""

    def __init__(self, inputs: int, classes: int, options: GoogLeNetOptions) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(5, 3)
        self.reduce = Unit(inputs, 128, 1, options)
        self.fc = nn.Linear(128 * 4 * 4, 1024)
        self.dropout = nn.Dropout(options.auxiliary_dropout)
        self.logits = nn.Linear(1024, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.flatten(self.reduce(self.pool(x)), 1)
        return self.logits(self.dropout(functional.relu(self.fc(x), inplace=True)))


class GoogLeNet(nn.Module):
    """Szegedy et al. 2014, table 1, for 224x224; pools round up, as the original's (Caffe's) do."""

    def __init__(self, options: GoogLeNetOptions, channels: int, classes: int) -> None:
        super().__init__()
        self.conv1 = Unit(channels, 64, 7, options, stride=2)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.lrn = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0) if options.lrn else nn.Identity()
        self.conv2_reduce = Unit(64, 64, 1, options)
        self.conv2 = Unit(64, 192, 3, options)
        self.inception = nn.ModuleDict()
        self.auxiliary = nn.ModuleDict()
        inputs = 192
        for module, numbers in INCEPTION.items():
            self.inception[module] = Inception(inputs, numbers, options)
            inputs = numbers.one + numbers.three + numbers.five + numbers.pool
            if module in AUXILIARY:
                self.auxiliary[module] = Auxiliary(inputs, classes, options)
        self.dropout = nn.Dropout(options.dropout)
        self.logits = nn.Linear(inputs, classes)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        found = {}
        x = self.lrn(self.pool(self.conv1(x)))
        x = self.pool(self.lrn(self.conv2(self.conv2_reduce(x))))
        for module, inception in self.inception.items():
            x = inception(x)
            if self.training and module in AUXILIARY:
                found[AUXILIARY[module]] = self.auxiliary[module](x)
            if module in POOL_AFTER:
                x = self.pool(x)
        x = torch.flatten(functional.adaptive_avg_pool2d(x, 1), 1)
        return found | {HEADS[-1]: self.logits(self.dropout(x))}
