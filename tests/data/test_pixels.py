"""Files of pixels are whole or not there, whatever happens while they are made."""

import errno
import resource
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kerasnets.data.pixels import PixelFile
from kerasnets.errors import UserError

SHAPE = (100, 8, 8, 3)
PIXELS = np.random.default_rng(0).random(SHAPE, np.float32)


def file(directory: Path, key: str = "a") -> PixelFile:
    return PixelFile.of(directory, key, SHAPE, len(PIXELS), PIXELS.dtype)


def rows() -> Iterator[tuple[int, np.ndarray]]:
    yield from enumerate(PIXELS)


def test_mapped_as_written_in_any_order(tmp_path: Path) -> None:
    found = file(tmp_path / "new" / "folder")
    assert not found.there
    found.make(reversed(list(rows())))
    assert found.there
    np.testing.assert_array_equal(found.mapped(), PIXELS)
    assert file(tmp_path / "new" / "folder", "b").path != found.path


def test_rows_that_are_left_out_take_no_space(tmp_path: Path) -> None:
    found = PixelFile.of(tmp_path, "a", (1000, 64, 64, 3), 1, PIXELS.dtype)
    found.make([(999, np.ones((64, 64, 3), np.float32))])
    assert found.there
    assert found.path.stat().st_blocks * 512 < found.path.stat().st_size / 100
    assert found.mapped()[999].all() and not found.mapped()[5].any()


def test_stopped_half_way_it_is_not_there_and_made_the_next_time(tmp_path: Path) -> None:
    def stopped() -> Iterator[tuple[int, np.ndarray]]:
        yield 0, PIXELS[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        file(tmp_path).make(stopped())
    assert not file(tmp_path).there
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 0
    file(tmp_path).make(rows())
    assert [path.suffix for path in tmp_path.iterdir()] == [".float32"]


def test_two_at_a_time_make_it_once(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> Iterator[tuple[int, np.ndarray]]:
        begun.set()
        assert go_on.wait(60)
        yield from rows()

    def never() -> Iterator[tuple[int, np.ndarray]]:
        raise AssertionError("made a second time")
        yield

    first = threading.Thread(target=file(tmp_path).make, args=(slow(),))
    first.start()
    assert begun.wait(60)
    failures: list[BaseException] = []

    def second() -> None:
        try:
            file(tmp_path).make(never())
        except BaseException as error:
            failures.append(error)

    waiting = threading.Thread(target=second)
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    go_on.set()
    first.join()
    waiting.join()
    assert failures == [] and file(tmp_path).there


def test_two_kinds_of_numbers_under_one_key_at_a_time(tmp_path: Path) -> None:
    levels = (PIXELS * 255).astype(np.uint8)
    rounded = PixelFile.of(tmp_path, "a", SHAPE, len(PIXELS), levels.dtype)
    other = threading.Thread(target=rounded.make, args=(enumerate(levels),))

    def meanwhile() -> Iterator[tuple[int, np.ndarray]]:
        other.start()
        other.join(5)
        yield from rows()

    file(tmp_path).make(meanwhile())
    other.join()
    np.testing.assert_array_equal(file(tmp_path).mapped(), PIXELS)
    np.testing.assert_array_equal(rounded.mapped(), levels)


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(UserError) as error:
            file(tmp_path).make(rows())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    reason = "File too large"  # what a limit says in place of "No space left on device"
    assert str(error.value) == f"data.cache_dir: {tmp_path}: {reason}; 0.1 MB are wanted"
    assert error.value.__cause__.errno == errno.EFBIG  # type: ignore[union-attr]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 0
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 30_000))  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="0.1 MB are wanted, 0.0 MB are free$"):
        file(tmp_path).make(rows())


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=f"^data.cache_dir: {tmp_path}/file/pixels: Not a directory; 0.1 MB are wanted"):
        file(tmp_path / "file" / "pixels").make(rows())
