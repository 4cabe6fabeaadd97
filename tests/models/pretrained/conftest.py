"""Files of weights, written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from kerasnets.models import pretrained


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """Write a model's weights under a family's names into a safetensors file; `change` alters them before."""

    def save(model: Any, family: str, change: Callable[[dict[str, np.ndarray]], None] | None = None) -> Path:
        tensors = pretrained.export(model, family)
        if change:
            change(tensors)
        save_file(
            {name: np.ascontiguousarray(value) for name, value in tensors.items()}, tmp_path / "weights.safetensors"
        )
        return tmp_path / "weights.safetensors"

    return save
