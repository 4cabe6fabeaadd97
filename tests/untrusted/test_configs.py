"""Configs from somebody else: no tag makes an object, no alias fills the memory."""

from pathlib import Path

import pytest

from kerasnets import config as configs
from kerasnets.errors import UserError


@pytest.mark.parametrize(
    "text",
    [
        "name: !!python/object/apply:os.system ['touch MARKER']",
        "model: {name: lenet5, activation: \"!!python/object/apply:os.system ['touch MARKER']\"}",
        "data: {source: digits, class_names: !!python/name:os.system }",
    ],
)
def test_tags_in_a_config_make_nothing(text: str, tmp_path: Path, marker: Path) -> None:
    (tmp_path / "c.yaml").write_text(text.replace("MARKER", str(marker)))
    with pytest.raises(UserError):
        configs.load(tmp_path / "c.yaml")
    assert not marker.exists()


LAUGHS = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "c.yaml line 2: references such as *name are not taken"),
        ("model: " + "[" * 5000, "c.yaml line 1: nested too deeply"),
        ("model: " + "[" * 1_000_000, "c.yaml line 1: nested too deeply"),
        ("model: " + "{a: " * 5000, "c.yaml line 1: nested too deeply"),
        ("{[a]: 1}", "c.yaml line 1: a key is not a word"),
        ("name: ../../x\nmodel: {name: lenet5}\ndata: {source: digits}", "name: found '../../x'"),
        ('name: "x\\n"\nmodel: {name: lenet5}\ndata: {source: digits}', "name: found 'x\\n'"),
        ("model: {name: resnet20, blocks: [1000000000]}\ndata: {source: digits}", "model.blocks is"),
        (
            "model: {name: lenet5}\ndata: {source: digits}\ntraining: {epochs: " + "9" * 400 + "}",
            "training.epochs: found",
        ),
        ("x: " + "y" * 5_000_000, "c.yaml: a config has at most 4 million characters"),
        (
            "model: {name: lenet5}\ndata: {source: digits}\n" + "".join(f"k{i}: 1\n" for i in range(9999)),
            "and 9949 more",
        ),
    ],
    ids=[
        "references",
        "deep",
        "very deep",
        "deep mappings",
        "key",
        "path",
        "line break",
        "blocks",
        "digits",
        "size",
        "keys",
    ],
)
def test_configs_that_are_made_to_harm(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UserError) as error:
        configs.load(tmp_path / "c.yaml")
    assert message in str(error.value)
    assert len(str(error.value)) < 20_000
