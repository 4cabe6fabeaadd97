"""`kerasnets benchmark model`: every artefact and Keras in turns, each in a process of its own."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from once import once

from kerasnets.artifacts.export import export
from kerasnets.artifacts.manifest import Manifest
from kerasnets.benchmark import chart, model
from kerasnets.benchmark.command import benchmark
from kerasnets.benchmark.model import Artefact, Result, Row
from kerasnets.errors import CheckFailed, UserError
from kerasnets.run import Run

LABELS = ("a", "b", "c")


@pytest.fixture(scope="module")
def store(resnet_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a version of the small run on digits."""
    return once(tmp_path_factory, "benchmark-store", lambda path: export(resnet_run, to=path, formats=["onnx"]))


class Paced:
    """Stands for a process: each call takes a given time, and more memory than the last."""

    def __init__(self, seconds: float, log: list[str], name: str) -> None:
        self.seconds, self.log, self.name = seconds, log, name

    def timed(self, images: np.ndarray) -> tuple[float, int]:
        self.log.append(self.name)
        return self.seconds * len(images), 10**6 * len(self.log)


def test_calls_are_taken_in_turns_and_compared_in_pairs() -> None:
    log: list[str] = []
    runners: Any = {"keras": Paced(0.1, log, "k"), "onnx": Paced(0.02, log, "o"), "litert": Paced(0.04, log, "l")}
    rows = {row.form: row for row in model._rows(runners, np.zeros((2, 4, 4, 3)), 10)}
    assert "".join(log) == ("lok" + "kol") * 6  # the first two rounds warm up
    assert [row.rounds for row in rows.values()] == [10] * 3
    assert rows["onnx"].p50 == rows["onnx"].p99 == pytest.approx(0.04)
    assert rows["onnx"].images_per_second == pytest.approx(50)
    assert {name: row.ratio for name, row in rows.items()} == pytest.approx({"keras": 1, "onnx": 5, "litert": 2.5})
    assert rows["litert"].peak == 36 * 10**6


def test_without_keras_there_is_no_ratio() -> None:
    runners: Any = {"onnx": Paced(0.02, [], "o")}
    assert [row.ratio for row in model._rows(runners, np.zeros((1, 4, 4, 3)), 3)] == [None]


@pytest.mark.slow
def test_by_command(store: Path, resnet_run: Run, tmp_path: Path) -> None:
    words = [
        "model",
        str(store / "digits-resnet20"),
        "--batch",
        "2,1",
        "--rounds",
        "10",
        "--chart",
        str(tmp_path / "c.png"),
    ]
    done = CliRunner().invoke(benchmark, [*words, "--accuracy", "--json"], catch_exceptions=False)
    found = json.loads(done.stdout)
    assert found["schema"] == 1 and found["image_size"] == [8, 8] and found["left_out"] == {}
    rows = {(row["form"], row["batch"]): row for row in found["rows"]}
    assert list(rows) == [(form, batch) for batch in (1, 2) for form in ("keras", "onnx")]
    for row in found["rows"]:
        assert 0 < row["p50"] <= row["p99"] and row["images_per_second"] == pytest.approx(row["batch"] / row["p50"])
        assert row["rounds"] == 10
    assert rows["keras", 1]["ratio"] == 1 and rows["onnx", 1]["ratio"] > 1
    assert rows["keras", 1]["peak"] > 2e8 > rows["onnx", 1]["peak"] > 2e7
    version = store / "digits-resnet20" / "1"
    assert found["artefacts"]["onnx"]["bytes"] == (version / "model.onnx").stat().st_size
    accuracy = resnet_run.read_json("metrics.json")["validation"]["accuracy"]
    for artefact in found["artefacts"].values():
        assert artefact["accuracy"] == pytest.approx(accuracy, abs=1e-6)
    assert found["machine"]["cores"] >= 1
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_run_that_is_gone_is_said(store: Path, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path / "store")
    path = tmp_path / "store" / "digits-resnet20" / "1"
    document = json.loads((path / "manifest.json").read_text())
    document["run"]["path"] = "/gone"
    (path / "manifest.json").write_text(json.dumps(document))
    done = CliRunner().invoke(benchmark, ["model", str(path), "--batch", "1", "--rounds", "3"], catch_exceptions=False)
    assert "keras is left out: the run that it was exported from is not at /gone any more" in done.stdout
    (path / "model.onnx").write_bytes(b"x")
    with pytest.raises(CheckFailed, match="model.onnx was changed since the version was published"):
        model.measure(Manifest.read(path))


def result() -> Result:
    rows = [
        Row(form, batch, 10, 0.001 * scale, 0.002 * scale, batch / scale * 1000, 9 / scale, 10**8 * scale)
        for batch in (1, 32)
        for form, scale in (("keras", 9), ("onnx", 1), ("openvino", 2))
    ]
    known = {form: Artefact(10**6, 0.5, 8) for form in ("keras", "onnx", "openvino")}
    return Result(Manifest(Path("m/1"), {}), (8, 8), tuple(rows), known, {})


def test_the_chart_names_each_artefact_and_batch(tmp_path: Path) -> None:
    chart.write(result(), tmp_path / "c.svg", "photos, version 1, 8x8")
    text = (tmp_path / "c.svg").read_text()
    for words in ("photos, version 1, 8x8", "keras", "openvino", "images/s, batch 32", "peak memory, MB", "1,000 (9x)"):
        assert words in text
    chart.write(replace(result(), rows=result().rows[:3]), tmp_path / "d.svg", "t")
    assert "batch 32" not in (tmp_path / "d.svg").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--batch", "1,x"], "--batch 1,x: give whole numbers from 1 to 4096, such as 1,8,32"),
        (["--batch", "0"], "--batch 0: give whole numbers from 1 to 4096, such as 1,8,32"),
        (
            ["--image-size", "8x"],
            "--image-size 8x: give pixels, such as 224, or height x width, such as 224x320",
        ),
        (["--chart", "c.gif"], "--chart c.gif: a chart is a .png or .svg file"),
        (["--chart", "no/c.png"], "--chart no/c.png: there is no directory no"),
        ([], "model {path} does not exist"),
    ],
)
def test_wrong_input(words: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        CliRunner().invoke(benchmark, ["model", str(tmp_path / "m"), *words], catch_exceptions=False)
    assert str(error.value) == message.format(path=tmp_path / "m")


@pytest.mark.slow
def test_a_fixed_input_takes_no_other_size(photo_resnet: Run, tmp_path: Path) -> None:
    path = export(photo_resnet, to=tmp_path, formats=["onnx"], settings=["export.static_shape=true"]).path
    with pytest.raises(UserError, match=f"^--image-size: {path} takes images of 24x24 alone$"):
        model.measure(Manifest.read(path), image_size=(8, 8))
