"""Run directories from somebody else: wrong files are named, links that lead out are not followed."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import made_runs
import numpy as np
import pytest
from attacks import HTML, MARKUP, Payload, invoke, npy

from kerasnets import documents
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.errors import UserError
from kerasnets.report import page
from kerasnets.run import Run
from kerasnets.training.checkpoint.store import Store

NAMES = [HTML, MARKUP, "=1+1", "$\\frac{", "plain", "{{7*7}}"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A finished run with class names of all kinds."""
    return made_runs.make_run(tmp_path / "runs" / "foreign", NAMES, findings=[made_runs.FINDING])


def test_words_of_others_are_text_in_the_report(run: Run) -> None:
    page.write(run)
    html = (run.path / "report.html").read_text()
    assert "<script>alert(1)" not in html and "&lt;script&gt;alert(1)" in html
    assert "{{7*7}}" in html


WRONG = [
    ("metrics.json", '{"schema": 1, "validation": {"accuracy": "<b>"}}'),
    ("metrics.json", '{"schema": 1, "seconds": 1e999}'),
    ("metrics.json", '{"schema": 1, "epochs": ' + "9" * 5000 + "}"),
    ("metrics.json", '{"schema": 1, "validation": []}'),
    ("metrics.json", "[" * 100_000),
    ("metrics.json", "[]"),
    ("metrics.json", "\ud800"),
    ("environment.json", '{"schema": 1, "cpu": 3}'),
    ("environment.json", '{"schema": 1, "versions": {"keras": {}}}'),
    ("diagnosis.json", '{"schema": 1, "findings": [3]}'),
    ("diagnosis.json", '{"schema": 1, "findings": [{"rule": 1, "cause": "x"}]}'),
    ("telemetry/cost.json", '{"schema": 1, "share": "x"}'),
    ("telemetry/layers.json", '{"schema": 1, "variables": {"a": 1}}'),
    ("gradcam/gradcam.json", '{"schema": 1, "split": "test", "layer": "x", "examples": [{"id": "1"}]}'),
    ("history.csv", "epoch,loss\n1,what\n"),
    ("history.csv", "epoch,loss\n1\n"),
    ("history.csv", "epoch,loss\n1," + "1" * 200_000 + "\n"),
    ("predictions.csv", "split,id\ntest,1\n"),
    ("predictions.csv", "split,id,label,predicted,confidence,probability_of_label\ntest,1,plain,nobody,1,1\n"),
    ("predictions.csv", "split,id,label,predicted,confidence,probability_of_label\ntest,1,plain,plain,nan,1e9\n"),
    ("splits.csv", "a,b\n1,2\n"),
    ("skipped.csv", "split,index,path,reason\ntrain,x,a,b\n"),
]


@pytest.mark.parametrize(("name", "content"), WRONG, ids=[f"{name} {content[-24:]}" for name, content in WRONG])
def test_wrong_files_of_a_run_are_named(name: str, content: str, run: Run) -> None:
    (run.path / name).parent.mkdir(exist_ok=True)
    (run.path / name).write_bytes(content.encode("utf-8", "surrogatepass"))
    code, said = invoke("report", run.path)
    assert code == 2
    assert str(run.path / name) in said and len(said) < 1000
    assert invoke("runs", "list", run.path.parent)[0] == 0


def test_a_damaged_statistics_table_is_left_out(run: Run) -> None:
    with (run.telemetry / "statistics.csv").open("a") as file:
        file.write("1,gradient," + "x" * 200_000 + ",0\n" + "9" * 5000 + ",gradient,a,0\n")
    assert invoke("report", run.path)[0] == 0
    assert invoke("doctor", run.path)[0] == 0


PREPROCESSING = '"image_size": [8, 8], "channels": 1, "resize": "crop", "crop_ratio": 1.0, "mean": [0.0], "std": [1.0]'


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (f'{{"schema": 1, {PREPROCESSING}, "mean_image": "../../secret.npy"}}', "mean_image: must be 'mean.npy'"),
        (f'{{"schema": 1, {PREPROCESSING}, "mean_image": "mean.npy"}}', "mean.npy is damaged: "),
        (f'{{"schema": 1, {PREPROCESSING.replace("[8, 8]", "[8, 1e9]")}, "mean_image": null}}', "image_size.1: "),
        (f'{{"schema": 1, {PREPROCESSING.replace("[1.0]", "[0.0]")}, "mean_image": null}}', "std.0: "),
        (f'{{"schema": 1, {PREPROCESSING.replace("[1.0]", "[1, 1]")}, "mean_image": null}}', "are not of 1 channels"),
    ],
)
def test_preprocessing_of_others(document: str, message: str, tmp_path: Path, marker: Path) -> None:
    (tmp_path / "preprocessing.json").write_text(document)
    np.save(tmp_path / "mean.npy", np.array([Payload(marker)], object))
    with pytest.raises(UserError, match=message):
        Preprocessing.load(tmp_path)
    (tmp_path / "mean.npy").write_bytes(npy((2**50, 8, 1), dtype="<f4"))
    with pytest.raises(UserError):
        Preprocessing.load(tmp_path)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("diagnosis", ["doctor"]),
        (".report.html.tmp", ["report"]),
        ("evaluation", ["evaluate"]),
        ("telemetry", ["train", "--resume"]),
        ("checkpoints", ["train", "--resume"]),
        (".lock", ["train", "--resume"]),
    ],
)
def test_links_that_lead_out_of_a_run_are_not_followed(
    name: str, command: Sequence[str], run: Run, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for file in ("precious.svg", "statistics.csv", "epoch-0001-step-000000001"):
        (outside / file).write_text("mine")
    before = {path.name: path.read_bytes() for path in outside.iterdir()}
    inside = run.path / name
    shutil.rmtree(inside) if inside.is_dir() else inside.unlink(missing_ok=True)
    inside.symlink_to(outside / "precious.svg" if name.startswith(".") else outside)
    code, said = invoke(*command, run.path)
    assert code == 2 and said.startswith(f"{inside} is a link that leads out of the run")
    Store(run.checkpoints).clear()
    if name == ".lock":
        assert not run.in_use
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == before


def test_prune_deletes_links_and_not_what_they_lead_to(run: Run, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").write_text("x")
    (run.path / "link").symlink_to(outside)
    root = run.path.parent
    (root / "other").symlink_to(shutil.copytree(run.path, tmp_path / "elsewhere", symlinks=True))
    assert invoke("runs", "prune", root, "--keep", "0", "--yes")[0] == 0
    assert not run.path.exists()
    assert (outside / "mine").exists() and (tmp_path / "elsewhere" / "config.yaml").exists()


def test_a_document_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MOST", 2**20)
    (tmp_path / "metrics.json").write_text('{"schema": 1, "x": "' + "y" * 2**20 + '"}')
    with pytest.raises(UserError, match="metrics.json is damaged: it has more than 1 MiB"):
        documents.read(tmp_path / "metrics.json")
