"""`training.batch_size=auto`: the smallest batch within 5 % of the best throughput that fits, as measured here."""

import itertools
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import keras

from kerasnets import config as configs
from kerasnets.console import err, progress
from kerasnets.errors import UserError
from kerasnets.training.trials import OutOfMemory, Trials

if TYPE_CHECKING:
    from kerasnets.training.job import Job

TOLERANCE = 0.05
_SMALLEST, _LARGEST = 8, 1024
_PATIENCE = 2
"""Sizes in a row that bring less than the tolerance, after which larger ones are not tried."""
_CLOSE = 0.5
"""Share of the best throughput from which on a size is measured a second time."""
_FEW_STEPS = 10
"""Of an epoch: with fewer it is said that speed is not all."""
_WARM_UP = 2
_STEPS, _SECONDS, _MOST_SECONDS = 5, 1.0, 20.0
"""A size is measured for so many steps and seconds; slow ones, after so many seconds, for two steps."""


@dataclass(frozen=True)
class Trial:
    """A batch size and its images a second; None where it does not fit."""

    batch_size: int
    images_per_second: float | None


@dataclass(frozen=True)
class Choice:
    """The batch size that was chosen, and all that were tried."""

    batch_size: int
    trials: tuple[Trial, ...]

    def document(self) -> dict[str, Any]:
        """Return batch_size.json."""
        return {"tolerance": TOLERANCE, **asdict(self)}


def sizes(images: int, accumulate: int) -> list[int]:
    """Return the sizes to try: powers of two from 8 to 1,024, as far as there are images; else all images."""
    found = [2**power for power in range(3, 11)]
    return [size for size in found if accumulate <= size <= images] or [images]


def choose(speeds: Mapping[int, float]) -> int:
    """Return the smallest size within the tolerance of the best throughput."""
    best = max(speeds.values())
    return min(size for size, speed in speeds.items() if speed >= (1 - TOLERANCE) * best)


def find(trials: Trials, images: int, accumulate: int) -> Choice:
    """Try sizes, smaller ones first, and choose; shows progress and prints a table.

    What else the machine does can only make a size look slower, so those that come close are measured once more, in the
    opposite order, and the faster counts.

    Raises:
        UserError: not even the smallest fits.
    """
    wanted = sizes(images, accumulate)
    with progress("batch size", total=len(wanted)) as advance:
        speeds, too_large = _rise(trials, wanted, advance)
        if not speeds:
            raise UserError(
                f"training.batch_size=auto: not even {wanted[0]} images fit into memory; take a smaller "
                "data.image_size or model, or training.accumulate with a training.batch_size"
            )
        close = [size for size, speed in speeds.items() if speed >= _CLOSE * max(speeds.values())]
        for size in reversed(close):
            speeds[size] = max(speeds[size], _ask(trials, size) or 0.0)
    found = [Trial(size, round(speed, 1)) for size, speed in speeds.items()]
    found += [Trial(size, None) for size in too_large]
    choice = Choice(choose(speeds), tuple(found))
    _show(choice, images)
    return choice


def _rise(trials: Trials, wanted: list[int], advance: Callable[[], None]) -> tuple[dict[int, float], list[int]]:
    """Measure sizes until larger ones do not pay or fit; return speeds, and the size that does not fit."""
    speeds: dict[int, float] = {}
    idle = 0
    for size in wanted:
        best = max(speeds.values(), default=0.0)
        speed = _ask(trials, size)
        advance()
        if speed is None:
            return speeds, [size]
        speeds[size] = speed
        idle = 0 if speed > best * (1 + TOLERANCE) else idle + 1
        if idle == _PATIENCE:
            break
    return speeds, []


def _ask(trials: Trials, size: int) -> float | None:
    """Return the images a second with batches of `size`, or None where they do not fit, also in a fresh process."""
    for _ in range(2):
        try:
            (answer,) = trials.ask("batch_size", size=size)
            return float(answer["images_per_second"])
        except OutOfMemory:
            continue
    return None


def _show(choice: Choice, images: int) -> None:
    err.print("batch size   images/s", highlight=False)
    for trial in choice.trials:
        speed = "does not fit" if trial.images_per_second is None else f"{trial.images_per_second:,.0f}"
        chosen = "   <- training.batch_size" if trial.batch_size == choice.batch_size else ""
        err.print(f"{trial.batch_size:>10}   {speed:>8}{chosen}", highlight=False)
    if (steps := -(-images // choice.batch_size)) < _FEW_STEPS:
        err.print(f"only {steps} steps an epoch: a smaller training.batch_size may learn better", highlight=False)


def measure(job: "Job", send: Callable[[Any], None], *, size: int) -> None:
    """In the process of the trials: train some steps with batches of `size`, validate one batch, send the speed."""
    at = replace(job, config=configs.update(job.config, training={"batch_size": size}))
    timer = _Timer(at.images, size, at.steps_per_epoch)
    job.trainer.fit(
        at.training_feed(),
        steps_per_epoch=_WARM_UP + 1000,
        shuffle=False,
        validation_data=at.validation_feed()[0],
        validation_steps=1,
        callbacks=[timer],
        verbose=0,
    )
    send({"images_per_second": statistics.median(timer.speeds)})


class _Timer(keras.callbacks.Callback):
    """Keeps the images a second of each step but the first ones, and stops when there are enough."""

    def __init__(self, images: int, size: int, steps_per_epoch: int) -> None:
        super().__init__()
        last = images - (steps_per_epoch - 1) * size
        self._sizes = itertools.cycle([size] * (steps_per_epoch - 1) + [last])
        self._began = 0.0
        self._total = 0.0
        self.speeds: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._began = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        float((logs or {})["loss"])  # waits for the device
        seconds, images = time.perf_counter() - self._began, next(self._sizes)
        if batch < _WARM_UP:
            return
        self.speeds.append(images / seconds)
        self._total += seconds
        enough = len(self.speeds) >= _STEPS and self._total >= _SECONDS
        self.model.stop_training = enough or (len(self.speeds) >= 2 and self._total >= _MOST_SECONDS)
