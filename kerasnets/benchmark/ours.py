"""Our training as benchmarks run it: what `kerasnets train` makes of a config, without data, telemetry and files."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from kerasnets import config as configs
from kerasnets import environment, models
from kerasnets.config import Config
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.data.sources import Dataset, Split
from kerasnets.models import specs
from kerasnets.training import precision, runtime
from kerasnets.training.distribute import Distribution
from kerasnets.training.job import Job, prepare


def settled(
    model: str, shape: tuple[int, int, int], training: Mapping[str, Any], options: Mapping[str, Any] | None = None
) -> Config:
    """Return the config of a run on one device, resolved also in its precision; set up threads and kernels for it.

    Args:
        model: A name of `kerasnets models`.
        shape: Height, width and channels of the images.
        training: Keys of that section.
        options: Of the model.
    """
    raw = {
        "name": "benchmark",
        "model": {"name": model, **(options or {})},
        "data": {"source": "digits", "image_size": list(shape[:2]), "channels": shape[2], "normalize": "none"},
        "training": {"schedule": "constant", "strategy": "none", "threads": environment.cores(), **training},
        "telemetry": {"every": 0, "report": False},
    }
    config = configs.check(raw, "the benchmark's config")
    runtime.prepare(config.seed, config.training.threads)
    return precision.settle(config, Distribution())


def job(config: Config, labels: np.ndarray) -> tuple[Job, np.ndarray]:
    """Return network, trainer and optimizer of a config that is settled, and the labels int `[N]` as one-hot targets.

    The job has no images: the caller feeds its trainer.
    """
    row, data = specs.row(config.model.name), config.data
    if data.image_size is None or data.channels is None:
        raise ValueError("the config does not say what its images are")
    split = Split(labels, np.zeros((len(labels), 1, 1, 1), np.uint8), None, range(len(labels)))  # type: ignore[arg-type]
    dataset = Dataset(tuple(str(number) for number in range(row.classes)), split, split)
    channels = data.channels
    as_it_is = Preprocessing(data.image_size, channels, "squash", 1.0, (0.0,) * channels, (1.0,) * channels)
    plain = models.build(row.name, (*data.image_size, channels), row.classes, **config.model.options)
    made = prepare(config, dataset, {"train": frozenset()}, as_it_is, Distribution(), plain)
    return made, np.eye(row.classes, dtype=np.float32)[labels]
