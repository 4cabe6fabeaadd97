"""Malformed files through an exported model: all say what Pillow says. A sample of `make proof-decode`."""

from pathlib import Path

import mutations
import pytest
from four_ways import Ways
from once import once

from kerasnets.artifacts.export import export
from kerasnets.run import Run


@pytest.fixture(scope="module")
def ways(photo_resnet: Run, tmp_path_factory: pytest.TempPathFactory) -> Ways:
    store = once(tmp_path_factory, "store-of-both", lambda path: export(photo_resnet, to=path))
    return Ways.open(store / "photos" / "1")


@pytest.mark.slow
@pytest.mark.parametrize("kind", mutations.FORMATS)
def test_malformed_files_are_decoded_the_same_way_or_refused_everywhere(kind: str, ways: Ways, tmp_path: Path) -> None:
    path = tmp_path / f"image.{kind.lower()}"
    found = [ways.verdict(content, path) for _, content in mutations.mutated(kind, 12, seed=1)]
    assert set(found) == {"decoded", "refused"}
