"""The other end of the benchmark's processes."""

import math
import tempfile
import time
from types import TracebackType
from typing import Any, Self

from kerasnets.artifacts.process import Ended
from kerasnets.benchmark import children
from kerasnets.benchmark.train import worker
from kerasnets.benchmark.train.arms import Task
from kerasnets.errors import CheckFailed

_TIMEOUT = 1200.0
"""Seconds until an arm has to answer: `torch.compile` of a deep network takes minutes."""


class Failed(Exception):
    """An arm cannot do it, and these words say why."""


class ArmProcess:
    """A process that trains; use it as a context manager, or `close` it.

    Attributes:
        task: what it was told.
        precision: what its layers compute in.
        parameters: how many are trained.
        macs: of one image's way forward; None where it does not tell.
        first_step: seconds from its start to the end of its first step.
        second_step: seconds of the next, which does not count.
        memory: most bytes that it has held so far.
        device_memory: the same of the GPU; None without one.
        idle: the share of a core that it took while others had their turn.
        loss: of its last step.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self._caches = tempfile.TemporaryDirectory(prefix="kerasnets-benchmark-", ignore_cleanup_errors=True)
        began = time.perf_counter()
        self._child = children.start(
            *(str(task.arm), worker.__name__, "arm", task.dump()),
            timeout=_TIMEOUT,
            TORCHINDUCTOR_CACHE_DIR=self._caches.name,
        )
        self._rest, self._rest_cpu = 0.0, 0.0
        self.memory, self.loss = 0, math.nan
        self.device_memory: int | None = None
        try:
            found = self._keep(self._answer("to do its first step", None))
            self.first_step = time.perf_counter() - began
            self.precision, self.parameters, self.macs = (found[key] for key in ("precision", "parameters", "macs"))
            self.second_step = self.steps(1)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End it, and what it started."""
        self._child.close()
        self._caches.cleanup()

    def steps(self, count: int) -> float:
        """Have it do so many steps; return the mean seconds of one.

        Raises:
            Failed: it cannot, for want of memory or by an error.
        """
        found = self._keep(self._answer(f"to do {count} steps", {"steps": count}))
        self._rest, self._rest_cpu = self._rest + found["rest"], self._rest_cpu + found["rest_cpu"]
        return float(found["seconds"]) / count

    @property
    def idle(self) -> float:
        """See above."""
        return self._rest_cpu / self._rest

    def _answer(self, what: str, request: dict[str, Any] | None) -> dict[str, Any]:
        try:
            header, _ = self._child.receive(what) if request is None else self._child.ask(what, request)
        except Ended as ended:
            raise Failed(children.why(ended)) from None
        except CheckFailed as late:
            raise Failed(str(late)) from None
        if "error" in header:
            raise Failed(header["error"])
        return header

    def _keep(self, found: dict[str, Any]) -> dict[str, Any]:
        self.memory, self.device_memory, self.loss = (found[key] for key in ("memory", "device_memory", "loss"))
        return found


def peaks(library: str, precisions: tuple[str, ...]) -> dict[str, float]:
    """Return precision -> FLOP a second of the best matrix product of "tensorflow" or "torch", in a fresh process.

    Raises:
        CheckFailed: the process ended.
    """
    child = children.start(
        *(f"matrix products in {library}", worker.__name__, "peak", library, *precisions), timeout=_TIMEOUT
    )
    try:
        header, _ = child.receive("to measure them")
    finally:
        child.close()
    if "error" in header:
        raise CheckFailed(f"matrix products in {library}: {header['error']}")
    found: dict[str, float] = header["flops"]
    return found
