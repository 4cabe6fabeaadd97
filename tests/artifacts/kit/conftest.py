"""A version that the tests of the kit share."""

import sys
from pathlib import Path

import pytest
from once import once

sys.path.append(str(Path(__file__).parent))  # for schemas

from kerasnets.artifacts.export import export  # noqa: E402  (after the path is set)
from kerasnets.run import Run  # noqa: E402


@pytest.fixture(scope="session")
def both(photo_resnet: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one version of SavedModel and ONNX."""
    return once(tmp_path_factory, "store-of-both", lambda path: export(photo_resnet, to=path))
