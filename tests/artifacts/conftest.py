"""Runs that the tests of artefacts share."""

from pathlib import Path

import pytest

from kerasnets.run import Run
from tests.artifacts.runs import GOOGLENET, RESNET, make_run, write_photos


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of photographs with a folder per class, files of many sizes."""
    return write_photos(tmp_path_factory.mktemp("photos") / "photos")


@pytest.fixture(scope="session")
def photo_resnet(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Run:
    """A run of a small ResNet on photographs, with random weights."""
    return make_run(tmp_path_factory.mktemp("resnet") / "run", photos, RESNET)


@pytest.fixture(scope="session")
def photo_googlenet(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Run:
    """A run of a narrow GoogLeNet with three heads on photographs, with random weights."""
    return make_run(tmp_path_factory.mktemp("googlenet") / "run", photos, GOOGLENET)
