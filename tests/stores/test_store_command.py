"""`kerasnets store`: what there is, what may go, going back; nothing but versions is ever deleted or changed."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from made_versions import publish

from kerasnets.artifacts import store as layout
from kerasnets.artifacts.kit import beside
from kerasnets.artifacts.manifest import Manifest
from kerasnets.errors import CheckFailed, UserError
from kerasnets.stores.command import store
from kerasnets.stores.rollback import rollback


def call(*words: object) -> Result:
    return CliRunner().invoke(store, [str(word) for word in words], catch_exceptions=False)


def said(*words: object) -> Any:
    return json.loads(call(*words, "--json").stdout)


def age(version: Path, days: float) -> None:
    """Have a version look as if published so many days ago."""
    from datetime import UTC, datetime, timedelta

    document = json.loads((version / "manifest.json").read_text())
    document["created"] = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="seconds")
    (version / "manifest.json").write_text(json.dumps(document))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store with three versions of one model, one of another, and what is no version."""
    home = tmp_path / "store"
    for days in (20, 10, 0):
        age(publish(home, name="digits"), days)
    publish(home, name="photos")
    (home / "digits" / "7").mkdir()
    (home / "digits" / "7" / "weights").write_bytes(b"x" * 10)
    (home / "digits" / "2" / "manifest.json").write_text("{")
    (home / "digits" / ".incoming-abc").mkdir()
    (home / "photos" / "9").mkdir()
    shutil.copy(home / "photos" / "1" / "manifest.json", home / "photos" / "9")
    (home / "garbage").mkdir()
    (home / "two words").mkdir()
    (home / "file").write_text("")
    return home


def test_list_shows_what_is_there_and_what_is_wrong_with_it(root: Path) -> None:
    rows = {Path(row["path"]).relative_to(root).as_posix(): row for row in said("list", root)["versions"]}
    assert {name: row["state"] for name, row in rows.items()} == {
        "digits/1": "published",
        "digits/2": f"unreadable: {root}/digits/2/manifest.json is damaged: EOF while parsing an object at line 1 "
        "column 1",
        "digits/3": "served",
        "digits/7": "no version: it has no manifest.json",
        "digits/.incoming-abc": "left behind by a process that was killed",
        "garbage": "no model: it holds no version",
        "photos/1": "published",
        "photos/9": "misplaced: its manifest says photos, version 1",
        "two words": "no model: its name has other characters than letters, digits, dot, dash, underscore",
    }
    newest = rows["digits/3"]
    assert (newest["formats"], newest["accuracy"], newest["version"]) == (["savedmodel", "onnx"], 0.53, 3)
    assert newest["bytes"] == sum(p.stat().st_size for p in (root / "digits" / "3").rglob("*") if p.is_file())
    assert rows["digits/1"]["age_days"] == pytest.approx(20, abs=0.01)
    assert rows["digits/7"]["bytes"] == 10


def test_list_as_a_table(root: Path) -> None:
    lines = [line.split() for line in call("list", root).stdout.splitlines()]
    assert lines[0] == ["name", "version", "formats", "size", "accuracy", "created", "age", "state"]
    (first,) = [line for line in lines if line[:2] == ["digits", "1"]]
    assert first[2:7] == ["savedmodel,", "onnx", "0.0", "MB", "51.00%"] and first[-3:] == ["20", "days", "published"]


def test_a_directory_that_cannot_be_read_is_listed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> list[int]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("kerasnets.stores.summary._inside", refused)
    assert {row["state"] for row in said("list", root)["versions"][:3]} == {"unreadable: Permission denied"}


def test_manifests_of_somebody_else_are_refused_in_a_sentence(tmp_path: Path) -> None:
    publish(tmp_path), publish(tmp_path)
    path = tmp_path / "m" / "2" / "manifest.json"
    document = json.loads(path.read_text())
    document["run"]["config"] = {"data": "x", "model": 3}
    path.write_text(json.dumps(document))
    assert "None, trained on None" in call("show", tmp_path / "m").stdout
    document["outputs"]["image"] = {'a" }': {"dtype": "float32", "shape": [None, 3]}}
    path.write_text(json.dumps(document))
    call("prune", tmp_path, "--keep", "1", "--yes")
    assert 'name: "a\\" }"' in (tmp_path / "m" / "config.pbtxt").read_text()
    document["outputs"]["image"] = {"a": {"dtype": "complex64", "shape": [None, 3]}}
    path.write_text(json.dumps(document))
    with pytest.raises(UserError, match="^config.pbtxt: 'a' is of complex64; exports have float32, "):
        beside.refresh(tmp_path / "m")
    del document["outputs"]
    path.write_text(json.dumps(document))
    with pytest.raises(UserError, match="2/manifest.json is damaged: there is no outputs$"):
        call("show", tmp_path / "m")


