"""Names of others and ours, as pairs of templates that are read in both directions. Imports nothing heavy.

Plain names are `layer/variable`. The main head is `softmax` here, also where a model with auxiliary heads calls it
`softmax2`.
"""

import re
from dataclasses import dataclass
from functools import cache

_FIELD = re.compile(r"\{(\w+)([+-]\d)?\}")
_FIELDS = {
    "stage": r"[1-9]\d{0,2}",
    "block": r"\d{1,3}",
    "number": r"[1-9]",
    "aux": r"\d",
    "module": r"\d[a-z]",
    "kind": "conv|bn",
}


@dataclass(frozen=True)
class Rule:
    """A layer's name here and there; `{block-1}` is the number of `{block}` less 1."""

    ours: str
    theirs: str


TORCHVISION_RESNET = (
    Rule("conv1_conv", "conv1"),
    Rule("conv1_bn", "bn1"),
    Rule("conv{stage}_block{block}_0_conv", "layer{stage-1}.{block-1}.downsample.0"),
    Rule("conv{stage}_block{block}_0_bn", "layer{stage-1}.{block-1}.downsample.1"),
    Rule("conv{stage}_block{block}_{number}_conv", "layer{stage-1}.{block-1}.conv{number}"),
    Rule("conv{stage}_block{block}_{number}_bn", "layer{stage-1}.{block-1}.bn{number}"),
    Rule("softmax", "fc"),
)
TORCHVISION_GOOGLENET = (
    Rule("conv1_{kind}", "conv1.{kind}"),
    Rule("conv2_reduce_{kind}", "conv2.{kind}"),
    Rule("conv2_{kind}", "conv3.{kind}"),
    Rule("inception_{module}_1x1_{kind}", "inception{module}.branch1.{kind}"),
    Rule("inception_{module}_3x3_reduce_{kind}", "inception{module}.branch2.0.{kind}"),
    Rule("inception_{module}_3x3_{kind}", "inception{module}.branch2.1.{kind}"),
    Rule("inception_{module}_5x5_reduce_{kind}", "inception{module}.branch3.0.{kind}"),
    Rule("inception_{module}_5x5_{kind}", "inception{module}.branch3.1.{kind}"),
    Rule("inception_{module}_pool_proj_{kind}", "inception{module}.branch4.1.{kind}"),
    Rule("softmax{aux}_{kind}", "aux{aux+1}.conv.{kind}"),
    Rule("softmax{aux}_fc", "aux{aux+1}.fc1"),
    Rule("softmax{aux}", "aux{aux+1}.fc2"),
    Rule("softmax", "fc"),
)
KERAS_APPLICATIONS = (
    Rule("conv1_{kind}", "conv1_{kind}"),
    Rule("conv{stage}_block{block}_0_{kind}", "conv{stage}_block{block}_0_{kind}"),
    Rule("conv{stage}_block{block}_{number}_{kind}", "conv{stage}_block{block}_{number}_{kind}"),
    Rule("conv{stage}_block{block}_preact_bn", "conv{stage}_block{block}_preact_bn"),
    Rule("post_bn", "post_bn"),
    Rule("softmax", "predictions"),
)


def to_ours(rules: tuple[Rule, ...], layer: str) -> str | None:
    """Return our name of their layer, or None when no rule knows it."""
    for rule in rules:
        fields = _read(rule.theirs, layer)
        if fields is not None:
            return _write(rule.ours, fields)
    return None


def to_theirs(rules: tuple[Rule, ...], layer: str) -> str | None:
    """Return their name of our layer, or None when no rule knows it."""
    for rule in rules:
        fields = _read(rule.ours, layer)
        if fields is not None:
            return _write(rule.theirs, fields)
    return None


@cache
def _pattern(template: str) -> re.Pattern[str]:
    parts = _FIELD.split(template)  # text, field, offset, text, field, offset, …
    texts = [re.escape(text) for text in parts[::3]]
    fields = [f"(?P<{name}>{_FIELDS[name]})" for name in parts[1::3]]
    return re.compile("".join(piece for pair in zip(texts, [*fields, ""], strict=True) for piece in pair))


def _read(template: str, layer: str) -> dict[str, str] | None:
    """Return what stands in the fields of a template, offsets taken off again."""
    match = _pattern(template).fullmatch(layer)
    if match is None:
        return None
    offsets = {name: int(offset) for name, offset in _FIELD.findall(template) if offset}
    found = match.groupdict()
    return found | {name: str(int(found[name]) - offset) for name, offset in offsets.items()}


def _write(template: str, fields: dict[str, str]) -> str:
    def number(field: re.Match[str]) -> str:
        text = fields[field[1]]
        return str(int(text) + int(field[2])) if field[2] else text

    return _FIELD.sub(number, template)
