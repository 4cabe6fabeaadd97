"""Exact counts of every variant: against other libraries and independent computations, and against the shipped table.

Entries of goldens.json are all `external`: they come from elsewhere and are never regenerated from our own output.
The shipped table, complexity.json, holds our own counts.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from kerasnets import models
from kerasnets.models import complexity

GOLDENS = json.loads(Path(__file__).with_name("goldens.json").read_text(encoding="utf-8"))["goldens"]
DEEP = ("101", "152", "110", "1202")  # half a second each, or eight


def parameter(name: str, value: Any, label: str) -> Any:
    return pytest.param(value, id=label, marks=pytest.mark.slow if any(deep in name for deep in DEEP) else ())


def label(golden: dict[str, Any]) -> str:
    return "-".join([golden["model"], *(f"{key}={value}" for key, value in golden["options"].items())])


@pytest.mark.parametrize("golden", [parameter(golden["model"], golden, label(golden)) for golden in GOLDENS])
def test_golden(golden: dict[str, Any], outlined: Any) -> None:
    assert golden["mark"] == "external"
    cost = complexity.count(outlined(golden["model"], **golden["options"]))
    counted = {
        "trainable": cost.trainable,
        "parameters": cost.parameters,
        "giga_macs": round(cost.macs / 1e9, 3),
        "mega_macs": round(cost.macs / 1e6, 1),
    }
    expected = {key: golden[key] for key in counted if key in golden}
    assert expected
    assert {key: counted[key] for key in expected} == expected


def test_googlenet_main_head_alone_has_the_golden_macs(outlined: Any) -> None:
    assert round(complexity.count(models.main(outlined("googlenet"))).macs / 1e9, 3) == 1.583


def test_the_shipped_table_has_every_model() -> None:
    assert list(complexity.published()) == list(models.MODELS)


@pytest.mark.parametrize("name", [parameter(name, name, name) for name in models.MODELS])
def test_the_shipped_table_is_what_is_built(name: str, outlined: Any) -> None:
    assert complexity.count(models.main(outlined(name))) == complexity.published()[name]
