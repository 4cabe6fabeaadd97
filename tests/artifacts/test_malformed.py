"""Malformed files through an exported model: all say what Pillow says. A sample of `make proof-decode`."""

from pathlib import Path

import mutations
import pytest
from four_ways import Ways

from kerasnets.artifacts.export import export
from kerasnets.run import Run


@pytest.fixture(scope="module")
def ways(photo_resnet: Run, tmp_path_factory: pytest.TempPathFactory) -> Ways:
    return Ways.open(Path(export(photo_resnet, to=tmp_path_factory.mktemp("malformed")).path))


@pytest.mark.slow
@pytest.mark.parametrize("kind", mutations.FORMATS)
def test_malformed_files_are_decoded_the_same_way_or_refused_everywhere(kind: str, ways: Ways, tmp_path: Path) -> None:
    path = tmp_path / f"image.{kind.lower()}"
    found = [ways.verdict(content, path) for _, content in mutations.mutated(kind, 12, seed=1)]
    assert set(found) == {"decoded", "refused"}
