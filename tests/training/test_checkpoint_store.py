import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kerasnets.durable import replacing
from kerasnets.training.checkpoint import store
from kerasnets.training.checkpoint.store import ARRAYS, BEST, SUMS, VALUES, Damaged, Saved, Store, read

ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)


def saved(epoch: int = 0, step: int = 7, batch: int = 0, **values: Any) -> Saved:
    return Saved(epoch, batch, step, {"net/a": ARRAY + step, "net/count": np.array(step)}, {"stopped": False, **values})


def usable(found: Saved) -> None:
    """Every checkpoint will do."""


def newest(directory: Path) -> tuple[int, list[str]]:
    """Return the step of the checkpoint that would be used, and what was said."""
    said: list[str] = []
    found = Store(directory).newest(usable, said.append)
    assert found is not None
    return found[1].step, said


def test_what_is_written_is_read(tmp_path: Path) -> None:
    best = tmp_path / "model.keras"
    best.write_bytes(b"weights")
    path = Store(tmp_path / "checkpoints").write(saved(3, 120, 5, files={"history.csv": 10}), best)
    assert path.name == "epoch-0003-step-000000120"
    assert {entry.name for entry in path.iterdir()} == {ARRAYS, VALUES, BEST, SUMS}
    found = read(path)
    assert (found.epoch, found.batch, found.step) == (3, 5, 120)
    assert found.values == {"stopped": False, "files": {"history.csv": 10}}
    np.testing.assert_array_equal(found.arrays["net/a"], ARRAY + 120)
    assert found.arrays["net/count"].shape == () and found.arrays["net/count"] == 120
    assert os.path.samefile(path / BEST, best)
    subprocess.run(["sha256sum", "--check", "--strict", SUMS], cwd=path, check=True, capture_output=True)


def test_two_are_kept_the_newest(tmp_path: Path) -> None:
    checkpoints = Store(tmp_path)
    assert checkpoints.newest(usable, print) is None
    for epoch, step in ((0, 900), (1, 1000), (10, 10_000), (2, 2000)):
        checkpoints.write(saved(epoch, step))
    assert [read(path).step for path in checkpoints.paths()] == [2000, 10_000]
    checkpoints.write(saved(10, 10_000, batch=3))
    assert newest(tmp_path) == (10_000, []) and read(checkpoints.paths()[-1]).batch == 3


@pytest.mark.parametrize("name", [ARRAYS, VALUES, BEST, SUMS])
@pytest.mark.parametrize("damage", ["bit", "cut", "gone", "link"])
def test_the_one_before_is_used_where_one_is_damaged(name: str, damage: str, tmp_path: Path) -> None:
    best = tmp_path / "model.keras"
    best.write_bytes(b"weights")
    checkpoints = Store(tmp_path / "checkpoints")
    checkpoints.write(saved(0, 1), best)
    file = checkpoints.write(saved(0, 2), best) / name
    content = file.read_bytes()
    file.unlink()
    if damage == "bit":
        file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    elif damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "link":
        (tmp_path / "elsewhere").write_bytes(content)
        file.symlink_to(tmp_path / "elsewhere")
    step, said = newest(checkpoints.directory)
    assert step == 1
    assert len(said) == 1 and said[0].startswith("checkpoint epoch-0000-step-000000002 is damaged: ")
    assert said[0].endswith("; going on from epoch-0000-step-000000001")


def test_when_all_are_damaged_nothing_is_used(tmp_path: Path) -> None:
    checkpoints = Store(tmp_path)
    for step in (1, 2):
        (checkpoints.write(saved(0, step)) / ARRAYS).write_bytes(b"")
    with pytest.raises(Damaged, match=f"step-000000002 is damaged: {ARRAYS} is not what was written; .*step-000000001"):
        newest(tmp_path)


def test_a_later_schema_is_told(tmp_path: Path) -> None:
    path = Store(tmp_path).write(saved())
    document = json.loads((path / VALUES).read_text()) | {"schema": 2}
    (path / VALUES).write_text(json.dumps(document))
    sums = [f"{store.sha256(path / name)}  {name}\n" for name in (ARRAYS, VALUES)]
    (path / SUMS).write_text("".join(sums))
    with pytest.raises(Damaged, match="has schema 2; this kerasnets reads 1"):
        read(path)


def test_what_a_kill_left_is_no_checkpoint(tmp_path: Path) -> None:
    checkpoints = Store(tmp_path)
    checkpoints.write(saved(0, 1))
    shutil.copytree(checkpoints.paths()[0], tmp_path / ".epoch-0000-step-000000002.tmp")
    assert newest(tmp_path) == (1, [])
    checkpoints.write(saved(0, 2))
    assert newest(tmp_path) == (2, [])
    first = checkpoints.paths()[0]
    (tmp_path / ".epoch-0000-step-000000003.tmp").mkdir()
    checkpoints.clear(but=first)
    assert list(tmp_path.iterdir()) == [first]


def test_a_write_that_fails_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = Store(tmp_path)
    checkpoints.write(saved(0, 1))

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(store, "sync", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.write(saved(0, 2))
    assert newest(tmp_path) == (1, [])


def test_without_hard_links_the_best_weights_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(source: Path, target: Path) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    best = tmp_path / "model.keras"
    best.write_bytes(b"weights")
    path = Store(tmp_path / "checkpoints").write(saved(), best)
    assert (path / BEST).read_bytes() == b"weights" and not os.path.samefile(path / BEST, best)


def test_replacing_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_text("old")
    (tmp_path / ".model.keras.tmp.keras").write_text("left by a kill")
    with pytest.raises(RuntimeError), replacing(path) as aside:
        aside.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with replacing(path) as aside:
        aside.write_text("new")
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]
