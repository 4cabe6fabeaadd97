"""`kerasnets benchmark input`: what it reports hangs together; timings themselves are not judged."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from photos import write_photos

from kerasnets.benchmark.command import benchmark
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
def test_a_folder_and_a_training_step(folder: Path) -> None:
    found = json.loads(run(folder, *SMALL, "--rounds", "1", "--images", "9", "--json"))
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


def test_neither_a_config_nor_a_folder() -> None:
    with pytest.raises(UserError, match="imagenet-resnet50"):
        run("imagenet-resnet5")
