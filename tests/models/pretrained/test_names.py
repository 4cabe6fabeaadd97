"""One table of names, read in both directions; the lists are those of the real libraries."""

import pytest

from kerasnets.models import MODELS, complexity
from kerasnets.models.pretrained import families
from kerasnets.models.pretrained.families import GOOGLENET, KERAS_APPLICATIONS, RESNET, Family

PAIRS = [
    (RESNET, "conv1.weight", "conv1_conv/kernel"),
    (RESNET, "bn1.running_mean", "conv1_bn/moving_mean"),
    (RESNET, "bn1.weight", "conv1_bn/gamma"),
    (RESNET, "layer1.0.conv1.weight", "conv2_block1_1_conv/kernel"),
    (RESNET, "layer3.22.bn3.running_var", "conv4_block23_3_bn/moving_variance"),
    (RESNET, "layer2.0.downsample.0.weight", "conv3_block1_0_conv/kernel"),
    (RESNET, "layer2.0.downsample.1.bias", "conv3_block1_0_bn/beta"),
    (RESNET, "fc.bias", "softmax/bias"),
    (GOOGLENET, "conv2.conv.weight", "conv2_reduce_conv/kernel"),
    (GOOGLENET, "conv3.bn.weight", "conv2_bn/gamma"),
    (GOOGLENET, "inception4a.branch1.conv.weight", "inception_4a_1x1_conv/kernel"),
    (GOOGLENET, "inception5b.branch2.0.bn.running_var", "inception_5b_3x3_reduce_bn/moving_variance"),
    (GOOGLENET, "inception3b.branch3.1.conv.weight", "inception_3b_5x5_conv/kernel"),
    (GOOGLENET, "inception3b.branch4.1.bn.bias", "inception_3b_pool_proj_bn/beta"),
    (GOOGLENET, "aux1.conv.bn.weight", "softmax0_bn/gamma"),
    (GOOGLENET, "aux2.fc1.weight", "softmax1_fc/kernel"),
    (GOOGLENET, "aux2.fc2.bias", "softmax1/bias"),
    (GOOGLENET, "fc.weight", "softmax/kernel"),
    (KERAS_APPLICATIONS, "conv4_block6_3_bn/gamma", "conv4_block6_3_bn/gamma"),
    (KERAS_APPLICATIONS, "conv2_block1_preact_bn/beta", "conv2_block1_preact_bn/beta"),
    (KERAS_APPLICATIONS, "predictions/kernel", "softmax/kernel"),
]


@pytest.mark.parametrize(("family", "theirs", "ours"), PAIRS, ids=[theirs for _, theirs, _ in PAIRS])
def test_both_ways(family: Family, theirs: str, ours: str) -> None:
    assert (family.plain(theirs), family.foreign(ours)) == (ours, theirs)


def test_a_head_of_before_2019_is_read() -> None:
    assert KERAS_APPLICATIONS.plain("probs/kernel") == "softmax/kernel"


@pytest.mark.parametrize(
    ("family", "name"),
    [
        (RESNET, "layer1.0.se.fc1.weight"),
        (RESNET, "conv1.0.weight"),
        (RESNET, "layer0.0.conv1.weight.x"),
        (RESNET, f"layer{'9' * 5000}.0.conv1.weight"),
        (RESNET, "bn1.momentum"),
        (GOOGLENET, "inception3a.branch5.conv.weight"),
        (KERAS_APPLICATIONS, "dense_1/kernel"),
    ],
)
def test_others_are_not_known(family: Family, name: str) -> None:
    assert family.plain(name) is None


@pytest.mark.parametrize(
    ("name", "family"),
    [
        *((name, RESNET) for name in ("resnet18", "resnet50", "resnet20", "plain34")),
        ("googlenet_torchvision", GOOGLENET),
        *((name, KERAS_APPLICATIONS) for name in ("resnet50", "resnet50v2")),
    ],
)
def test_every_variable_has_a_name_that_comes_back(name: str, family: Family) -> None:
    assert name in MODELS
    plain = [families.neutral(variable.path) for variable in complexity.outline(name).weights]
    theirs = [family.foreign(one) for one in plain]
    assert None not in theirs and len(set(theirs)) == len(plain)
    assert [family.plain(str(one)) for one in theirs] == plain


def test_families_are_told_by_their_names() -> None:
    for family in (RESNET, GOOGLENET, KERAS_APPLICATIONS):
        assert families.detect([theirs for one, theirs, _ in PAIRS if one is family]) is family
    assert families.detect(["conv1_conv/kernel", "conv2_block1_1_conv/kernel", "softmax/kernel"]) is families.OURS
    assert families.detect(["features.0.weight", "classifier.weight"]) is None
