"""Versions are published whole or not at all, and never changed."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from kerasnets.artifacts import store
from kerasnets.errors import CheckFailed, UserError


def publish(root: Path, name: str = "m", version: int | None = None, **files: str) -> Path:
    with store.incoming(root, name, version) as incoming:
        for file, text in (files or {"weights": "w"}).items():
            (incoming.directory / file).write_text(text)
        (incoming.directory / store.MANIFEST).write_text(json.dumps({"files": store.hashes(incoming.directory)}))
        return incoming.publish()


def test_versions_count_up_past_the_highest(tmp_path: Path) -> None:
    assert [publish(tmp_path).name, publish(tmp_path, version=7).name, publish(tmp_path).name] == ["1", "7", "8"]
    assert store.versions(tmp_path / "m") == [1, 7, 8]
    assert sorted(p.name for p in tmp_path.rglob("*") if p.name.startswith(".")) == []


def test_a_version_is_never_changed(tmp_path: Path) -> None:
    publish(tmp_path, weights="first")
    with pytest.raises(UserError) as error:
        publish(tmp_path, version=1, weights="second")
    message = f"{tmp_path}/m has a version 1, and a version is never changed; the next one is 2"
    assert str(error.value) == message
    assert (tmp_path / "m" / "1" / "weights").read_text() == "first"


def test_a_directory_without_manifest_takes_its_number_but_is_no_version(tmp_path: Path) -> None:
    (tmp_path / "m" / "4").mkdir(parents=True)
    assert store.versions(tmp_path / "m") == []
    assert publish(tmp_path).name == "5"


@pytest.mark.parametrize(
    ("name", "version", "message"),
    [
        (
            "a/b",
            None,
            "model name 'a/b': use letters, digits, dot, dash and underscore, a letter or digit first",
        ),
        (".a", None, "model name '.a': use letters, digits, dot, dash and underscore, a letter or digit first"),
        ("m", 0, "version 0: versions are 1, 2, 3 …"),
    ],
)
def test_wrong_names_and_versions(tmp_path: Path, name: str, version: int | None, message: str) -> None:
    with pytest.raises(UserError) as error:
        publish(tmp_path, name, version)
    assert str(error.value) == message
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=f"^model store: {tmp_path}/file cannot be made: File exists$"):
        publish(tmp_path / "file")


def test_what_is_not_published_is_gone(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed), store.incoming(tmp_path, "m") as incoming:
        (incoming.directory / "weights").write_text("w")
        raise CheckFailed("refused")
    assert list(tmp_path.iterdir()) == []


def test_other_users_may_read_a_version(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        assert publish(tmp_path).stat().st_mode & 0o777 == 0o755
    finally:
        os.umask(before)


def test_a_second_export_of_a_name_waits_for_the_first(tmp_path: Path) -> None:
    order = []

    def second() -> None:
        order.append(publish(tmp_path).name)

    with store.incoming(tmp_path, "m") as incoming:
        (incoming.directory / store.MANIFEST).write_text("{}")
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.2)
        order.append(incoming.publish().name)
    thread.join(10)
    assert order == ["1", "2"]


def test_files_are_compared_with_their_hashes(tmp_path: Path) -> None:
    version = publish(tmp_path, a="1", b="2", c="3")
    expected = json.loads((version / store.MANIFEST).read_text())["files"]
    assert expected["a"] == "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"  # sha256 of "1"
    store.compare(version, expected)
    (version / "a").write_text("one")
    with pytest.raises(CheckFailed, match=f"^{version}: a was changed since the version was published$"):
        store.compare(version, expected)
    (version / "a").unlink()
    with pytest.raises(CheckFailed, match="a is missing since"):
        store.compare(version, expected)
    (version / "a").write_text("1")
    (version / "d").write_text("4")
    with pytest.raises(CheckFailed, match="d was added since"):
        store.compare(version, expected)


def test_resolve(tmp_path: Path) -> None:
    publish(tmp_path, "digits")
    publish(tmp_path, "digits", 10)
    assert store.resolve(tmp_path / "digits") == tmp_path / "digits" / "10"
    assert store.resolve(tmp_path / "digits" / "1") == tmp_path / "digits" / "1"


def test_resolve_says_what_is_there(tmp_path: Path) -> None:
    publish(tmp_path, "digits")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("")
    messages = {
        "digit": f"model {tmp_path}/digit does not exist; did you mean 'digits'?",
        "digits/3": f"model {tmp_path}/digits has no version 3; it has 1",
        "": f"{tmp_path} is a model store; name one of its models: digits",
        "run": f"{tmp_path}/run is a run, not an exported model; `kerasnets export {tmp_path}/run` makes one of it",
    }
    for word, message in messages.items():
        with pytest.raises(UserError) as error:
            store.resolve(tmp_path / word)
        assert str(error.value) == message


PUBLISH_FOR_EVER = """
import json, os, sys
from pathlib import Path
from kerasnets.artifacts import store
while True:
    with store.incoming(Path(sys.argv[1]), "m") as incoming:
        for number in range(5):
            (incoming.directory / str(number)).write_bytes(os.urandom(20000))
        (incoming.directory / store.MANIFEST).write_text(json.dumps({"files": store.hashes(incoming.directory)}))
        incoming.publish()
    print("published", flush=True)
"""


def test_killed_at_any_moment_the_store_holds_whole_versions_or_nothing(tmp_path: Path) -> None:
    draw = random.Random(5)
    interrupted = 0
    for _ in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", PUBLISH_FOR_EVER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(draw.uniform(0, 0.02))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        model = tmp_path / "m"
        interrupted += bool(list(model.glob(".incoming-*")))
        for version in (p for p in model.iterdir() if p.name.isdecimal()):
            files = json.loads((version / store.MANIFEST).read_text())["files"]
            assert len(files) == 5
            store.compare(version, files)
    assert interrupted, "no kill fell within a publication: the test shows nothing"
    before = store.versions(model)
    assert publish(tmp_path).name == str(before[-1] + 1)
    assert list(model.glob(".*")) == [] and list(tmp_path.glob(".*")) == []
