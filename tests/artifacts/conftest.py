"""Runs that the tests of artefacts share, and a published version."""

import pytest
from untrained import photo_googlenet, photo_resnet, photos

from kerasnets.artifacts.export import Published, export
from kerasnets.run import Run

__all__ = ["photo_googlenet", "photo_resnet", "photos"]


@pytest.fixture(scope="session")
def published(photo_resnet: Run, tmp_path_factory: pytest.TempPathFactory) -> Published:
    """The ResNet on photographs as a version with ONNX alone; tests change copies."""
    return export(photo_resnet, to=tmp_path_factory.mktemp("store"), formats=["onnx"])
