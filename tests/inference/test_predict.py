"""Classifying files: what is found, what is said, and that TensorFlow stays out."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kerasnets.artifacts.batches import raw_batches
from kerasnets.artifacts.export import export
from kerasnets.errors import UserError
from kerasnets.inference.labelled import folder
from kerasnets.inference.predict import Failure, Prediction, Predictor, find
from kerasnets.inference.subject import open_subject
from kerasnets.run import Run


def predict(
    *words: str | Path, code: int = 0, stdin: str = "", cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "kerasnets", "predict", *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True, input=stdin, timeout=120, cwd=cwd, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture
def three(photos: Path, tmp_path: Path) -> Path:
    """A folder with an image, a broken one, and an image in a folder below."""
    (tmp_path / "in" / "below").mkdir(parents=True)
    images = sorted((photos / "coffee").iterdir())
    shutil.copy(images[0], tmp_path / "in" / "a.jpg")
    (tmp_path / "in" / "b.png").write_bytes(b"not an image")
    shutil.copy(images[1], tmp_path / "in" / "below" / "c.JPG")
    (tmp_path / "in" / "notes.txt").write_text("no image by name")
    return tmp_path / "in"


def test_find(three: Path) -> None:
    below = str(three / "below" / "c.JPG")
    assert list(find([str(three)])) == [str(three / "a.jpg"), str(three / "b.png"), below]
    assert list(find([str(three / "*.jpg"), str(three / "notes.txt")])) == [
        str(three / n) for n in ("a.jpg", "notes.txt")
    ]
    assert list(find([str(three / "**" / "*.JPG")])) == [below]
    assert list(find(["-", "x"], ["one\n", "\n", "two\r\n"])) == ["one", "two", "x"]


def test_answers_are_those_of_the_model_in_order(version: Path, photo_resnet: Run, photos: Path) -> None:
    split = folder(photos, ("astronaut", "chelsea", "coffee", "rocket"), "validation")
    assert split.files is not None
    paths = [split.files.name(index) for index in range(len(split))]
    found = list(Predictor(version)(paths, top=4, batch_size=8))
    assert [item.path for item in found] == paths
    subject = open_subject(photo_resnet.path)
    expected = np.concatenate([subject(images) for images, _ in raw_batches(split, 3, 8, frozenset())])
    for item, row in zip(found, expected, strict=True):
        assert isinstance(item, Prediction)
        probabilities = [probability for _, probability in item.classes]
        assert probabilities == sorted(probabilities, reverse=True)
        assert dict(item.classes) == pytest.approx(dict(zip(subject.labels, row.tolist(), strict=True)), abs=1e-5)


def test_neighbours_of_one_size_go_through_together(
    version: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor, runner, shapes = Predictor(version), Predictor(version)._runner, []

    def counted(images: np.ndarray) -> dict[str, np.ndarray]:
        shapes.append(images.shape[0])
        return runner.outputs(images)

    monkeypatch.setattr(predictor._runner, "outputs", counted)
    one, other = (str(path) for path in sorted((photos / "coffee").iterdir())[:2])
    results = list(predictor([one, one, one, other, one, "missing.jpg", one], top=1, batch_size=2))
    assert shapes == [2, 1, 1, 1, 1]
    assert [type(item) for item in results] == [Prediction] * 5 + [Failure, Prediction]


def test_failures_are_named(version: Path, three: Path) -> None:
    paths = [str(three / name) for name in ("b.png", "a.jpeg", "below")]
    found = list(Predictor(version)(paths, top=1, batch_size=2))
    assert found == [
        Failure(paths[0], "not a JPEG, PNG, GIF, BMP or WebP image"),
        Failure(paths[1], "No such file or directory; did you mean 'a.jpg'?"),
        Failure(paths[2], "Is a directory"),
    ]


def test_a_broken_image_is_reported_and_the_rest_go_on(version: Path, three: Path) -> None:
    done = predict(version, three, "--json", "--top", "2", code=2)
    document = json.loads(done.stdout)
    assert document["schema"] == 1
    assert [item["path"] for item in document["predictions"]] == [str(three / "a.jpg"), str(three / "below" / "c.JPG")]
    assert [len(item["classes"]) for item in document["predictions"]] == [2, 2]
    assert list(document["predictions"][0]["classes"][0]) == ["label", "probability"]
    reason = "not a JPEG, PNG, GIF, BMP or WebP image"
    assert document["errors"] == [{"path": str(three / "b.png"), "error": reason}]
    assert done.stderr.splitlines() == [
        f"{three / 'b.png'}: {reason}",
        "Error: 1 of 3 images could not be classified",
    ]


def test_a_list_on_stdin_and_a_csv_file(version: Path, three: Path, tmp_path: Path) -> None:
    table = tmp_path / "out.csv"
    listed = f"{three / 'a.jpg'}\n{three / 'b.png'}\n"
    done = predict(version.parent, "-", "--csv", table, "--top", "2", stdin=listed, code=2)
    assert done.stdout == f"1 images classified: {table}\n"
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "label", "probability", "label_2", "probability_2", "error"]
    assert [row["path"] for row in rows] == [str(three / "a.jpg"), str(three / "b.png")]
    assert float(rows[0]["probability"]) >= float(rows[0]["probability_2"]) > 0
    assert rows[1]["label"] == "" and rows[1]["error"].startswith("not a JPEG")


def test_the_table(version: Path, three: Path) -> None:
    text = predict(version, "a.jpg", "--top", "9", cwd=three).stdout
    assert text.count("a.jpg") == 1
    assert {"astronaut", "chelsea", "coffee", "rocket"} <= set(text.split())


WITHOUT_TENSORFLOW = """
import sys
from kerasnets import cli
sys.argv = ["kerasnets", "predict", *sys.argv[1:]]
try:
    cli.main()
except SystemExit as end:
    heavy = {"tensorflow", "keras", "tf2onnx", "onnx", "sklearn", "matplotlib"} & set(sys.modules)
    print(end.code, sorted(heavy))
"""


def test_predict_imports_onnxruntime_and_pillow_alone(version: Path, three: Path) -> None:
    line = [sys.executable, "-c", WITHOUT_TENSORFLOW, str(version), str(three / "a.jpg"), "--json"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"


def test_a_run_is_not_a_model(photo_resnet: Run) -> None:
    run = photo_resnet.path
    with pytest.raises(UserError) as error:
        Predictor(run)
    assert str(error.value) == f"{run} is a run, not an exported model; `kerasnets export {run}` makes one of it"


@pytest.mark.slow
def test_a_version_without_onnx(photo_resnet: Run, tmp_path: Path) -> None:
    path = export(photo_resnet, to=tmp_path, formats=["savedmodel"]).path
    with pytest.raises(UserError) as error:
        Predictor(path)
    message = f"{path} holds savedmodel, not onnx; export the run again with --formats onnx,savedmodel"
    assert str(error.value) == message


def test_nothing_to_classify(version: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = predict(version, tmp_path / "empty", code=2)
    assert done.stderr == f"Error: no images in {tmp_path / 'empty'}\n"
