"""`training.learning_rate=find`: a learning-rate range test (Smith 2015, arXiv:1506.01186, sec. 3.3).

Some steps of training, with the real data and optimizer but without schedule and warm-up, while the rate grows
exponentially, until the loss diverges. The peak rate of a schedule may be near where the loss stops falling. Chosen is
the rate by which the logarithm of the loss, smoothed, has made nine tenths of its fall: the rate of the minimum itself
is on the edge, hangs on single batches, and lies on a plateau when rates have only driven all outputs to zero.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kerasnets.console import err, progress
from kerasnets.errors import UserError
from kerasnets.training.trials import OutOfMemory, Trials

if TYPE_CHECKING:
    from kerasnets.training.job import Job

COLUMNS = ("step", "learning_rate", "loss", "smoothed_loss")
_RANGES = {"sgd": (1e-5, 10.0)}
_ADAPTIVE = (1e-6, 1.0)
"""Lowest and highest rate; Adam's updates are as long as its rate, whatever the gradient."""
_FEWEST_STEPS, _MOST_STEPS, _EPOCHS = 60, 200, 2
_SHARE = 0.9
"""Of the fall, at the rate that is chosen."""
_LEAST_FALL = 0.05
"""Share of the loss at the start by which it has to fall."""
_SMOOTHING = 0.04
"""Standard deviation of the kernel that smoothes the curve, in lengths of the curve."""
_DIVERGED, _MEMORY = 4.0, 0.9
"""The test ends when the moving mean of the loss, of this memory, is so many times its lowest value (as in fastai)."""


@dataclass(frozen=True)
class Curve:
    """The loss of each step of a range test, and the rate that was chosen from it."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    chosen: float

    def rows(self) -> list[tuple[object, ...]]:
        """Return the rows of learning_rate.csv, in the order of `COLUMNS`."""
        columns = zip(self.rates, self.losses, smooth(self.losses).tolist(), strict=True)
        return [(step, *row) for step, row in enumerate(columns, start=1)]


def steps(steps_per_epoch: int) -> int:
    """Return how many steps the test takes at most: two epochs, but 60 at least and 200 at most."""
    return min(max(_EPOCHS * steps_per_epoch, _FEWEST_STEPS), _MOST_STEPS)


def rates(optimizer: str, total: int) -> list[float]:
    """Return the rate of each step, growing exponentially."""
    return [float(rate) for rate in np.geomspace(*_RANGES.get(optimizer, _ADAPTIVE), total)]


def smooth(losses: Sequence[float]) -> np.ndarray:
    """Return the smoothed curve; what is not finite, or more than twice the start, counts as twice the start."""
    from scipy.ndimage import gaussian_filter1d  # here, since it takes a tenth of a second, and few runs smooth

    most = 2 * losses[0]
    return gaussian_filter1d(
        np.minimum(np.nan_to_num(losses, nan=most), most), _SMOOTHING * len(losses), mode="nearest"
    )


def choose(tried: Sequence[float], losses: Sequence[float]) -> float:
    """Return the rate to train with, to three digits.

    Raises:
        UserError: the loss did not fall.
    """
    smoothed = smooth(losses)
    start, low = smoothed[0], smoothed.min()
    if len(losses) < _FEWEST_STEPS // 10 or not low < (1 - _LEAST_FALL) * start:
        raise UserError(
            f"training.learning_rate=find: the loss does not fall at any rate from {tried[0]:g} to {tried[-1]:g}: it "
            f"is {losses[0]:.3g} at the first and {losses[-1]:.3g} at the last; see that images and labels belong "
            "together (kerasnets data check), that data.normalize is not none and layers are normalized "
            "(model.normalization), or give a number such as training.learning_rate=0.01"
        )
    level = start * (low / start) ** _SHARE
    return float(f"{tried[int(np.argmax(smoothed <= level))]:.3g}")


def find(trials: Trials, optimizer: str, steps_per_epoch: int, batch: int) -> Curve:
    """Run the test and choose; shows progress.

    Raises:
        UserError: no rate makes the loss fall, or a batch does not fit into memory.
    """
    wanted = rates(optimizer, steps(steps_per_epoch))
    losses: list[float] = []
    with progress("learning rate", total=len(wanted)) as advance:
        try:
            for answer in trials.ask("range_test", rates=wanted):
                losses.append(float(answer["loss"]))
                advance()
        except OutOfMemory:
            raise UserError(
                f"training.learning_rate=find: {batch} images do not fit into memory; "
                f"try training.batch_size={max(batch // 2, 1)}, or auto"
            ) from None
    tried = wanted[: len(losses)]
    curve = Curve(tuple(tried), tuple(losses), choose(tried, losses))
    err.print(f"learning rate {curve.chosen:g}, from {len(tried)} steps of {tried[0]:g} to {tried[-1]:.3g}")
    return curve


def measure(job: "Job", send: Callable[[Any], None], *, rates: Sequence[float]) -> None:
    """In the process of the trials: train with these rates, one a step; send each step's loss."""
    job.trainer.fit(
        job.training_feed(),
        steps_per_epoch=len(rates),
        shuffle=False,
        callbacks=[_Rising(job, send, rates)],
        verbose=0,
    )


class _Rising(keras.callbacks.Callback):
    """Sets the rate of each step and sends its loss, until the loss diverges."""

    def __init__(self, job: "Job", send: Callable[[Any], None], rates: Sequence[float]) -> None:
        super().__init__()
        if job.rate is None:
            raise ValueError("the optimizer's rate has to be one that can be set")
        self._factor = job.rate.variable
        self._peak = job.config.training.rate
        self._send = send
        self._rates = rates
        self._mean = 0.0
        self._lowest = math.inf

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.model.reset_metrics()  # so that the logs are this step's
        self._factor.assign(self._rates[batch] / self._peak)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        loss = float((logs or {})["loss"])
        self._send({"loss": loss})
        self._mean = _MEMORY * self._mean + (1 - _MEMORY) * loss
        mean = self._mean / (1 - _MEMORY ** (batch + 1))
        self._lowest = min(self._lowest, mean)
        self.model.stop_training = not mean <= _DIVERGED * self._lowest
