"""A process of the benchmark: `python -m kerasnets.benchmark.growth.worker TASK` trains some steps and measures.

The step is that of `kerasnets train`: `training.job.prepare` makes it of a config, `model.fit` takes it. Images are
noise, in memory before the first step. The answer is a frame of `artifacts.checker`.
"""

import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from kerasnets import environment
from kerasnets.artifacts import checker
from kerasnets.benchmark.growth.axes import Point
from kerasnets.console import import_tensorflow
from kerasnets.models import specs

_FEW, _MOST, _SECONDS = 3, 20, 2.0
"""Steps that are timed: at least, at most, and until so many seconds are spent."""
_RATE = 0.01


def main(task: str) -> None:
    """Measure a task, which is the JSON of a point, of a precision and of when the process was started."""
    asked = json.loads(task)
    replies = checker.replies_alone()
    threading.Thread(target=_end_with_the_other, daemon=True).start()
    import_tensorflow()
    from kerasnets.training import memory
    from kerasnets.training.exhausted import is_out_of_memory, what
    from kerasnets.training.trials import SPENT

    try:
        with memory.watching(memory.Limit.of("auto"), lambda: os._exit(SPENT)):
            cost = measure(Point(**asked["point"]), asked["precision"], asked["began"])
    except Exception as error:  # whatever a library raises is what this point has to report
        if is_out_of_memory(error):
            sys.exit(SPENT)
        checker.send(replies, {"error": f"{type(error).__name__}: {what(error)}"})
    else:
        checker.send(replies, {"cost": cost})


def _end_with_the_other() -> None:
    """End this process when the one that asked is gone, however that ended: nobody waits for the answer any more."""
    while os.read(0, 1024):  # not by sys.stdin, whose lock a thread must not hold when Python ends
        pass
    os._exit(1)


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

    from kerasnets.benchmark import ours
    from kerasnets.models import memory as prediction

    training = {"batch_size": point.batch, "learning_rate": _RATE, "precision": precision}
    config = ours.settled(point.model, point.shape, training, point.options())
    base = environment.memory_now()
    if base is None:
        raise OSError("this system does not tell what memory a process holds")
    rng = np.random.default_rng(config.seed)
    labels = rng.integers(0, specs.row(point.model).classes, point.batch).astype(np.int32)
    job, targets = ours.job(config, labels)
    images = rng.standard_normal((point.batch, *point.shape), np.float32)
    seconds, first = _steps(job.trainer, images, targets)
    predicted = prediction.predict(job.fast.plain, point.batch, config.training.precision)
    return {
        "precision": config.training.precision,
        "images_per_second": point.batch / statistics.median(seconds),
        "start_up": first - began,
        "base": base,
        "peak": environment.peak_memory(),
        "predicted": predicted.total,
    }


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
