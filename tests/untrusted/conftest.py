"""Shared by the tests of files from somebody else."""

import pickle
from pathlib import Path

import pytest
from attacks import Payload


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """What an attack makes where it succeeds; the fixture itself shows that pickle would."""
    pickle.loads(pickle.dumps(Payload(tmp_path / "works")))
    assert (tmp_path / "works").exists()
    return tmp_path / "marker"
