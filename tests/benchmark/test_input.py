"""`kerasnets benchmark input`: what it reports hangs together; timings themselves are not judged."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from photos import write_photos

from kerasnets.benchmark.command import benchmark
from kerasnets.benchmark.input import chart
from kerasnets.benchmark.input.result import Input, Stage, StepCost
from kerasnets.errors import UserError

SMALL = ("model.name=resnet20", "model.blocks=[1, 1, 1]", "data.image_size=32", "training.batch_size=4")
FILES = ["read", "+ decode", "+ crop, resize", "+ augment, normalise, batch", "whole, as train runs it"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"), each=6)


def run(*words: str | Path) -> str:
    done = CliRunner().invoke(benchmark, ["input", *map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def names(found: dict[str, Any]) -> list[str]:
    assert all(stage["images_per_second"] > 0 and stage["cpu"] > 0 for stage in found["stages"])
    return [stage["name"] for stage in found["stages"]]


@pytest.mark.slow
def test_a_folder_and_a_training_step(folder: Path, tmp_path: Path) -> None:
    chart = tmp_path / "c.png"
    found = json.loads(run(folder, *SMALL, "--rounds", "1", "--images", "9", "--chart", chart, "--json"))
    assert chart.read_bytes().startswith(b"\x89PNG")
    assert (found["schema"], found["subject"], found["kind"]) == (1, str(folder), "files")
    assert (found["images"], found["image_size"], found["rounds"]) == (8, [32, 32], 1)
    assert names(found) == FILES
    assert list(found["left_out"]) == ["cached"]
    assert set(found["step"]) == {"batch", "seconds", "cpu", "share", "cpu_share"}
    assert found["step"]["batch"] == 4 and found["step"]["share"] > -1


@pytest.mark.slow
def test_caches_of_a_folder_as_a_table(folder: Path) -> None:
    words = ("data.augment.random_resized_crop=none", "--rounds", "1", "--images", "8", "--no-step")
    lines = run(folder, *SMALL, *words).splitlines()
    assert lines[0].startswith(f"{folder}: 8 images, files, to 32x32; ")
    for line, name in zip(lines[2:], [*FILES, "cached in memory", "cached on disk"], strict=True):
        assert line.startswith(name)


@pytest.mark.slow
def test_images_in_memory() -> None:
    words = ("model.blocks=[1, 1, 1]", "--rounds", "1", "--images", "100", "--no-step", "--json")
    found = json.loads(run("digits-resnet20", *words))
    assert (found["kind"], found["step"]) == ("memory", None)
    assert names(found) == ["gather, resize", "+ augment, normalise", "whole, as train runs it"]


def test_the_chart_has_a_bar_for_each_stage_and_for_the_step(tmp_path: Path) -> None:
    stages = (Stage("read", 10_000.0, 1e-4), Stage("+ decode", 443.0, 1.79e-3))
    step = StepCost(batch=32, seconds=2.0, cpu=0.11, share=0.01, cpu_share=0.02)
    found = Input(96, "files", (224, 224), 2, 3, stages, {}, step)
    chart.write(found, tmp_path / "c.svg", "photos: 96 images")
    text = (tmp_path / "c.svg").read_text()
    for words in ("photos: 96 images", "images/s", "CPU time of an image, ms", "+ decode", "10,000", "443", "1.79"):
        assert f">{words}<" in text
    assert ">training step, batch 32<" in text and ">16<" in text and ">110<" in text
    chart.write(replace(found, step=None), tmp_path / "d.svg", "t")
    assert "training step" not in (tmp_path / "d.svg").read_text()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("c.gif", "--chart c.gif: a chart is a .png or .svg file"),
        ("no/c.png", "--chart no/c.png: there is no directory no"),
    ],
)
def test_a_chart_that_could_not_be_written(path: str, message: str, folder: Path) -> None:
    with pytest.raises(UserError) as error:
        run(folder, "--chart", path)
    assert str(error.value) == message


def test_neither_a_config_nor_a_folder() -> None:
    with pytest.raises(UserError, match="imagenet-resnet50"):
        run("imagenet-resnet5")
