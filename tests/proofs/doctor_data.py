"""Small data sets for the doctor's suites, written as npz files: whole ones, and such as make a run sick."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from kerasnets.data.arrays import read_idx

FASHION = Path("/usr/share/datasets/fashion-mnist")
Examples = tuple[np.ndarray, np.ndarray]


def digits() -> Examples:
    """Return scikit-learn's digits: uint8 `[1797, 8, 8]`, 10 classes."""
    found = load_digits()
    return (found.images * (255 / 16)).astype(np.uint8), found.target.astype(np.int32)


def fashion(count: int = 6000) -> Examples:
    """Return the first images of Fashion-MNIST at half their size: uint8 `[count, 14, 14]`, 10 classes."""
    images = read_idx(FASHION / "train-images-idx3-ubyte.gz", 3)[:count].reshape(count, 14, 2, 14, 2)
    return images.mean(axis=(2, 4)).astype(np.uint8), read_idx(FASHION / "train-labels-idx1-ubyte.gz", 1)[
        :count
    ].astype(np.int32)


def gratings(count: int = 4000, classes: int = 8) -> Examples:
    """Return noisy stripes of random colours, whose direction is the class: uint8 `[count, 16, 16, 3]`."""
    draw = np.random.default_rng(7)
    labels = draw.integers(0, classes, count)
    y, x = np.mgrid[0:16, 0:16]
    angles = np.pi * (labels + draw.uniform(-0.3, 0.3, count)) / classes
    waves, phases = draw.uniform(0.7, 1.5, count), draw.uniform(0, 2 * np.pi, count)
    along = np.cos(angles)[:, None, None] * x + np.sin(angles)[:, None, None] * y
    stripes = np.sin(along * waves[:, None, None] + phases[:, None, None])[..., None]
    colours = draw.uniform(-70, 70, (count, 1, 1, 3))
    pixels = 128 + stripes * colours + draw.normal(0, 25, (count, 16, 16, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8), labels.astype(np.int32)


def shuffled(examples: Examples) -> Examples:
    """Give every image the label of another."""
    images, labels = examples
    return images, np.random.default_rng(3).permutation(labels)


def few(examples: Examples, each: int) -> dict[str, np.ndarray]:
    """Train on `each` images a class, and validate on up to 1,000 others."""
    images, labels = examples
    chosen = np.concatenate([np.flatnonzero(labels == k)[:each] for k in range(labels.max() + 1)])
    rest = np.setdiff1d(np.arange(len(labels)), chosen)[:1000]
    return {"x_train": images[chosen], "y_train": labels[chosen], "x_val": images[rest], "y_val": labels[rest]}


def rare(examples: Examples, which: tuple[int, ...], share: float) -> Examples:
    """Keep only a share of the images of some classes."""
    images, labels = examples
    kept = np.ones(len(labels), bool)
    for k in which:
        places = np.flatnonzero(labels == k)
        kept[places[max(4, int(share * len(places))) :]] = False
    return images[kept], labels[kept]


SETS: dict[str, Callable[[], Examples | dict[str, np.ndarray]]] = {
    "digits": digits,
    "fashion": fashion,
    "gratings": gratings,
    "digits-shuffled": lambda: shuffled(digits()),
    "gratings-shuffled": lambda: shuffled(gratings()),
    "fashion-few": lambda: few(fashion(), 12),
    "gratings-few": lambda: few(gratings(), 10),
    "digits-rare": lambda: rare(digits(), (3, 8), 0.05),
    "fashion-rare": lambda: rare(fashion(), (6,), 0.03),
}


def write(name: str, folder: Path) -> Path:
    """Write a data set below `folder`, where it is not there already, and return its path."""
    path = folder / f"{name}.npz"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        found = SETS[name]()
        arrays = found if isinstance(found, dict) else {"images": found[0], "labels": found[1]}
        np.savez_compressed(path, **arrays)
    return path
