"""A published model of a small network with random weights, on photographs."""

from pathlib import Path

import pytest
from once import once
from untrained import photo_resnet, photos

from kerasnets.artifacts.export import export
from kerasnets.run import Run

__all__ = ["photo_resnet", "photos"]


@pytest.fixture(scope="session")
def version(tmp_path_factory: pytest.TempPathFactory, photo_resnet: Run) -> Path:
    """The directory of a published version, ONNX alone."""
    return export(photo_resnet, to=tmp_path_factory.mktemp("store"), formats=["onnx"]).path


@pytest.fixture(scope="session")
def both(tmp_path_factory: pytest.TempPathFactory, photo_resnet: Run) -> Path:
    """The directory of a published version, SavedModel and ONNX."""
    return once(tmp_path_factory, "store-of-both", lambda path: export(photo_resnet, to=path)) / "photos" / "1"
