"""What real torchvision and timm models compute with drawn weights, recorded by `make proof-parity`.

A tensor is kept as two numbers: its length, and its length along a drawn direction, in which order and signs count.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from drawn_weights import drawn

RECORDED = Path(__file__).parent / "models" / "pretrained" / "recorded.json"
IMAGES = 2
"""Images whose logits are kept."""


def read() -> list[dict[str, Any]]:
    document = json.loads(RECORDED.read_text(encoding="utf-8"))
    assert document["mark"] == "external"
    models: list[dict[str, Any]] = document["models"]
    return models


def gist(value: np.ndarray) -> list[float]:
    direction = drawn("direction.bias", value.shape).astype(np.float64)
    value = np.asarray(value, np.float64)
    return [float(np.linalg.norm(value)), float((value * direction).sum() / np.linalg.norm(direction))]


def some(names: list[str]) -> list[str]:
    """Return eight names or so, from the first to the last."""
    return names[:: max(1, len(names) // 8)] + names[-1:]


def logits(value: np.ndarray) -> list[list[float]]:
    return [[float(f"{one:.7g}") for one in row] for row in value[:IMAGES]]
