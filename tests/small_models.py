"""Models small enough to build often, with weights that are not those of a fresh model."""

from typing import Any

import numpy as np

from kerasnets import models

SMALL: dict[str, dict[str, Any]] = {
    "resnet18": {"blocks": [1, 2], "widths": [4, 6], "stem": "imagenet"},
    "resnet50": {"blocks": [1, 2], "widths": [2, 3], "stem": "imagenet"},
    "resnet50v2": {"blocks": [2, 2], "widths": [2, 3], "stem": "imagenet"},
    "googlenet_torchvision": {"width": 0.05, "stem": "imagenet"},
}


def small(name: str, classes: int = 5, channels: int = 3, size: int = 32, **options: Any) -> Any:
    """Build a narrow, shallow model of a kind."""
    return models.build(name, (size, size, channels), classes, **(SMALL.get(name, {}) | options))


def shuffled(model: Any, seed: int = 3) -> Any:
    """Give each variable values of its own; variances stay above 0."""
    draw = np.random.default_rng(seed)
    for variable in model.weights:
        variable.assign(
            draw.uniform(0.1, 1, variable.shape) * (1 if "variance" in variable.path else draw.choice([-1, 1]))
        )
    return model
