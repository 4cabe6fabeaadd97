"""Weights from somebody else: nothing of them runs, leads out of the file, or takes more than the file has."""

import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import pytest
from attacks import HDF5, Payload

from kerasnets.errors import UserError
from kerasnets.models import pretrained


def refused(path: Path) -> str:
    image = keras.Input((4,))
    with pytest.raises(UserError) as error:
        pretrained.load(keras.Model(image, keras.layers.Dense(2)(image)), path)
    return str(error.value).removeprefix(str(path))


@pytest.mark.parametrize(("attack", "message"), HDF5, ids=lambda value: value.__name__ if callable(value) else "")
def test_arrays_lie_in_the_file_itself(attack: Callable[[h5py.File, Path], None], message: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"password")
    image = keras.Input((4,))
    keras.Model(image, keras.layers.Dense(2)(image)).save_weights(tmp_path / "w.weights.h5")
    with h5py.File(tmp_path / "w.weights.h5", "r+") as file:
        attack(file, tmp_path / "secret")
    assert refused(tmp_path / "w.weights.h5") == f" holds no weights that can be read: {message}"


@pytest.mark.parametrize("suffix", ["safetensors", "h5", "keras"])
def test_pickles_under_other_names_are_not_run(suffix: str, tmp_path: Path, marker: Path) -> None:
    (tmp_path / f"w.{suffix}").write_bytes(pickle.dumps({"conv1.weight": Payload(marker)}))
    assert refused(tmp_path / f"w.{suffix}")
    assert not marker.exists()
