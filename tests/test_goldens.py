"""Exact counts of every shipped config and every variant: against other libraries, independent computations, ourselves.

`tests/goldens.py` says what the marks mean.
"""

import copy
import json
import re
from pathlib import Path
from typing import Any

import goldens
import pytest
from goldens import Golden

from kerasnets import config as configs
from kerasnets import models
from kerasnets.models import complexity

GOLDENS = goldens.load()
DOCS = Path(__file__).parent.parent / "docs" / "models.md"
DEEP = ("101", "152", "110", "1202")  # half a second each, or eight


def parameter(golden: Golden) -> Any:
    deep = any(layers in golden.get("model", "") for layers in DEEP)
    return pytest.param(golden, id=goldens.label(golden), marks=pytest.mark.slow if deep else ())


@pytest.mark.parametrize("golden", [parameter(golden) for golden in GOLDENS])
def test_golden(golden: Golden) -> None:
    model = goldens.outline(golden)
    assert goldens.problems(golden, goldens.counts(model)) == []
    if golden.get("options") == {}:
        assert complexity.count(models.main(model)) == complexity.published()[golden["model"]]


def test_every_config_and_every_model_has_a_golden() -> None:
    assert [goldens.label(golden) for golden in goldens.missing(GOLDENS)] == []
    labels = [goldens.label(golden) for golden in GOLDENS]
    assert sorted(labels) == sorted(set(labels))
    configs_there = {path.stem for path in goldens.CONFIGS.rglob("*.yaml")}
    assert {golden["config"] for golden in GOLDENS if "config" in golden} <= configs_there
    assert list(complexity.published()) == list(models.MODELS)


def test_a_config_that_states_its_size_has_that_one() -> None:
    for golden in (golden for golden in GOLDENS if "config" in golden):
        config = configs.load(next(goldens.CONFIGS.rglob(f"{golden['config']}.yaml")))
        assert config.data.image_size in (None, tuple(golden["input"][:2]))


def test_googlenet_main_head_alone_has_the_golden_macs() -> None:
    assert round(complexity.count(models.main(complexity.outline("googlenet"))).macs / 1e9, 3) == 1.583


FOUND = {"parameters": 61706, "trainable": 61706, "macs": 416520, "activations": 6518}
LENET = {
    "model": "lenet5",
    "options": {},
    "external": [{"source": "the paper", "trainable": 61706, "mega_macs": 0.4}],
    "self": {"parameters": 61706, "macs": 416520, "activations": 6518},
}


def test_what_is_changed_is_told_with_both_numbers() -> None:
    assert goldens.problems(LENET, FOUND) == []
    assert goldens.problems(LENET, FOUND | {"trainable": 61707, "macs": 516520}) == [
        "lenet5: trainable is 61,707, the golden (external, the paper) says 61,706",
        "lenet5: mega_macs is 0.5, the golden (external, the paper) says 0.4",
        "lenet5: macs is 516,520, the golden (self) says 416,520",
    ]


def test_what_is_missing_is_told() -> None:
    golden: Golden = copy.deepcopy(LENET) | {"options": {"pooling": "max"}}
    del golden["self"]["activations"]
    golden["self"]["trainable"] = 61706
    assert goldens.problems(golden, FOUND) == [
        "lenet5 pooling=max: trainable is external and needs no golden of our own",
        "lenet5 pooling=max: no golden for activations; `make goldens` writes it",
    ]
    without = [golden for golden in GOLDENS if goldens.label(golden) not in ("resnet18", "config digits-resnet20")]
    assert goldens.missing(without) == [
        {"config": "digits-resnet20", "input": [], "classes": 0, "external": [], "self": {}},
        {"model": "resnet18", "options": {}, "external": [], "self": {}},
    ]


def test_writing_again_leaves_what_is_external(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A wrong external count stays wrong, and is told; a wrong count of our own is written right."""
    wrong = copy.deepcopy(LENET)
    wrong["external"][0]["trainable"] = 7  # type: ignore[index]
    wrong["self"] = {"macs": 7}
    monkeypatch.setattr(goldens, "FILE", tmp_path / "goldens.json")
    monkeypatch.setattr(goldens, "CONFIGS", tmp_path)
    monkeypatch.setattr(complexity, "TABLE", tmp_path / "complexity.json")
    monkeypatch.setattr("kerasnets.models.MODELS", {"lenet5": None, "resnet8": None})
    goldens.FILE.write_text(goldens.dump([wrong]))
    (tmp_path / "own.yaml").touch()
    with pytest.raises(SystemExit) as stopped:
        goldens.main()
    assert str(stopped.value).splitlines() == [
        "config own: add to goldens.json a line such as "
        '{"config": "own", "input": [], "classes": 0, "external": [], "self": {}}',
        "lenet5: trainable is 61,706, the golden (external, the paper) says 7",
    ]
    lenet, resnet = json.loads(goldens.FILE.read_text())["goldens"]
    assert lenet == LENET | {"external": wrong["external"]}
    assert (resnet["model"], resnet["external"], list(resnet["self"])) == ("resnet8", [], list(goldens.COUNTS))
    assert list(json.loads(complexity.TABLE.read_text())["models"]) == ["lenet5", "resnet8"]


def test_the_file_is_as_the_command_writes_it() -> None:
    assert goldens.FILE.read_text(encoding="utf-8") == goldens.dump(GOLDENS)


def test_the_docs_compare_the_golden_counts() -> None:
    text = DOCS.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w.= ]+)`(?: \(CIFAR\))? \| ([\d,]+) \(([\d,]+)\) \|", text, re.MULTILINE)
    assert len(rows) == 19
    ours = {goldens.label(golden).lower(): golden for golden in GOLDENS}
    for label, *numbers in rows:
        counts = {count: value for _, _, count, value in goldens.expected(ours[label])}
        found = [int(number.replace(",", "")) for number in numbers]
        assert found == [counts["trainable"], counts["parameters"]], label