def test_list_of_an_empty_store(tmp_path: Path) -> None:
    assert call("list", tmp_path).stdout == f"no models in {tmp_path}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["list", "{root}/no"], "no model store {root}/no"),
        (["list", "{root}x"], "no model store {root}x; did you mean 'store'?"),
        (["list", "{root}/digits"], "{root}/digits is a model itself; name the store that holds it, {root}"),
        (["list", "{root}/digits/1"], "{root}/digits/1 is a model itself; name the store that holds it, {root}"),
        (["lst"], "no command 'lst'; did you mean 'list'?; see `kerasnets --help`"),
        (["show", "{root}/digit"], "model {root}/digit does not exist; did you mean 'digits'?"),
        (["show", "{root}/digits/5"], "model {root}/digits has no version 5; it has 1, 2, 3"),
        (["prune", "{root}"], "say which versions may go: --keep N, --older-than DAYS or --leftovers"),
        (
            ["prune", "{root}", "--name", "photo", "--keep", "1"],
            "store {root} has no model 'photo'; did you mean 'photos'?",
        ),
        (["rollback", "digts", "--store", "{root}"], "store {root} has no model 'digts'; did you mean 'digits'?"),
        (
            ["rollback", "digits", "--to", "4", "--store", "{root}"],
            "model {root}/digits has no version 4; it has 1, 2, 3",
        ),
        (
            ["rollback", "digits", "--to", "3", "--store", "{root}"],
            "version 3 of digits is what is served now, as version 3",
        ),
        (
            ["rollback", "zebra", "--store", "{root}"],
            "store {root} has no model 'zebra'; it has digits, garbage, photos, two words",
        ),
    ],
)
def test_wrong_input(root: Path, words: list[str], message: str) -> None:
    with pytest.raises(UserError) as error:
        call(*(word.format(root=root) for word in words))
    assert str(error.value) == message.format(root=root)


def test_show(root: Path) -> None:
    text = call("show", root / "digits").stdout
    assert f"digits, version 3: {root}/digits/3" in text
    assert "3 classes: a, b, c" in text and "validation: accuracy 0.5300" in text
    assert "image     input   image          float32  [any, any, any, 3]" in text
    assert "model.onnx" in text
    document = said("show", root / "digits" / "3")
    assert document["manifest"]["version"] == 3 and document["sizes"]["model.onnx"] == len("onnx 3")
    assert f"files: {root}/digits/3: README.md" not in text
    (root / "digits" / "3" / "model.onnx").write_text("other")
    (root / "digits" / "config.pbtxt").unlink()
    text = call("show", root / "digits").stdout
    assert f"files: {root}/digits/3: model.onnx was changed since the version was published" in text
    assert "beside it: config.pbtxt missing or out of date" in text


def left(root: Path) -> set[str]:
    return {p.relative_to(root).as_posix() for p in (*root.glob("*/*"), *root.glob("*/.*")) if p.is_dir()}


def test_prune_shows_first_and_deletes_then(root: Path) -> None:
    before = left(root)
    text = call("prune", root, "--keep", "1").stdout
    assert f"{root}/digits/1  0.0 MB  not among the newest 1" in text and text.endswith("add --yes to delete them\n")
    assert left(root) == before
    document = said("prune", root, "--keep", "1", "--yes")
    assert [Path(row["path"]).name for row in document["versions"]] == ["1"] and document["deleted"]
    assert before - left(root) == {"digits/1"}  # photos/1 is its only one; what was left behind was not named


def test_prune_by_age_keeps_what_is_served(root: Path) -> None:
    age(root / "digits" / "3", 40)
    rows = said("prune", root, "--older-than", "15", "--name", "digits")["versions"]
    assert [(Path(row["path"]).name, row["reason"]) for row in rows] == [("1", "published 20 days ago")]


def test_prune_deletes_nothing_where_the_highest_version_is_damaged(root: Path) -> None:
    publish(root, name="digits")
    (root / "digits" / "8" / "manifest.json").write_text("{")
    with pytest.raises(UserError, match="digits/8/manifest.json is damaged"):
        call("prune", root, "--keep", "1", "--yes")
    assert (root / "digits" / "1").is_dir()


def test_prune_of_leftovers(root: Path) -> None:
    assert call("prune", root, "--leftovers", "--yes").stdout.endswith("1 of 9 deleted; that made 0.0 MB of room\n")
    assert not (root / "digits" / ".incoming-abc").exists() and (root / "digits" / "7").is_dir()


