"""Arrays from somebody else: no pickle is loaded, nothing is taken that is only declared."""

import gzip
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from attacks import Payload, npy

from kerasnets.config import Data
from kerasnets.data import sources
from kerasnets.data.arrays import read_idx
from kerasnets.errors import UserError


def npz(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def loaded(source: str, path: Path) -> str:
    with pytest.raises(UserError) as error:
        sources.load(Data(source=source, path=path), seed=0)  # type: ignore[arg-type]
    return str(error.value)


def test_pickles_in_arrays_are_not_loaded(tmp_path: Path, marker: Path) -> None:
    np.savez(tmp_path / "x.npz", x_train=np.array([Payload(marker)], object), y_train=np.zeros(1, int))
    np.save(tmp_path / "bare.npy", np.array([Payload(marker)], object))
    assert "Object arrays cannot be loaded when allow_pickle=False" in loaded("npz", tmp_path / "x.npz")
    (tmp_path / "bare.npz").write_bytes((tmp_path / "bare.npy").read_bytes())
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(Payload(marker)))
    for name in ("bare.npz", "pickle.npz"):
        assert "is not an npz file of plain arrays" in loaded("npz", tmp_path / name)
    assert not marker.exists()


@pytest.mark.parametrize("shape", [(2**50, 8, 8), (2**38, 8, 8), (2**62, 2**62, 8), (-1, 8, 8)])
def test_arrays_that_are_declared_but_not_there(shape: tuple[int, ...], tmp_path: Path) -> None:
    path = npz(tmp_path / "x.npz", x_train=npy(shape, b"\0" * 64), y_train=npy((1,), b"\0"))
    assert "is not an npz file of plain arrays" in loaded("npz", path)


def test_an_npz_bomb_is_refused_by_what_it_declares(tmp_path: Path) -> None:
    path = npz(tmp_path / "x.npz", x_train=npy((1, 8, 8), b"\0" * 64), y_train=npy((1,), b"\0"))
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02") + 24  # the size, unpacked, in the directory
    content[at : at + 4] = struct.pack("<I", 0xF0000000)
    path.write_bytes(content)
    assert "'x_train.npy' would unpack to 4,026,531,840 bytes" in loaded("npz", path)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_an_idx_file_that_declares_too_much(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"train-images-idx3-ubyte{suffix}"
    content = struct.pack(">BBBBIII", 0, 0, 8, 3, 2**31, 2**10, 2**10) + bytes(1000)
    path.write_bytes(gzip.compress(content) if suffix else content)
    with pytest.raises(UserError, match=r"wants 2,251,799,813,685,248 bytes, and the file has"):
        read_idx(path, 3)


def test_no_more_is_unpacked_of_an_idx_file_than_it_declares(tmp_path: Path) -> None:
    path = tmp_path / "train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(struct.pack(">BBBBI", 0, 0, 8, 1, 10) + bytes(100_000_000)))
    with pytest.raises(UserError, match=r"over 10 bytes of data, but its header \(10,\) wants 10$"):
        read_idx(path, 1)


def test_a_pipe_is_no_data(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.npz")
    assert "it is no file" in loaded("npz", tmp_path / "x.npz")
