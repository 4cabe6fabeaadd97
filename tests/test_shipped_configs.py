"""Every YAML under configs/ is found, is short, and says what it is. test_goldens.py loads, builds and counts each."""

from pathlib import Path

import pytest

FILES = sorted((Path(__file__).parent.parent / "configs").rglob("*.yaml"))


def test_there_are_some() -> None:
    assert len(FILES) > 10


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_is_short_and_says_what_it_is(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert 15 <= len(lines) <= 32
    assert f"name: {path.stem}" in lines