def test_prune_follows_no_links(root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    shutil.move(root / "digits" / "1", tmp_path / "elsewhere" / "1")
    os.symlink(tmp_path / "elsewhere" / "1", root / "digits" / "1")
    assert said("prune", root, "--keep", "1", "--name", "digits", "--yes")["versions"] == []
    assert (tmp_path / "elsewhere" / "1" / "model.onnx").is_file()


def test_prune_waits_for_an_export_of_the_model(root: Path) -> None:
    with layout.incoming(root, "digits"):
        assert "being written" in call("list", root).stdout
        thread = threading.Thread(target=call, args=("prune", root, "--name", "digits", "--keep", "1", "--yes"))
        thread.start()
        time.sleep(0.2)
        assert (root / "digits" / "1").is_dir()
    thread.join(10)
    assert not (root / "digits" / "1").exists()


def test_rollback_publishes_the_old_version_again(tmp_path: Path) -> None:
    old, new = publish(tmp_path), publish(tmp_path)
    before = {p.name: p.read_bytes() for p in old.iterdir() if p.is_file()}
    text = call("rollback", "m", "--store", tmp_path).stdout
    assert text == f"published: {tmp_path}/m/3, which is version 1 of m again\n"
    made = Manifest.read(tmp_path / "m" / "3")
    made.check_files()
    assert (made.document["version"], made.document["rollback_of"]) == (3, 1)
    assert (tmp_path / "m" / "3" / "model.onnx").read_text() == "onnx 1"
    assert os.path.samefile(old / "model.onnx", tmp_path / "m" / "3" / "model.onnx")
    assert (tmp_path / "m" / "3" / "assets" / "labels.txt").is_file()
    card = (tmp_path / "m" / "3" / "README.md").read_text()
    assert card.startswith("# m, version 3\n\n> This is version 1, published again as version 3")
    assert {p.name: p.read_bytes() for p in old.iterdir() if p.is_file()} == before
    Manifest.read(new).check_files()
    assert said("list", tmp_path)["versions"][-1]["state"] == "served"
    assert "served; is version 1" in call("list", tmp_path).stdout
    assert beside.outdated(tmp_path / "m") == []


def test_rollback_again_goes_further_back(tmp_path: Path) -> None:
    for _ in range(3):
        publish(tmp_path)
    numbers = [rollback(tmp_path / "m").document["rollback_of"] for _ in range(2)]
    assert numbers == [2, 1]
    with pytest.raises(UserError, match="^version 1 of m is the oldest there is: there is none to go back to$"):
        rollback(tmp_path / "m")
    assert rollback(tmp_path / "m", 4).document["rollback_of"] == 2  # 4 is 2 again
    with pytest.raises(UserError, match="^version 2 of m is what is served now, as version 6$"):
        rollback(tmp_path / "m", 2)
    publish(tmp_path)
    assert rollback(tmp_path / "m").document["rollback_of"] == 2


def test_a_copy_outlives_its_original(tmp_path: Path) -> None:
    publish(tmp_path), publish(tmp_path)
    rollback(tmp_path / "m")
    gone = sum(p.stat().st_size for p in (tmp_path / "m" / "2").rglob("*") if p.is_file())
    own = sum(p.stat().st_size for p in (tmp_path / "m" / "1").rglob("*") if p.is_file() and p.stat().st_nlink == 1)
    assert said("prune", tmp_path, "--keep", "1", "--yes")["bytes"] == gone + own
    assert layout.versions(tmp_path / "m") == [3]
    Manifest.read(tmp_path / "m" / "3").check_files()


def test_rollback_without_hard_links_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: Any, **kwargs: Any) -> None:
        raise OSError(1, "Operation not permitted")

    publish(tmp_path), publish(tmp_path)
    monkeypatch.setattr(os, "link", refused)
    made = rollback(tmp_path / "m")
    made.check_files()
    assert not os.path.samefile(tmp_path / "m" / "1" / "model.onnx", made.directory / "model.onnx")


def test_rollback_to_a_version_that_was_changed_is_refused(tmp_path: Path) -> None:
    old = publish(tmp_path)
    publish(tmp_path)
    (old / "model.onnx").write_text("other")
    with pytest.raises(CheckFailed, match="m/1: model.onnx was changed since the version was published$"):
        rollback(tmp_path / "m")
    assert layout.versions(tmp_path / "m") == [1, 2] and list(tmp_path.rglob(".*")) == []


def test_rollback_to_a_version_that_triton_could_not_load_is_refused(tmp_path: Path) -> None:
    publish(tmp_path, formats=("savedmodel",))
    publish(tmp_path)
    with pytest.raises(UserError, match="^version 1 cannot be published again: version 2 of m has the format onnx"):
        rollback(tmp_path / "m")


def test_rollback_turns_the_config_back(tmp_path: Path) -> None:
    publish(tmp_path)
    publish(tmp_path, "unknown")
    assert '"unknown"' in (tmp_path / "m" / "config.pbtxt").read_text()
    rollback(tmp_path / "m")
    assert '"unknown"' not in (tmp_path / "m" / "config.pbtxt").read_text()


ROLL_BACK_FOR_EVER = """
import sys
from pathlib import Path
from kerasnets.stores.rollback import rollback
model = Path(sys.argv[1])
while True:
    for to in (1, 2):
        print(rollback(model, to).directory, flush=True)
"""


def test_a_rollback_that_is_killed_leaves_whole_versions_or_nothing(tmp_path: Path) -> None:
    publish(tmp_path), publish(tmp_path), publish(tmp_path)
    draw, model = random.Random(3), tmp_path / "m"
    for _ in range(3):
        line = [sys.executable, "-c", ROLL_BACK_FOR_EVER, str(model)]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(draw.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        for version in layout.versions(model):
            Manifest.read(model / str(version)).check_files()
        publish(tmp_path)
    assert beside.outdated(model) == [] and list(tmp_path.rglob(".*")) == []


def test_no_model_is_called_as_the_list_of_models_is(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="^model name 'models.config': a store has a file of that name"):
        publish(tmp_path, name="models.config")
