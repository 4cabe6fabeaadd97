"""What the input pipeline adds to a training step, in pairs."""

import statistics
from collections.abc import Callable
from typing import Any

from kerasnets.benchmark.input.clock import Clock, settle
from kerasnets.benchmark.input.result import StepCost
from kerasnets.console import progress
from kerasnets.training.job import Job


def measure(job: Job, rounds: int) -> StepCost:
    """Time steps in pairs: on a batch that is there, and on the next one of the pipeline.

    The pipeline has batches ready when a step begins, as in training while it keeps up, and makes another one in the
    meantime. The cores' time goes on until that is done.
    """
    batches = iter(job.training_feed())
    constant = next(batches)
    batch = len(constant[0])

    def following() -> Any:
        while len((found := next(batches))[0]) < batch:
            pass  # the last of an epoch
        return found

    arms: dict[str, Callable[[], Any]] = {"there": lambda: constant, "fed": following}
    found: dict[str, list[Clock]] = {name: [] for name in arms}
    with progress("pairs of steps", total=rounds) as advance:
        for turn in range(-1, rounds):
            for name in arms if turn % 2 else reversed(arms):
                settle()
                began = Clock.now()
                job.trainer.train_on_batch(*arms[name]())
                wall = began.since().wall
                settle()
                if turn >= 0:
                    found[name].append(Clock(wall, began.since().cpu))
            if turn >= 0:
                advance()
    pairs = list(zip(found["fed"], found["there"], strict=True))
    return StepCost(
        batch=batch,
        seconds=statistics.median(there.wall for there in found["there"]),
        cpu=statistics.median(there.cpu for there in found["there"]) / batch,
        share=statistics.median(fed.wall / there.wall for fed, there in pairs) - 1,
        cpu_share=statistics.median(fed.cpu / there.cpu for fed, there in pairs) - 1,
    )
