"""Raw pixels in order, and the audit of files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kerasnets.data import audit
from kerasnets.data.audit import Problem
from kerasnets.data.decode import DecodeError
from kerasnets.data.encoded import Files
from kerasnets.data.raw import raw_batches
from kerasnets.data.sources import Split

SIZES = [(4, 3), (4, 3), (4, 3), (5, 2), (4, 3), (4, 3)]  # width, height


def files(root: Path) -> Split:
    paths = []
    for i, size in enumerate(SIZES):
        paths.append(root / f"{i}.png")
        Image.new("RGB", size, (i, i, i)).save(paths[-1])
    return Split(np.arange(6, dtype=np.int32), None, Files.of(paths), tuple(map(str, range(6))))


def test_groups_by_size_and_keeps_the_order(tmp_path: Path) -> None:
    batches = list(raw_batches(files(tmp_path), 3, batch_size=2))
    assert [labels.tolist() for _, labels in batches] == [[0, 1], [2], [3], [4, 5]]
    assert [pixels.shape for pixels, _ in batches] == [(2, 3, 4, 3), (1, 3, 4, 3), (1, 2, 5, 3), (2, 3, 4, 3)]
    for pixels, labels in batches:
        assert pixels.dtype == np.float32
        assert pixels[:, 0, 0, 0].tolist() == labels.tolist()


def test_skips(tmp_path: Path) -> None:
    batches = list(raw_batches(files(tmp_path), 1, 8, skip=frozenset({1, 3})))
    assert [labels.tolist() for _, labels in batches] == [[0, 2, 4, 5]]
    assert batches[0][0].shape == (4, 3, 4, 1)


def test_images_in_memory() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 1), np.uint8)
    split = Split(np.arange(5, dtype=np.int32), images, None, tuple("abcde"))
    batches = list(raw_batches(split, 3, 2))
    assert [len(labels) for _, labels in batches] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate([pixels for pixels, _ in batches]), np.repeat(images, 3, axis=-1))
    assert audit.unreadable(split) == []


def test_a_bad_file_is_named(tmp_path: Path) -> None:
    split = files(tmp_path)
    (tmp_path / "2.png").write_bytes(b"hello")
    with pytest.raises(DecodeError) as error:
        list(raw_batches(split, 3, 8))
    assert str(error.value) == f"{tmp_path / '2.png'}: not a JPEG, PNG, GIF, BMP or WebP image"


def test_audit_finds_every_bad_file(tmp_path: Path) -> None:
    split = files(tmp_path)
    (tmp_path / "1.png").write_bytes(b"hello")
    (tmp_path / "3.png").unlink()
    whole = (tmp_path / "4.png").read_bytes()
    (tmp_path / "4.png").write_bytes(whole[:40])
    seen = []
    problems = audit.unreadable(split, progress=lambda: seen.append(1))
    assert problems[0] == Problem(1, str(tmp_path / "1.png"), "not a JPEG, PNG, GIF, BMP or WebP image")
    assert problems[1] == Problem(3, str(tmp_path / "3.png"), "No such file or directory")
    assert (problems[2].index, problems[2].reason) == (4, "a PNG that is cut short")
    assert (len(problems), len(seen)) == (3, 6)
