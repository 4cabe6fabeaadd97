"""Files by number: read the same by Python and in a graph, wherever they lie and whatever they are called."""

import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from kerasnets.data.encoded import Files
from kerasnets.data.strings import Strings

NAMES = ("a b.png", "below/Ä\n.png", "\udcff.png", "../outside.png")


@pytest.fixture
def files(tmp_path: Path) -> Files:
    root = tmp_path / "root \udcfe"
    (root / "below").mkdir(parents=True)
    absolute = str(tmp_path / "absolute.png")
    for number, name in enumerate((*NAMES, absolute)):
        (root / name).write_bytes(b"%d" % number * (number + 1))
    return Files(os.fspath(root), Strings.of((*NAMES, absolute)))


def test_both_readers_read_the_same(files: Files) -> None:
    read = files.reader()
    for index in range(5):
        content = b"%d" % index * (index + 1)
        assert files.read(index) == read(tf.constant(index, tf.int64)).numpy() == content
        assert files.path(index).read_bytes() == content
    assert files.sizes(np.arange(5)).tolist() == [1, 2, 3, 4, 5]


def test_relative_to_the_working_directory(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files.root)
    here = Files("", files.names)
    assert here.read(1) == here.reader()(tf.constant(1, tf.int64)).numpy() == b"11"
    assert here.fingerprint(np.arange(5)) == files.fingerprint(np.arange(5))


def test_the_fingerprint_changes_with_any_of_the_files_alone(files: Files) -> None:
    some = np.array([0, 2])
    before = files.fingerprint(some)
    files.path(1).write_bytes(b"other")
    assert files.fingerprint(some) == before == files.take(some).fingerprint(np.arange(2))
    assert files.fingerprint(some[::-1]) != before
    os.utime(files.path(2), ns=(1, 1))
    assert files.fingerprint(some) != before
    gone = files.fingerprint(some)
    files.path(2).unlink()
    assert files.fingerprint(some) != gone
