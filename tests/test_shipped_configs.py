"""Every YAML under configs/ is found, loaded, built, and checked against golden counts; a missing golden fails.

In configs.json `external` counts come from other libraries or the literature (MACs to the digits printed there) and are
never regenerated; `self` counts are our own. Parameters are trainable ones, with auxiliary heads.
"""

import json
from pathlib import Path

import pytest

from kerasnets import config as configs
from kerasnets.models import complexity

HERE = Path(__file__).parent
GOLDENS = json.loads((HERE / "configs.json").read_text(encoding="utf-8"))
FILES = sorted((HERE.parent / "configs").rglob("*.yaml"))


def test_every_config_has_a_golden_and_every_golden_a_config() -> None:
    assert [path.stem for path in FILES] == sorted(GOLDENS)
    assert {golden[key] for golden in GOLDENS.values() for key in ("parameters_are", "macs_are")} == {
        "external",
        "self",
    }


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_builds_to_the_golden_counts(path: Path) -> None:
    golden, config = GOLDENS[path.stem], configs.load(path)
    shape = tuple(golden["input"])
    assert config.data.image_size in (None, shape[:2])
    found = complexity.count(complexity.outline(config.model.name, shape, golden["classes"], **config.model.options))
    assert (found.trainable, found.macs) == (golden["parameters"], golden["macs"])


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_is_short_and_says_what_it_is(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert 15 <= len(lines) <= 32
    assert f"name: {path.stem}" in lines
