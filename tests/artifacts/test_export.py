"""From a run to a published version, and what stops on the way."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from untrained import RESNET, make_run

from kerasnets.artifacts import command as export_command
from kerasnets.artifacts import store
from kerasnets.artifacts.export import Published, check_formats, export
from kerasnets.artifacts.golden import pictures
from kerasnets.artifacts.manifest import Manifest, check_compatible
from kerasnets.errors import CheckFailed, UserError
from kerasnets.run import Run


def command(*words: str | Path, code: int) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "kerasnets", *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def test_what_is_published(published: Published) -> None:
    assert published.path.name == "1"
    assert published.path.parent.name == "photos"
    files = {p.relative_to(published.path).as_posix() for p in published.path.rglob("*") if p.is_file()}
    kept = {"golden.json", *(f"golden/{name}" for name in (*pictures(), "pixels.npy", "image.npy", "bytes.npy"))}
    assert files == {"model.onnx", "preprocessing.json", "README.md", "manifest.json", *(f"assets/{n}" for n in kept)}
    assert set(published.files) == files - {"manifest.json"}
    beside = {p.name for p in published.path.parent.iterdir()}
    assert beside == {"1", "config.pbtxt", "labels.txt", "inferenceservice.yaml"}
    assert [p.name for p in published.path.parent.parent.iterdir()] == ["photos"]


def test_manifest(published: Published, photo_resnet: Run) -> None:
    document = json.loads((published.path / "manifest.json").read_text())
    assert list(document) == [
        *("schema", "name", "version", "created", "formats", "inputs", "outputs", "labels", "preprocessing"),
        *("calibration", "unknown_below", "metrics", "parity", "versions", "run", "files"),
    ]
    assert document["schema"] == 1
    assert document["inputs"] == {"image": {"image": {"dtype": "float32", "shape": [None, None, None, 3]}}}
    assert document["outputs"] == {"image": {"probabilities": {"dtype": "float32", "shape": [None, 4]}}}
    assert document["parity"] == published.parity
    assert document["parity"]["onnx"]["images"] == 8
    assert document["files"] == published.files == store.hashes(published.path)
    read = Manifest.read(published.path)
    assert read.config == photo_resnet.config
    assert read.skipped("validation") == frozenset()
    read.check_files()


def test_model_card(published: Published) -> None:
    card = (published.path / "README.md").read_text()
    assert [line for line in card.splitlines() if line.startswith("#")] == [
        *("# photos, version 1", "## Intended use", "## Classes", "## Metrics", "## Limits", "## Preprocessing"),
        *("## Inputs and outputs", "## Use"),
    ]
    assert "4, in order: `astronaut`, `chelsea`, `coffee`, `rocket`" in card
    assert "| image | input | `image` | float32 | [any, any, any, 3] |" in card
    assert "tensorflow/serving" not in card


def interface(channels: int = 3) -> dict[str, Any]:
    return {"image": {"inputs": {"image": {"dtype": "float32", "shape": [None, None, None, channels]}}}}


@pytest.mark.parametrize(
    ("labels", "channels", "formats", "message"),
    [
        (
            ("astronaut", "cat", "coffee", "rocket"),
            3,
            ("onnx",),
            "version 1 of photos has other classes (class 1 is 'chelsea', now 'cat'); publish it under a new --name",
        ),
        (
            ("astronaut", "chelsea"),
            3,
            ("onnx",),
            "version 1 of photos has other classes (4, now 2); publish it under a new --name",
        ),
        (
            ("astronaut", "chelsea", "coffee", "rocket"),
            1,
            ("onnx",),
            "version 1 of photos takes another input ({'dtype': 'float32', 'shape': [None, None, None, 3]}, now "
            "{'dtype': 'float32', 'shape': [None, None, None, 1]}); publish it under a new --name",
        ),
        (
            ("astronaut", "chelsea", "coffee", "rocket"),
            3,
            ("savedmodel",),
            "version 1 of photos has the format onnx, which Triton's config.pbtxt names; export it too, or publish it "
            "under a new --name",
        ),
    ],
)
def test_a_version_that_would_not_fit_is_refused(
    published: Published, labels: tuple[str, ...], channels: int, formats: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError) as error:
        check_compatible(published.path.parent, labels, interface(channels), formats)
    assert str(error.value) == message


def test_a_version_that_fits_is_allowed(published: Published) -> None:
    labels = ("astronaut", "chelsea", "coffee", "rocket")
    check_compatible(published.path.parent, labels, interface(), ("onnx", "savedmodel"))
    check_compatible(published.path.parent.parent / "new", ("a", "b"), interface(), ("onnx",))


def test_formats_are_checked() -> None:
    assert check_formats(["litert", "onnx", "onnx"]) == ("onnx", "litert")
    with pytest.raises(UserError, match="^--formats: no format 'savedmodl'; did you mean 'savedmodel'[?]$"):
        check_formats(["savedmodl"])
    with pytest.raises(UserError, match="^--formats: name at least one of savedmodel, onnx, "):
        check_formats([])


def test_a_changed_file_is_noticed(published: Published, tmp_path: Path) -> None:
    copy = shutil.copytree(published.path, tmp_path / "1")
    with (copy / "model.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(CheckFailed, match="model.onnx was changed since the version was published$"):
        Manifest.read(copy).check_files()


def test_a_manifest_of_another_schema(published: Published, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"schema": 2}')
    with pytest.raises(UserError, match="has schema 2; this kerasnets reads 1; it needs a later release$"):
        Manifest.read(tmp_path)


@pytest.mark.slow
def test_export_by_command(photo_resnet: Run, tmp_path: Path) -> None:
    done = command("export", photo_resnet.path, "--to", tmp_path, "--name", "n", "--version", "4", "--json", code=0)
    document = json.loads(done.stdout)
    assert document["schema"] == 1
    assert document["path"] == str(tmp_path / "n" / "4")
    assert set(document["parity"]) == {"savedmodel", "onnx"}
    assert {"saved_model.pb", "assets/labels.txt", "model.onnx"} <= set(document["files"])
    text = command("export", photo_resnet.path, "--to", tmp_path, "--name", "n", "--formats", "onnx", code=0).stdout
    assert f"verified on 8 validation images; published: {tmp_path}/n/5" in text
    assert text.endswith(f"try: kerasnets predict {tmp_path}/n IMAGE\n")


def test_what_can_be_tried_after_an_export(
    published: Published, photo_resnet: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(published, parity={"litert": published.parity["onnx"]})
    monkeypatch.setattr(export_command, "publish", lambda *_, **__: other)
    done = CliRunner().invoke(export_command.export, [str(photo_resnet.path)], catch_exceptions=False)
    assert done.stdout.endswith(f"try: kerasnets verify {published.path}\n")


@pytest.mark.slow
def test_a_refused_export_leaves_nothing(photos: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", photos, RESNET)
    run.write_json("metrics.json", {"validation": {"accuracy": 1.0}})
    done = command("export", run.path, "--to", tmp_path / "store", "--formats", "onnx", code=3)
    assert done.stdout == ""
    assert "Refused: onnx: accuracy: " in done.stderr
    assert "metrics.json says 1.0000" in done.stderr
    assert list((tmp_path / "store").iterdir()) == []


@pytest.mark.slow
def test_an_export_that_is_killed_leaves_whole_versions_or_nothing(photo_resnet: Run, tmp_path: Path) -> None:
    draw, model = random.Random(1), tmp_path / "photos"
    line = [sys.executable, "-m", "kerasnets", "export", str(photo_resnet.path), "--to", str(tmp_path)]
    for _ in range(5):
        process = subprocess.Popen([*line, "--formats", "onnx"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not list(model.glob(".incoming-*")) and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 8))
        process.send_signal(signal.SIGKILL)
        process.wait()
        for version in (p for p in model.iterdir() if p.name.isdecimal()):
            Manifest.read(version).check_files()
            assert (model / "config.pbtxt").is_file() and (model / "labels.txt").is_file()
    before = store.versions(model)
    assert export(photo_resnet, to=tmp_path, formats=["onnx"]).path == model / str(max(before, default=0) + 1)
    assert list(tmp_path.rglob(".*")) == []
