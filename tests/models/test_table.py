"""A model's table: the papers' rows."""

from typing import Any

import pytest

from kerasnets.models import anatomy, complexity, table
from kerasnets.models.anatomy import Block, Shortcut
from kerasnets.models.receptive_field import Field


def blocks(model: Any) -> dict[str, list[Block]]:
    found = {stage.name: [part for part in stage.parts if isinstance(part, Block)] for stage in anatomy.stages(model)}
    return {name: parts for name, parts in found.items() if parts}


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        (
            "resnet50",
            {
                "conv1": ((112, 112, 64), "7x7, 64, stride 2"),
                "pool1": ((56, 56, 64), "3x3 max pool, stride 2"),
                "conv2": ((56, 56, 256), "[1x1, 64; 3x3, 64; 1x1, 256] x 3"),
                "conv3": ((28, 28, 512), "[1x1, 128; 3x3, 128; 1x1, 512] x 4"),
                "conv4": ((14, 14, 1024), "[1x1, 256; 3x3, 256; 1x1, 1024] x 6"),
                "conv5": ((7, 7, 2048), "[1x1, 512; 3x3, 512; 1x1, 2048] x 3"),
                "avg_pool": ((2048,), "global average pool"),
                "softmax": ((1000,), "1000-d dense"),
            },
        ),
        (
            "plain20",
            {
                "conv1": ((32, 32, 16), "3x3, 16"),
                "conv2": ((32, 32, 16), "[3x3, 16; 3x3, 16] x 3"),
                "conv3": ((16, 16, 32), "[3x3, 32; 3x3, 32] x 3"),
                "conv4": ((8, 8, 64), "[3x3, 64; 3x3, 64] x 3"),
                "avg_pool": ((64,), "global average pool"),
                "softmax": ((10,), "10-d dense"),
            },
        ),
        (
            "lenet5",
            {
                "conv1": ((28, 28, 6), "5x5, 6"),
                "pool1": ((14, 14, 6), "2x2 average pool, stride 2"),
                "conv2": ((10, 10, 16), "5x5, 16"),
                "pool2": ((5, 5, 16), "2x2 average pool, stride 2"),
                "flatten": ((400,), "flatten"),
                "fc3": ((120,), "120-d dense"),
                "fc4": ((84,), "84-d dense"),
                "softmax": ((10,), "10-d dense"),
            },
        ),
    ],
)
def test_rows_are_those_of_the_papers(name: str, rows: dict[str, Any], outlined: Any) -> None:
    assert {row.name: (row.output_shape, row.layers) for row in table.rows(outlined(name))} == rows


def test_googlenet_has_the_six_numbers_of_its_table(outlined: Any) -> None:
    rows = {row.name: row for row in table.rows(outlined("googlenet"))}
    assert {name.removeprefix("inception_"): row.inception for name, row in rows.items() if row.inception} == {
        "3a": (64, 96, 128, 16, 32, 32),
        "3b": (128, 128, 192, 32, 96, 64),
        "4a": (192, 96, 208, 16, 48, 64),
        "4b": (160, 112, 224, 24, 64, 64),
        "4c": (128, 128, 256, 24, 64, 64),
        "4d": (112, 144, 288, 32, 64, 64),
        "4e": (256, 160, 320, 32, 128, 128),
        "5a": (256, 160, 320, 32, 128, 128),
        "5b": (384, 192, 384, 48, 128, 128),
    }
    assert rows["conv2"].layers == "1x1, 64; 3x3, 192; local response norm"
    assert rows["softmax0"].layers == (
        "5x5 average pool, stride 3; 1x1, 128; flatten; 1024-d dense; dropout 0.7; 1000-d dense"
    )
    assert rows["inception_3a"].field == Field(
        -3 - 4 - 16, 7 + 4 + 8 + 16, 8
    )  # unevenly: at even sizes its pools pad on the right alone


def test_a_naive_module_has_three_numbers(outlined: Any) -> None:
    rows = {row.name: row for row in table.rows(outlined("googlenet", inception="naive", width=0.25))}
    assert rows["inception_3a"].inception == (16, None, 32, None, 8, None)


def test_costs_are_those_of_the_stages(outlined: Any) -> None:
    model = outlined("googlenet")
    assert {row.name: row.cost for row in table.rows(model)} == {
        stage.name: stage.cost for stage in complexity.stages(model)
    }


@pytest.mark.parametrize(
    ("name", "options", "shortcuts"),
    [
        (
            "resnet18",
            {},
            [None, Shortcut("identity", 1, 0), Shortcut("projection", 2, 128), Shortcut("identity", 1, 0)],
        ),
        ("resnet20", {}, [None, Shortcut("identity", 1, 0), Shortcut("padded", 2, 16), Shortcut("identity", 1, 0)]),
        ("resnet8", {"shortcut": "C", "blocks": [2, 2]}, [None, *[Shortcut("projection", 1, 16)] * 2]),
        ("plain20", {}, [None, None, None, None]),
    ],
)
def test_shortcuts(name: str, options: dict[str, Any], shortcuts: list[Shortcut | None], outlined: Any) -> None:
    if options:
        model = complexity.outline(name, None, None, **options, widths=[16, 32])
        assert [part.shortcut for part in blocks(model)["conv2"]] == shortcuts[1:]
        return
    found = blocks(outlined(name))
    assert [found["conv2"][0].shortcut, *(part.shortcut for part in found["conv3"][:2])] == shortcuts[1:]


def test_a_pre_activated_projection_starts_behind_the_activation(outlined: Any) -> None:
    first, second, _ = blocks(outlined("resnet50v2"))["conv2"]
    assert [step.words() for step in first.steps] == ["BN, relu", "1x1, 64", "3x3, 64", "1x1, 256"]
    assert (first.after_activation, second.after_activation) == (True, False)
    assert (first.shortcut, second.shortcut) == (Shortcut("projection", 1, 256), Shortcut("identity", 1, 0))


def test_maxout_shows_the_channels_that_are_left() -> None:
    model = complexity.outline("resnet8", None, None, activation="maxout")
    assert [row.layers for row in table.rows(model)][:3] == [
        *("3x3, 16", "[3x3, 16; 3x3, 16] x 1", "[3x3, 32; 3x3, 32] x 1")
    ]


@pytest.mark.parametrize("name", ["resnet14", "plain14", "resnet18", "plain18", "resnet50v2", "googlenet_bn"])
def test_every_layer_stands_in_a_stage(name: str, outlined: Any) -> None:
    model = outlined(name)
    stages = anatomy.stages(model)
    assert sorted(layer.name for stage in stages for layer in stage.layers) == sorted(
        layer.name for layer in model.layers if layer.name != "image"
    )
    assert stages[0].source == "image"
    assert {stage.source for stage in stages[1:]} <= {stage.name for stage in stages}
