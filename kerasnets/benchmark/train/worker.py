"""A process of the benchmark: `python -m kerasnets.benchmark.train.worker arm TASK`, or `… peak LIBRARY PRECISION …`.

An arm builds its network, does a step and says so; then it does as many steps as it is told, again and again, until its
input ends. Frames are those of `artifacts.checker`.
"""

import math
import os
import sys
import time
from typing import Any, BinaryIO, Protocol

import numpy as np

from kerasnets.artifacts import checker
from kerasnets.benchmark.train import peak
from kerasnets.benchmark.train.arms import COMPILED, TORCH, Task
from kerasnets.models import specs
from kerasnets.training import memory
from kerasnets.training.trials import SPENT

_SEED = 0
_LONGEST = 500  # letters of an error


class Trained(Protocol):
    """What an arm has, whatever it is written in."""

    precision: str
    macs: int | None

    @property
    def parameters(self) -> int:
        """How many are trained."""

    def steps(self, count: int) -> tuple[float, float]:
        """Do so many steps; return their seconds and the last one's loss."""

    def device_peak(self) -> int | None:
        """Return the most memory that the GPU has held, in bytes; None without one."""


def batch(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Return the images float32 `[N, H, W, C]` and labels int32 `[N]` that every arm gets: noise, of one seed."""
    row, size = specs.row(task.network.model), task.network.batch
    rng = np.random.default_rng(_SEED)
    images = rng.standard_normal((size, *row.input_shape), np.float32)
    return images, rng.integers(0, row.classes, size).astype(np.int32)


def build(task: Task) -> Trained:
    """Import what the arm is written in, and build it."""
    arrays = batch(task)
    if task.arm.kind in (TORCH, COMPILED):
        from kerasnets.benchmark.train.looping import Loop

        return Loop(task, *arrays)
    from kerasnets.benchmark.train import fitting

    return fitting.build(task, *arrays)


def train(task: Task, replies: BinaryIO) -> None:
    """Be an arm."""
    with memory.watching(memory.Limit.of("auto"), lambda: os._exit(SPENT)):
        arm = build(task)
        facts = {"precision": arm.precision, "parameters": arm.parameters, "macs": arm.macs}
        checker.send(replies, {**_turn(arm, 1), **facts})
        while True:
            rested, worked = time.perf_counter(), time.process_time()
            request = checker.receive(sys.stdin.buffer)
            if request is None:
                return
            rest = {"rest": time.perf_counter() - rested, "rest_cpu": time.process_time() - worked}
            checker.send(replies, {**_turn(arm, request[0]["steps"]), **rest})


def _turn(arm: Trained, count: int) -> dict[str, Any]:
    seconds, loss = arm.steps(count)
    if not math.isfinite(loss):
        raise ArithmeticError(f"the loss is {loss}")
    return {"seconds": seconds, "loss": loss, "memory": checker.peak_memory(), "device_memory": arm.device_peak()}


def main(role: str, *words: str) -> None:
    """Do what the command line says; an error is the last frame."""
    replies = checker.replies_alone()
    try:
        if role == "peak":
            library, *precisions = words
            measured = {"tensorflow": peak.tensorflow, "torch": peak.torch}[library]
            checker.send(replies, {"flops": {precision: measured(precision) for precision in precisions}})
        else:
            train(Task.load(words[0]), replies)
    except Exception as error:  # whatever a library raises is what this arm has to report
        checker.send(replies, {"error": f"{type(error).__name__}: {str(error).strip()[:_LONGEST]}"})


if __name__ == "__main__":
    main(*sys.argv[1:])
