"""Weights, images and labels that follow from names and shapes alone: both sides of a comparison draw the same.

NumPy's RandomState is frozen: its numbers are the same in every version.
"""

import hashlib
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

CLASSES = 10
AUXILIARY_WEIGHT = 0.3
COUNT = 8


def drawn(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return a tensor of a PyTorch state dict: kernels after He, scales, biases and statistics that are not 0 and 1.

    Scales are about a half, and those that end a bottleneck about a fifth, as training leaves them: with scales of 1,
    ResNet-152's training logits in float32 are up to 7e-4 off its own in float64 (torchvision's, measured), and would
    show nothing.
    """
    draw = np.random.RandomState(zlib.crc32(name.encode()))
    if len(shape) > 1:
        values = draw.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    elif name.endswith("running_var"):
        values = draw.uniform(0.5, 1.5, shape)
    elif name.endswith("weight"):
        values = draw.uniform(0.3, 0.7, shape) * (0.4 if ".bn3." in name else 1)
    else:
        values = draw.standard_normal(shape) * 0.1
    return values.astype(np.float32)


def state(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Return name -> drawn tensor, without counters of batches."""
    return {name: drawn(name, shape) for name, shape in shapes.items() if not name.endswith("num_batches_tracked")}


def digest(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Return a hash of names and shapes."""
    lines = sorted(f"{name} {tuple(shape)}" for name, shape in shapes.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def images(size: int) -> np.ndarray:
    """Return float32 `[COUNT, size, size, 3]`."""
    return np.random.RandomState(7).standard_normal((COUNT, size, size, 3)).astype(np.float32)


def labels() -> np.ndarray:
    """Return `[COUNT]` numbers of classes."""
    return np.arange(COUNT, dtype=np.int64) % CLASSES


def differs(found: Any, expected: Any) -> float:
    """Return the largest difference, relative to the largest value that is expected."""
    expected = np.asarray(expected, np.float64)
    return float(np.abs(np.asarray(found, np.float64) - expected).max() / np.abs(expected).max())
