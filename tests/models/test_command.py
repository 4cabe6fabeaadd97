"""`kerasnets models`, as users type it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from kerasnets.errors import UserError
from kerasnets.models import complexity, specs
from kerasnets.models.command import models


def run(*words: str) -> str:
    result = CliRunner().invoke(models, words, catch_exceptions=False, env={"COLUMNS": "200"})
    assert result.exit_code == 0
    return result.stdout


def refused(*words: str) -> str:
    with pytest.raises(UserError) as error:
        CliRunner().invoke(models, words, catch_exceptions=False)
    return str(error.value)


def test_the_list_as_json() -> None:
    document = json.loads(run("--json"))
    assert document["schema"] == 1
    assert [model["name"] for model in document["models"]] == list(specs.MODELS)
    by_name = {model["name"]: model for model in document["models"]}
    assert by_name["googlenet"] == {
        "name": "googlenet",
        "family": "googlenet",
        "input_shape": [224, 224, 3],
        "classes": 1000,
        "source": "Szegedy et al. 2014, arXiv:1409.4842, table 1",
        "note": "auxiliary heads pool to min(4, size) a side; at 14x14 that is the paper's 5x5/3",
        "parameters": 6998552,
        "trainable": 6998552,
        "macs": 1582671872,
        "activations": 3227160,
    }


def test_the_list_for_people_is_made_without_keras() -> None:
    code = (
        "import sys; from kerasnets.models.command import models; models(standalone_mode=False)\n"
        "assert not {'keras', 'tensorflow'} & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True)
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["resnet50", "resnet", "25,557,032", "4.089", "G", "224x224x3"] in [row[:6] for row in rows]
    assert ["resnet20", "resnet", "269,722", "40.55", "M", "32x32x3"] in [row[:6] for row in rows]
    assert ["lenet5", "lenet", "61,706", "416.5", "k", "28x28x1"] in [row[:6] for row in rows]
    assert result.stderr == ""


def test_one_model_as_json() -> None:
    document = json.loads(run("resnet18", "model.shortcut=A", "widths=[8, 8, 16, 16]", "--input-size", "32", "--json"))
    (model,) = document["models"]
    assert (model["input_shape"], model["classes"]) == ([32, 32, 3], 1000)
    options = {option.pop("name"): option for option in model["options"]}
    assert options["shortcut"]["value"] == "A"
    assert options["widths"]["value"] == [8, 8, 16, 16]
    assert options["stride_on"] == {
        "value": "3x3",
        "default": "3x3",
        "allowed": "1x1, 3x3",
        "meaning": "which convolution strides",
    }
    assert (options["stem"]["value"], options["stem"]["default"]) == ("small", "auto")
    stages = {stage["name"]: stage["output_shape"] for stage in model["stages"]}
    assert stages["conv5"] == [4, 4, 16]
    assert model["parameters"] == sum(stage["parameters"] for stage in model["stages"])


def test_one_model_for_people() -> None:
    rows = [
        line.split() for line in run("googlenet", "width=0.5", "--input-size", "28", "--classes", "10").splitlines()
    ]
    assert rows[0] == "googlenet, googlenet (Szegedy et al. 2014, arXiv:1409.4842, table 1)".split()
    assert rows[1] == "auxiliary heads pool to min(4, size) a side; at 14x14 that is the paper's 5x5/3".split()
    assert ["width", "0.5", "1.0", "a", "number", "above", "0"] in [row[:7] for row in rows]
    assert ["lrn", "true", "true", "true,", "false"] in [row[:5] for row in rows]
    assert ["inception_5b", "2x2x512"] in [row[:2] for row in rows]
    assert [row[0] for row in rows if row and row[0].startswith("softmax")] == ["softmax0", "softmax1", "softmax2"]
    assert ["all", "28x28", "px,", "10", "classes"] in [row[:5] for row in rows]


def test_the_papers_table_is_never_broken() -> None:
    """Also on a narrow terminal: a number in two lines is none."""
    words = ("googlenet", "width=0.5", "--table", "--input-size", "64", "--classes", "5")
    result = CliRunner().invoke(models, words, catch_exceptions=False, env={"COLUMNS": "60"})
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["#3x3", "#5x5", "pool", "receptive"]
    columns = ["#1x1", "reduce", "#3x3", "reduce", "#5x5", "proj", "parameters", "MACs", "field", "stride"]
    assert lines[1] == ["stage", "output", "layers", *columns]
    assert "inception_4b 8x8x256 Inception 80 56 112 12 32 32 112,452 7.176 M 117 8".split() in lines
    assert "conv1 64x64x32 3x3, 32 896 3.539 M 3 1".split() in lines
    assert lines[-1][:5] == ["all", "64x64", "px,", "5", "classes"]
    assert "option" not in result.stdout


def test_the_papers_table_as_json() -> None:
    (model,) = json.loads(run("googlenet", "--input-size", "64", "--json"))["models"]
    stages = {stage["name"]: stage for stage in model["stages"]}
    keys = ("layers", "inception", "receptive_field", "stride")
    assert [stages["conv2"][key] for key in keys] == ["1x1, 64; 3x3, 192; local response norm", None, 9, 2]
    assert [stages["inception_3a"][key] for key in keys] == ["Inception", [64, 96, 128, 16, 32, 32], 29, 4]
    assert [stages["softmax2"][key] for key in keys] == ["1000-d dense", None, None, None]


def test_memory_as_json() -> None:
    document = json.loads(run("resnet8", "--memory", "4", "--precision", "bfloat16", "--input-size", "16", "--json"))
    found = document["models"][0]["memory"]
    assert (found["batch"], found["precision"]) == (4, "bfloat16")
    kinds = ("weights", "optimizer", "gradients", "activations", "transient")
    assert found["step"] == sum(found[kind] for kind in kinds) and found["total"] == found["step"] + found["graph"]
    assert found["base"] > 1e8 and found["process"] == found["base"] + found["total"]


def test_memory_for_people() -> None:
    rows = [line.split() for line in run("resnet8", "widths=[160, 320, 640]", "--memory", "64").splitlines()]
    assert rows[0] == "memory MB a training step on 64 images, float32".split()
    names = ["weights", "optimizer", "gradients", "activations", "transient", "graph", "all", "TensorFlow", "process"]
    assert [row[0] for row in rows[1:]] == names
    sizes = {row[0]: int(row[1].replace(",", "")) for row in rows[1:]}
    cost = complexity.count(complexity.outline("resnet8", widths=[160, 320, 640]))
    assert sizes["weights"] == round(8 * cost.parameters / 1e6) and sizes["optimizer"] == round(
        4 * cost.trainable / 1e6
    )
    assert sizes["process"] == pytest.approx(sizes["all"] + sizes["TensorFlow"], abs=1)


def test_a_table_and_memory_are_both_printed() -> None:
    result = CliRunner().invoke(models, ["resnet8", "--table", "--memory", "4"], env={"COLUMNS": "60"})
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[1][:3] == ["stage", "output", "layers"]
    assert "memory MB a training step on 4 images, float32".split() in lines
    assert lines[-2][0] == "TensorFlow" and lines[-2][2:] == "Python and libraries, as measured in this process".split()


def test_no_batch_is_none() -> None:
    result = CliRunner().invoke(models, ["resnet8", "--memory", "0"])
    assert result.exit_code == 2 and "Invalid value for '--memory': 0 is not in the range x>=1" in result.stderr


@pytest.mark.parametrize(("suffix", "begins"), [("svg", b"<?xml"), ("PNG", b"\x89PNG\r\n")])
def test_drawing(suffix: str, begins: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"picture.{suffix}"
    result = CliRunner().invoke(models, ["resnet8", "shortcut=C", "--input-size", "20", "--draw", str(path)])
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", f"drew {path}\n")
    assert path.read_bytes().startswith(begins)
    assert list(tmp_path.iterdir()) == [path]
    document = json.loads(run("resnet8", "--draw", str(path), "--json"))
    assert (document["drawing"], document["models"][0]["name"]) == (str(path), "resnet8")


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    taken = tmp_path / "taken.svg"
    taken.mkdir()
    assert refused("resnet8", "--draw", str(taken)) == f"--draw {taken}: that is a directory"
    if Path("/proc").is_dir():
        assert refused("resnet8", "--draw", "/proc/picture.svg").startswith(
            "--draw /proc/picture.svg: cannot be written: "
        )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("resnt50",),
            "model.name is 'resnt50', which is no model; `kerasnets models` lists them; did you mean 'resnet50'?",
        ),
        (("resnet50", "shortcutt=A"), "model.shortcutt is not an option of resnet50; did you mean 'shortcut'?"),
        (("resnet50", "shortcut"), "'shortcut' is not of the form key=value"),
        (("resnet50", "blocks=[1"), "'blocks=[1': the value is no valid YAML"),
        (("--input-size", "32"), "--input-size, --classes, --table, --draw and --memory need the name of a model"),
        (("--memory", "8"), "--input-size, --classes, --table, --draw and --memory need the name of a model"),
        (("resnet8", "--precision", "bfloat16"), "--precision goes with --memory BATCH"),
        (("--precision", "bfloat16"), "--precision goes with --memory BATCH"),
        (("nets:small",), "nets:small is a model of your own; `kerasnets models` shows those of kerasnets"),
        (("--table",), "--input-size, --classes, --table, --draw and --memory need the name of a model"),
        (("resnet8", "--draw", "picture.pdf"), "--draw picture.pdf: pictures are .svg or .png files"),
        (("resnet8", "--draw", "picture"), "--draw picture: pictures are .svg or .png files"),
        (("resnet8", "--draw", "nowhere/picture.svg"), "--draw nowhere/picture.svg: there is no directory nowhere"),
        (
            ("googlenet", "--input-size", "15"),
            "input_shape (15, 15, 3) is too small for googlenet; the smallest is 16x16 pixels",
        ),
    ],
)
def test_wrong_words(words: tuple[str, ...], message: str) -> None:
    assert refused(*words) == message
