"""`kerasnets verify` on versions that are whole, and on ones that were changed after they were published."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kerasnets.artifacts import store
from kerasnets.artifacts.audit.artefact import _unknown
from kerasnets.artifacts.audit.version import audit
from kerasnets.artifacts.export import Published
from kerasnets.artifacts.formats import FORMATS
from kerasnets.artifacts.manifest import Manifest
from kerasnets.errors import UserError


def rewritten(published: Published, path: Path, change: Callable[[Path, dict[str, Any]], object]) -> Manifest:
    """Return a copy that was changed together with its manifest, so that all files have the hashes it names."""
    copy = shutil.copytree(published.path, path)
    document = json.loads((copy / store.MANIFEST).read_text())
    change(copy, document)
    document["files"] = store.hashes(copy)
    (copy / store.MANIFEST).write_text(json.dumps(document))
    return Manifest.read(copy)


def failures(manifest: Manifest, formats: list[str] | None = None) -> list[str]:
    return [check.sentence() for check in audit(manifest, formats) if not check.ok]


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "kerasnets", "verify", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)


def test_a_published_version_holds(published: Published) -> None:
    done = run(published.path.parent, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert list(document) == ["schema", "path", "release", "ok", "checks"]
    assert document["ok"]
    assert [(check["check"], check["format"], check["ok"]) for check in document["checks"]] == [
        ("files", None, True),
        ("golden pixels", None, True),
        *((name, "onnx", True) for name in ("opens", "inputs and outputs", "class names", "golden images")),
    ]


def test_a_difference_ends_with_code_3_and_is_named(published: Published, tmp_path: Path) -> None:
    copy = shutil.copytree(published.path, tmp_path / "1")
    with (copy / "model.onnx").open("ab") as file:
        file.write(b"x")
    done = run(copy)
    assert done.returncode == 3
    assert "FAILED" in done.stdout
    assert "model.onnx was changed since the version was published" in done.stderr
    assert failures(Manifest.read(copy))[1] == (
        "all else: not checked, because files differ from those published; what they hold now was not opened"
    )


def other_answers(copy: Path, document: dict[str, Any]) -> None:
    path = copy / "assets" / "golden" / "image.npy"
    probabilities = np.load(path)
    probabilities[3] += np.float32(0.01)
    np.save(path, probabilities)


def other_pixels(copy: Path, document: dict[str, Any]) -> None:
    path = copy / "assets" / "golden" / "pixels.npy"
    pixels = np.load(path)
    pixels[5, 0, 0] = 255 - pixels[5, 0, 0]
    np.save(path, pixels)


def other_weights(copy: Path, document: dict[str, Any]) -> None:
    import onnx

    model = onnx.load(copy / "model.onnx")
    kernel = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 4 and tensor.raw_data)
    kernel.raw_data = (np.frombuffer(kernel.raw_data, np.float32) * np.float32(1.5)).tobytes()
    onnx.save(model, copy / "model.onnx")


def not_a_picture(copy: Path, document: dict[str, Any]) -> None:
    (copy / "assets" / "golden" / "mode-l.png").write_bytes(b"text")


def other_label(copy: Path, document: dict[str, Any]) -> None:
    document["labels"][0] = "moon"


def other_input(copy: Path, document: dict[str, Any]) -> None:
    document["inputs"]["image"]["image"]["shape"] = [1, None, None, 3]


def other_output(copy: Path, document: dict[str, Any]) -> None:
    import onnx

    model = onnx.load(copy / "model.onnx")
    model.graph.output[0].name = "scores"
    for node in model.graph.node:
        node.output[:] = ["scores" if name == "probabilities" else name for name in node.output]
    onnx.save(model, copy / "model.onnx")


def another_class(copy: Path, document: dict[str, Any]) -> None:
    document["outputs"]["image"]["probabilities"]["shape"] = [None, 5]


def no_unknown(copy: Path, document: dict[str, Any]) -> None:
    document["unknown_below"] = 0.5


def newer_format(copy: Path, document: dict[str, Any]) -> None:
    document["formats"].append("tensorrt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_answers, "onnx: golden images: 0.01 for mode-l-16-bits.png; at most 0.001, the same top-1"),
        (other_pixels, "golden pixels: "),
        (other_weights, "onnx: golden images: "),
        (not_a_picture, "golden pixels: cannot be decoded here: mode-l.png: not a JPEG, PNG, GIF, BMP or WebP image"),
        (other_label, "onnx: class names: ['astronaut', 'chelsea', 'coffee', 'rocket']; the manifest says ['moon', "),
        (other_input, "onnx: inputs and outputs: "),
        (other_output, "onnx: inputs and outputs: {'image': {'inputs': {'image': "),
        (another_class, "onnx: inputs and outputs: "),
        (no_unknown, "onnx: runs: gives no 'unknown'"),
        (newer_format, "tensorrt: opens: this kerasnets does not know the format; 0.1.0 wrote it"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_was_changed_with_its_hash_is_named(
    published: Published, tmp_path: Path, change: Callable[[Path, dict[str, Any]], object], message: str
) -> None:
    found = failures(rewritten(published, tmp_path / "1", change))
    assert len(found) == 1
    assert found[0].startswith(message)


def test_a_manifest_that_says_nothing_of_an_output(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = rewritten(published, tmp_path / "1", lambda _, document: document["inputs"].update(bytes={}))
    monkeypatch.setattr(FORMATS["onnx"], "ENDPOINTS", ("image", "bytes"))
    (found,) = failures(manifest)
    assert found.startswith("onnx: inputs and outputs: ") and found.endswith("'bytes': {'inputs': {}, 'outputs': {}}}")
    with pytest.raises(UserError, match="manifest.json is damaged: there is no outputs$"):
        failures(rewritten(published, tmp_path / "2", lambda _, document: document.pop("outputs")))


def test_a_format_that_cannot_be_run_here_is_a_failed_check_unless_left_out(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FORMATS["onnx"], "NEEDS", ("no_such_runtime", "onnx"))
    assert failures(Manifest.read(published.path)) == [
        "onnx: opens: needs no-such-runtime, which is not installed here; install it with: pip install "
        "'kerasnets[onnx]', or name the other formats with --formats"
    ]
    with pytest.raises(UserError, match="^--formats: .* holds onnx, not onx; did you mean 'onnx'[?]$"):
        failures(Manifest.read(published.path), ["onx"])


def test_unknown_that_is_not_what_the_probabilities_say_is_a_failed_check() -> None:
    probabilities = np.array([[0.4, 0.3, 0.3], [0.1, 0.8, 0.1]], np.float32)
    right = _unknown(FORMATS["onnx"], {"probabilities": probabilities, "unknown": np.array([True, False])}, 0.5)
    assert (right.ok, right.found) == (True, "1 of 2 pictures")
    wrong = _unknown(FORMATS["onnx"], {"probabilities": probabilities, "unknown": np.array([False, False])}, 0.5)
    assert wrong.ok is False
    assert wrong.sentence() == (
        "onnx: unknown: is not what the probabilities say; where the best probability is below 0.5"
    )


def test_damaged_answers_are_refused(published: Published, tmp_path: Path) -> None:
    def cut(copy: Path, document: dict[str, Any]) -> None:
        np.save(copy / "assets" / "golden" / "image.npy", np.zeros((2, 4), np.float32))

    with pytest.raises(UserError, match=r"image.npy is damaged: it is no float32 array \[53, 4\]$"):
        failures(rewritten(published, tmp_path / "1", cut))


def test_a_device_in_place_of_a_picture_is_not_read(published: Published, tmp_path: Path) -> None:
    def device(copy: Path, document: dict[str, Any]) -> None:
        path = copy / "assets" / "golden" / "mode-1.png"
        path.unlink()
        path.symlink_to("/dev/zero")

    with pytest.raises(UserError, match="mode-1.png is missing or no file$"):
        failures(rewritten(published, tmp_path / "1", device))
