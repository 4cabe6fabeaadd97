"""A process of the benchmark: `python -m kerasnets.benchmark.growth.worker TASK` trains some steps and measures.

The step is that of `kerasnets train`: `training.job.prepare` makes it of a config, `model.fit` takes it. Images are
noise, in memory before the first step. The last line of stdout is the answer, JSON.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Mapping
from typing import Any

from kerasnets import config as configs
from kerasnets import environment
from kerasnets.benchmark.growth.axes import Point
from kerasnets.config import Config
from kerasnets.console import import_tensorflow
from kerasnets.models import specs

_FEW, _MOST, _SECONDS = 3, 20, 2.0
"""Steps that are timed: at least, at most, and until so many seconds are spent."""
_LONGEST = 300
"""Letters of an error."""


def main(task: str) -> None:
    """Measure a task, which is the JSON of a point, of a precision and of when the process was started."""
    asked = json.loads(task)
    import_tensorflow()
    from kerasnets.training import memory
    from kerasnets.training.exhausted import is_out_of_memory, what
    from kerasnets.training.trials import SPENT

    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer
    try:
        with memory.watching(memory.Limit.of("auto"), lambda: os._exit(SPENT)):
            found = measure(Point(**asked["point"]), asked["precision"], asked["began"])
    except Exception as error:
        if is_out_of_memory(error):
            sys.exit(SPENT)
        found = {"error": f"{type(error).__name__}: {what(error)}"[:_LONGEST]}
    answers.write(json.dumps(found) + "\n")


def measure(point: Point, precision: str, began: float) -> dict[str, Any]:
    """Train some steps.

    Args:
        point: what is trained.
        precision: what layers compute in; auto is settled here.
        began: when the process was started, `time.time()`.

    Returns:
        images_per_second (median of steps), start_up (seconds from `began` to the end of the first step), base, peak
        and predicted (bytes: before the network is built, the most so far, and what the prediction adds to the base),
        precision.
    """
    import numpy as np

    from kerasnets import models
    from kerasnets.data.preprocessing import Preprocessing
    from kerasnets.data.sources import Dataset, Split
    from kerasnets.models import memory as prediction
    from kerasnets.training import precision as precisions
    from kerasnets.training import runtime
    from kerasnets.training.distribute import Distribution
    from kerasnets.training.job import prepare

    config = our_config(point, precision)
    runtime.prepare(config.seed, config.training.threads)
    config = precisions.settle(config, Distribution())
    base = environment.memory_now()
    if base is None:
        raise OSError("this system does not tell what memory a process holds")
    row = specs.row(point.model)
    rng = np.random.default_rng(config.seed)
    shape = (point.size, point.size, row.input_shape[2])
    labels = rng.integers(0, row.classes, point.batch).astype(np.int32)
    pixels = np.zeros((len(labels), 1, 1, 1), np.uint8)
    split = Split(labels, pixels, None, range(len(labels)))  # type: ignore[arg-type]
    dataset = Dataset(tuple(str(number) for number in range(row.classes)), split, split)
    as_it_is = Preprocessing(shape[:2], shape[2], "squash", 1.0, (0.0,) * shape[2], (1.0,) * shape[2])
    plain = models.build(point.model, shape, row.classes, **point.options())
    job = prepare(config, dataset, {"train": frozenset()}, as_it_is, Distribution(), plain)
    images = rng.standard_normal((point.batch, *shape), np.float32)
    seconds, first = _steps(job.trainer, images, np.eye(row.classes, dtype=np.float32)[labels])
    predicted = prediction.predict(plain, point.batch, config.training.precision)
    return {
        "precision": config.training.precision,
        "images_per_second": point.batch / statistics.median(seconds),
        "start_up": first - began,
        "base": base,
        "peak": environment.peak_memory(),
        "predicted": predicted.total,
    }


def our_config(point: Point, precision: str) -> Config:
    """Return the config of a run on these images without telemetry, as `kerasnets train` would have it."""
    channels = specs.row(point.model).input_shape[2]
    raw = {
        "name": "growth",
        "model": {"name": point.model, **point.options()},
        "data": {"source": "digits", "image_size": [point.size, point.size], "channels": channels, "normalize": "none"},
        "training": {
            "batch_size": point.batch,
            "learning_rate": 0.01,
            "precision": precision,
            "strategy": "none",
            "threads": environment.cores(),
        },
        "telemetry": {"every": 0, "report": False},
    }
    return configs.check(raw, "the benchmark's config")


def _steps(trainer: Any, images: Any, targets: Any) -> tuple[list[float], float]:
    """Train on one batch again and again; return the seconds of each step but the first, and when that was done."""
    import keras
    import tensorflow as tf

    class Clock(keras.callbacks.Callback):
        """Measures steps as the user of `fit` sees them; a loss that is a number waits for the device."""

        began = first = 0.0

        def __init__(self) -> None:
            super().__init__()
            self.seconds: list[float] = []

        def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
            self.began = time.perf_counter()

        def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
            float((logs or {})["loss"])
            if batch == 0:
                self.first = time.time()
                return
            self.seconds.append(time.perf_counter() - self.began)
            self.model.stop_training = len(self.seconds) >= _FEW and sum(self.seconds) >= _SECONDS

    clock = Clock()
    batches = tf.data.Dataset.from_tensors((images, targets)).repeat()
    trainer.fit(batches, steps_per_epoch=_MOST + 1, verbose=0, shuffle=False, callbacks=[clock])
    return clock.seconds, clock.first


if __name__ == "__main__":
    main(sys.argv[1])
