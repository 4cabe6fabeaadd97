"""A run and its artefacts have the same numbers, on their own data and on other."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kerasnets.errors import CheckFailed, UserError
from kerasnets.inference.evaluate import evaluate
from kerasnets.inference.subject import open_subject
from kerasnets.measures.measure import Measures
from kerasnets.run import Run


def same(one: Measures, other: Measures) -> None:
    assert one.accuracy == other.accuracy
    np.testing.assert_array_equal(one.confusion, other.confusion)
    assert one.per_class == other.per_class
    assert one.ece == pytest.approx(other.ece, abs=1e-5)


@pytest.mark.slow
def test_run_savedmodel_and_onnx_have_the_same_numbers(photo_resnet: Run, both: Path) -> None:
    run = evaluate(open_subject(photo_resnet.path))
    assert run.images == 8
    assert list(run.per_class) == ["astronaut", "chelsea", "coffee", "rocket"]
    same(evaluate(open_subject(both, "savedmodel")), run)
    same(evaluate(open_subject(both.parent, "onnx")), run)


def test_run_and_onnx_have_the_same_numbers(photo_resnet: Run, version: Path) -> None:
    same(evaluate(open_subject(version)), evaluate(open_subject(photo_resnet.path)))


def test_another_split(version: Path) -> None:
    assert evaluate(open_subject(version), split="train").images == 32
    with pytest.raises(UserError, match="^the data has no test split; it has train, validation$"):
        evaluate(open_subject(version), split="test")


def test_a_folder_of_other_images(version: Path, photos: Path, tmp_path: Path) -> None:
    subject = open_subject(version)
    whole = evaluate(subject, data=[str(photos)])
    assert whole.images == 40
    shutil.copytree(photos / "rocket", tmp_path / "some" / "rocket")
    one_class = evaluate(subject, data=[str(tmp_path / "some")])
    assert one_class.images == 10
    assert one_class.confusion[3].tolist() == whole.confusion[3].tolist()
    assert one_class.confusion[:3].sum() == 0


def test_a_folder_with_splits(version: Path, photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos / "rocket", tmp_path / "val" / "rocket")
    shutil.copytree(photos, tmp_path / "train")
    subject = open_subject(version)
    assert evaluate(subject, data=[str(tmp_path)]).images == 10
    assert evaluate(subject, data=[str(tmp_path)], split="train").images == 40


def test_changes_of_the_data_section(version: Path, photos: Path) -> None:
    subject = open_subject(version)
    found = evaluate(subject, data=[f"path={photos}", "data.validation_split=0.5"])
    assert found.images == 20


def test_what_cannot_be_evaluated(version: Path, photo_resnet: Run, photos: Path, tmp_path: Path) -> None:
    subject = open_subject(version)
    (tmp_path / "rockets").mkdir()
    cases = [
        ([str(tmp_path)], f"--data {tmp_path}: the model knows no class 'rockets'; did you mean 'rocket'?"),
        (["nowhere"], "--data nowhere: no such folder; for other sources give source=… path=…"),
        ([str(photos), "seed=1"], f"--data {photos} is a folder and goes alone; beside it there is 1 more"),
        (["source=digits"], "the data: the model knows no class '0'"),
    ]
    for data, message in cases:
        with pytest.raises(UserError) as error:
            evaluate(subject, data=data)
        assert str(error.value) == message
    with pytest.raises(UserError) as error:
        open_subject(photo_resnet.path, "onnx")
    assert str(error.value) == f"--format onnx goes with an exported model; {photo_resnet.path} is a run"


def test_a_changed_artefact_is_not_evaluated(version: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(version, tmp_path / "1")
    (copy / "preprocessing.json").write_bytes(b"")
    with pytest.raises(CheckFailed, match="preprocessing.json was changed since the version was published$"):
        open_subject(copy)


@pytest.mark.slow
def test_evaluate_by_command(version: Path, photo_resnet: Run, tmp_path: Path) -> None:
    def command(*words: str | Path) -> str:
        line = [sys.executable, "-m", "kerasnets", "evaluate", *map(str, words)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=300, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    document = json.loads(command(photo_resnet.path, "--json", "--output", tmp_path / "run"))
    assert list(document)[:6] == ["schema", "accuracy", "top5", "per_class", "confusion", "ece"]
    assert document["files"] == [
        str(tmp_path / "run" / name) for name in ("evaluation.json", "confusion.csv", "confusion.png")
    ]
    text = command(version)
    assert f"accuracy {document['accuracy']:.4f}   calibration error {document['ece']:.4f}" in text
    assert (tmp_path / "evaluation" / "photos-1-validation" / "confusion.png").is_file()
