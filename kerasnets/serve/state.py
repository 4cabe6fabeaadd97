"""What the parts of a server share."""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from kerasnets.serve.limits import Limits
from kerasnets.serve.metrics import Metrics
from kerasnets.serve.refusals import Busy, Refused
from kerasnets.serve.repository import Repository
from kerasnets.serve.room import Room

_Parsed = TypeVar("_Parsed")
_SMALL = 64 * 1024
"""Bytes of a document that are parsed where they are: a thread would take longer."""


@dataclass
class State:
    """One running server.

    Attributes:
        decoders: Threads that parse JSON and decode images.
        parsing: Held while a large document is parsed: one at a time, for each takes many times its size.
        draining: Set once a signal has asked the server to end: it is not ready any more, and finishes what it has.
        active: Requests being answered.
        answered: Those that were.
    """

    limits: Limits
    metrics: Metrics
    repository: Repository
    decoders: Executor
    room: Room
    parsing: asyncio.Lock = field(default_factory=asyncio.Lock)
    draining: bool = False
    active: int = 0
    answered: int = 0

    async def parsed(self, size: int, parse: Callable[[], _Parsed]) -> _Parsed:
        """Return what `parse` makes of so many bytes of JSON, or of gRPC's lists: of many, in a thread and alone.

        Raises:
            Refused: there are more than the limit.
        """
        if size > self.limits.json:
            raise Refused(f"more than {self.limits.json:,} bytes of JSON, or of gRPC's typed contents; send raw ones")
        if size <= _SMALL:
            return parse()
        await self.parsing.acquire()
        loop, job = asyncio.get_running_loop(), self.decoders.submit(parse)
        job.add_done_callback(lambda _: loop.call_soon_threadsafe(self.parsing.release))
        return await asyncio.wrap_future(job)  # one that is not waited for any more may still run: the next waits

    @contextmanager
    def request(self, protocol: str) -> Iterator["Outcome"]:
        """Count a request while the block runs; the block says how it ended."""
        began, outcome = time.monotonic(), Outcome()
        self.active += 1
        self.metrics.active(self.active)
        try:
            yield outcome
        finally:
            self.active -= 1
            self.answered += 1
            self.metrics.active(self.active)
            self.metrics.answered(protocol, outcome.status, time.monotonic() - began)


@dataclass
class Outcome:
    """How a request ended: HTTP's status, or gRPC's name of it."""

    status: str = "lost"


@contextmanager
def answering_time(limits: Limits) -> Iterator[None]:
    """Say that the server was too slow, where the block ran out of time."""
    try:
        yield
    except TimeoutError as error:
        raise Busy(f"there was no answer within {limits.seconds:g} seconds; send it again later") from error
