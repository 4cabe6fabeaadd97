"""One store and one server that most tests of serving share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from once import once
from serving import Server, publish
from untrained import photo_resnet, photos

from kerasnets.artifacts.export import export
from kerasnets.run import Run

__all__ = ["photo_resnet", "photos"]


@pytest.fixture(scope="session")
def version(photo_resnet: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published version of a small ResNet."""
    return once(tmp_path_factory, "store-of-both", lambda path: export(photo_resnet, to=path)) / "photos" / "1"


@pytest.fixture(scope="session")
def store(version: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two models, the first with three versions."""
    path = tmp_path_factory.mktemp("serving") / "store"
    for name, number in (("flowers", 1), ("flowers", 2), ("flowers", 3), ("birds", 7)):
        publish(version, path, name, number)
    return path


@pytest.fixture(scope="session")
def server(store: Path) -> Iterator[Server]:
    """A running server with small limits."""
    limits = ["--max-body", "8", "--max-json", "4", "--max-pixels", "1000000", "--max-images", "60", "--timeout", "6"]
    with Server(store, *limits) as running:
        yield running
