"""The way a user goes, by the command line: a folder of photographs -> init -> train -> export -> verify -> predict."""

import contextlib
import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from photos import PHOTOS, write_photos
from small_runs import FLOAT32

from kerasnets import cli

TRAINING = [
    *("model.name=resnet8", "model.stem=small", "data.image_size=32", "training.epochs=6", "training.batch_size=16"),
    *("training.learning_rate=0.05", "training.optimizer=sgd", FLOAT32),
]


def kerasnets(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kerasnets", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, cwd=folder, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def document(folder: Path, *words: str, code: int = 0) -> dict[str, Any]:
    found = json.loads(kerasnets(folder, *words, "--json", code=code).stdout)
    assert found["schema"] == 1
    return found


def here(folder: Path, *words: str) -> dict[str, Any]:
    """Give a command in this process, which has TensorFlow loaded already."""
    with contextlib.chdir(folder):
        done = CliRunner().invoke(cli.kerasnets, [*words, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with photos, their config, a run and an exported model."""
    folder = tmp_path_factory.mktemp("work")
    write_photos(folder / "photos")
    kerasnets(folder, "init", "photos", "--output", "photos.yaml")
    assert document(folder, "train", "photos.yaml", *TRAINING)["run"] == "runs/photos-1"
    document(folder, "export", "runs/photos-1")
    return folder


@pytest.mark.slow
class TestPhotos:
    def test_learns_the_photographs(self, work: Path) -> None:
        metrics = json.loads((work / "runs/photos-1/metrics.json").read_text())
        assert metrics["validation"]["accuracy"] > 0.7

    def test_run_savedmodel_and_onnx_have_the_same_numbers(self, work: Path) -> None:
        results = [
            document(work, "evaluate", "runs/photos-1"),
            here(work, "evaluate", "export/models/photos", "--format", "savedmodel"),
            here(work, "evaluate", "export/models/photos", "--format", "onnx"),
        ]
        recorded = json.loads((work / "runs/photos-1/metrics.json").read_text())["validation"]["accuracy"]
        for found in results:
            assert found["accuracy"] == pytest.approx(recorded, abs=1e-6)
            assert found["confusion"] == results[0]["confusion"]
            assert found["ece"] == pytest.approx(results[0]["ece"], abs=1e-4)

    def test_predict_names_the_classes(self, work: Path) -> None:
        with (work / "runs/photos-1/splits.csv").open(newline="") as file:
            held = [row for row in csv.DictReader(file) if row["split"] == "validation"][:8]
        found = document(work, "predict", "export/models/photos", *(str(Path("photos") / row["id"]) for row in held))
        assert found["errors"] == []
        assert len(found["predictions"]) == len(held)
        for prediction in found["predictions"]:
            assert {one["label"] for one in prediction["classes"]} <= set(PHOTOS)
            assert prediction["classes"][0]["probability"] >= prediction["classes"][-1]["probability"]
        right = [p["classes"][0]["label"] == row["label"] for p, row in zip(found["predictions"], held, strict=True)]
        assert sum(right) >= len(held) // 2

    def test_verify_needs_neither_the_run_nor_its_data(self, work: Path, tmp_path: Path) -> None:
        shutil.copytree(work / "export/models/photos/1", tmp_path / "elsewhere")
        found = document(tmp_path, "verify", "elsewhere")
        assert found["ok"]
        assert {check["format"] for check in found["checks"]} == {None, "savedmodel", "onnx", "savedmodel, onnx"}
        assert all(check["ok"] for check in found["checks"])

    def test_second_version_is_counted_up_and_the_first_is_untouched(self, work: Path) -> None:
        before = (work / "export/models/photos/1/manifest.json").read_bytes()
        assert here(work, "export", "runs/photos-1", "--formats", "onnx")["path"].endswith("photos/2")
        assert (work / "export/models/photos/1/manifest.json").read_bytes() == before

    def test_corrupt_file_stops_a_run_and_is_named(self, work: Path, tmp_path: Path) -> None:
        shutil.copytree(work / "photos", tmp_path / "photos")
        bad = tmp_path / "photos/coffee/007.jpg"
        bad.write_bytes(bad.read_bytes()[:400])
        (tmp_path / "photos/rocket/003.jpg").write_bytes(b"not an image")
        shutil.copy(work / "photos.yaml", tmp_path)
        stderr = kerasnets(tmp_path, "train", "photos.yaml", *TRAINING, code=2).stderr
        assert "2 of the images cannot be read; data.skip_corrupt=true leaves them out:" in stderr
        assert "photos/coffee/007.jpg: " in stderr
        assert "photos/rocket/003.jpg: " in stderr
        found = here(tmp_path, "train", "photos.yaml", *TRAINING, "training.epochs=1", "data.skip_corrupt=true")
        with (tmp_path / found["run"] / "skipped.csv").open(newline="") as file:
            assert {Path(row["path"]).name for row in csv.DictReader(file)} == {"007.jpg", "003.jpg"}


def test_export_of_what_is_no_run(tmp_path: Path) -> None:
    stderr = kerasnets(tmp_path, "export", "runs/nothing-1", code=2).stderr
    assert stderr == "Error: run runs/nothing-1 does not exist\n"
