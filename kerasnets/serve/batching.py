"""Dynamic batching: images of one size that wait at the same time go through the network together.

One thread computes, a batch at a time, with all cores; meanwhile the event loop takes the next requests, which are
the next batch. Only when it is idle does an image wait, for a short time, for others.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from kerasnets.serve.limits import Limits
from kerasnets.serve.metrics import Metrics
from kerasnets.serve.opened import Opened
from kerasnets.serve.question import Answer
from kerasnets.serve.refusals import Busy

_Kind = tuple[int, int, int]
"""Which version (its `id`), height, width."""


@dataclass(frozen=True)
class _Waiting:
    opened: Opened
    pixels: np.ndarray
    since: float
    answer: "asyncio.Future[Answer]"


class Batcher:
    """Takes images from all requests, for all models. For the event loop's thread alone."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self._limits, self._metrics = limits, metrics
        self._waiting: dict[_Kind, deque[_Waiting]] = {}
        self._images = 0
        self._came = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="compute")

    async def __call__(self, opened: Opened, parts: list[np.ndarray]) -> Answer:
        """Return the artefact's outputs for raw pixels, part after part, each `[n, H, W, C]` of any n and size.

        Raises:
            Busy: too many images are waiting.
        """
        if self._images + sum(map(len, parts)) > self._limits.queue:
            raise Busy(f"{self._images} images are waiting; send it again later")
        answers = [self._put(opened, piece) for part in parts for piece in self._pieces(part)]
        try:
            found = await asyncio.gather(*answers)
        finally:
            for answer in answers:
                answer.cancel()
        return found[0] if len(found) == 1 else {name: np.concatenate([f[name] for f in found]) for name in found[0]}

    async def run(self) -> None:
        """Compute batch after batch, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            batch = self._take(await self._ready())
            if not batch:
                continue
            self._metrics.batch(batch[0].opened.name, sum(len(w.pixels) for w in batch))
            try:
                parts = [w.pixels for w in batch]
                outputs = await loop.run_in_executor(self._thread, batch[0].opened.compute, parts)
            except Exception as error:  # a runtime's own; those who wait for the answer report it
                for waiting in batch:
                    if not waiting.answer.done():
                        waiting.answer.set_exception(error)
                continue
            _hand_out(batch, outputs)

    def close(self) -> None:
        """End the thread, after what it is computing."""
        self._thread.shutdown()

    def _fitting(self, pixels: np.ndarray) -> int:
        """Return how many images of this size may be computed together."""
        return max(1, self._limits.pixels // (pixels.shape[1] * pixels.shape[2]))

    def _pieces(self, pixels: np.ndarray) -> Iterator[np.ndarray]:
        """Cut images of one size into batches."""
        step = min(self._limits.batch, self._fitting(pixels))
        return (pixels[i : i + step] for i in range(0, len(pixels), step))

    def _put(self, opened: Opened, pixels: np.ndarray) -> "asyncio.Future[Answer]":
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        kind = (id(opened), pixels.shape[1], pixels.shape[2])
        self._waiting.setdefault(kind, deque()).append(_Waiting(opened, pixels, time.monotonic(), answer))
        self._count(len(pixels))
        self._came.set()
        return answer

    async def _ready(self) -> _Kind:
        """Return the kind that has waited longest, once it makes a full batch or has waited long enough."""
        while True:
            self._came.clear()
            if not self._waiting:
                await self._came.wait()
                continue
            kind = min(self._waiting, key=lambda kind: self._waiting[kind][0].since)
            queue = self._waiting[kind]
            left = queue[0].since + self._limits.delay - time.monotonic()
            most = min(self._limits.batch, self._fitting(queue[0].pixels))
            if left <= 0 or sum(len(w.pixels) for w in queue) >= most:
                return kind
            try:
                async with asyncio.timeout(left):
                    await self._came.wait()
            except TimeoutError:
                return kind

    def _take(self, kind: _Kind) -> list[_Waiting]:
        """Take a batch off the queue, without those that nobody waits for any more."""
        queue, batch, images = self._waiting[kind], list[_Waiting](), 0
        most = min(self._limits.batch, self._fitting(queue[0].pixels))
        while queue and (not batch or images + len(queue[0].pixels) <= most):
            waiting = queue.popleft()
            self._count(-len(waiting.pixels))
            if not waiting.answer.done():
                batch.append(waiting)
                images += len(waiting.pixels)
        if not queue:
            del self._waiting[kind]
        return batch

    def _count(self, images: int) -> None:
        self._images += images
        self._metrics.waiting(self._images)


def _hand_out(batch: list[_Waiting], outputs: Answer) -> None:
    at = 0
    for waiting in batch:
        end = at + len(waiting.pixels)
        if not waiting.answer.done():
            waiting.answer.set_result({name: values[at:end] for name, values in outputs.items()})
        at = end
