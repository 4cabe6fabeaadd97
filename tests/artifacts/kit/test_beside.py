"""Servers' files beside versions suit the versions that are there, at every moment."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from made_versions import document, publish

from kerasnets.artifacts import store
from kerasnets.artifacts.kit import beside


def outputs(model: Path) -> list[str]:
    text = (model / "config.pbtxt").read_text()
    return [name for name in ("probabilities", "unknown") if f'name: "{name}"' in text]


def test_the_config_is_there_before_the_first_version(tmp_path: Path) -> None:
    model = tmp_path / "m"
    model.mkdir()
    beside.write_before(model, document("m", 1))
    assert sorted(path.name for path in model.iterdir()) == ["config.pbtxt", "inferenceservice.yaml", "labels.txt"]


def test_the_config_never_names_an_output_that_a_version_has_not(tmp_path: Path) -> None:
    model = publish(tmp_path).parent
    beside.write_before(model, document("m", 2, "unknown"))
    assert outputs(model) == ["probabilities"]
    publish(tmp_path, "unknown")
    assert outputs(model) == ["probabilities", "unknown"]
    beside.write_before(model, document("m", 3))
    assert outputs(model) == ["probabilities"]


def test_what_a_kill_left_undone_is_done_by_the_next(tmp_path: Path) -> None:
    model = publish(tmp_path).parent
    (model / "config.pbtxt").write_text("")
    (model / "labels.txt").unlink()
    (tmp_path / "models.config").unlink()
    assert beside.outdated(model) == ["config.pbtxt", "labels.txt"]
    beside.refresh(model)
    assert beside.outdated(model) == []
    assert '"m"' in (tmp_path / "models.config").read_text()


def test_the_list_has_the_models_whose_highest_version_has_a_savedmodel(tmp_path: Path) -> None:
    publish(tmp_path, name="b")
    publish(tmp_path, name="a")
    publish(tmp_path, name="onnx-alone", formats=("onnx",))
    (tmp_path / "garbage").mkdir()
    names = [line.split('"')[1] for line in (tmp_path / "models.config").read_text().splitlines() if "name:" in line]
    assert names == ["a", "b"]
    assert not (tmp_path / "onnx-alone" / "models.config").exists()


PUBLISH_FOR_EVER = """
import sys
from pathlib import Path
sys.path[:0] = [sys.argv[2]]
from made_versions import publish
for number in range(10**6):
    publish(Path(sys.argv[1]), *["unknown"] * (number % 2))
    print("published", flush=True)
"""


@pytest.mark.slow
def test_killed_at_any_moment_every_version_has_a_config_that_suits_it(tmp_path: Path) -> None:
    draw, model = random.Random(7), tmp_path / "m"
    line = [sys.executable, "-c", PUBLISH_FOR_EVER, str(tmp_path), str(Path(__file__).parents[2])]
    for _ in range(5):
        process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(draw.uniform(0, 0.03))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        newest = json.loads((model / str(store.versions(model)[-1]) / store.MANIFEST).read_text())
        assert set(outputs(model)) <= set(newest["outputs"]["image"])
        assert (model / "labels.txt").read_text() == "a\nb\nc\n"
    publish(tmp_path)
    assert beside.outdated(model) == [] and list(tmp_path.rglob(".*")) == []
