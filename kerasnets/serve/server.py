"""One server: what it is made of, how it begins and how it ends."""

import asyncio
import os
import signal
import socket
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import uvicorn
from PIL import Image

from kerasnets.console import err
from kerasnets.environment import cores
from kerasnets.errors import Interrupted, UserError
from kerasnets.serve import rpc
from kerasnets.serve.batching import Batcher
from kerasnets.serve.limits import Limits
from kerasnets.serve.metrics import Metrics
from kerasnets.serve.opened import Opened
from kerasnets.serve.repository import Repository
from kerasnets.serve.rest import BACKLOG, Rest
from kerasnets.serve.room import Room
from kerasnets.serve.served import Served
from kerasnets.serve.state import State
from kerasnets.serve.watching import Choice, Watcher

_QUIET = 1.0
"""Seconds without a request after which, at the end, an open connection is taken for idle."""


@dataclass(frozen=True)
class Settings:
    """What the command line asks for.

    Attributes:
        linger: Seconds for which requests are still taken after SIGTERM, while readiness says no.
        poll: Seconds between looks at the store.
    """

    choice: Choice
    host: str
    port: int
    grpc_port: int
    limits: Limits
    linger: float
    poll: float


def run(settings: Settings) -> None:
    """Serve until a signal.

    Raises:
        Interrupted: after SIGINT or SIGTERM, when all that was asked has been answered.
        UserError: there is nothing to serve, or an address cannot be listened on.
        CheckFailed: a file is not the one that was published.
    """
    settings.choice.check()
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # limits of ours say it to the client
    fast = uvicorn.Config("kserve.model_server:app").get_loop_factory()  # uvloop: three times the requests of asyncio's
    with _listener(settings.host, settings.port) as listener, asyncio.Runner(loop_factory=fast) as runner:
        runner.run(_Server(settings).run(listener))


def _listener(host: str, port: int) -> socket.socket:
    """Return a socket that is bound, so that a port in use is known before models are loaded."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise _in_words(error, host, port) from error
    return listener


def _in_words(error: OSError, host: str, port: int) -> UserError:
    return UserError(f"--port {port}: {host} cannot be listened on there: {error.strerror or error}")


class _Server:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        limits, metrics = settings.limits, Metrics()
        self._decoders = ThreadPoolExecutor(cores(), thread_name_prefix="decode")
        self._batcher = Batcher(limits, metrics)
        repository = Repository(metrics)
        self._state = State(limits, metrics, repository, self._decoders, Room(limits.memory))
        self._watcher = Watcher(settings.choice, repository, metrics, limits.batch, self._served)
        self._signals: list[int] = []
        self._asked = asyncio.Event()

    def _served(self, opened: Opened) -> Served:
        return Served(opened, self._batcher, self._decoders, self._settings.limits)

    async def run(self, listener: socket.socket) -> None:
        settings = self._settings
        calls, grpc_port = rpc.server(self._state, settings.host, settings.grpc_port)
        await self._watcher.begin()
        try:
            listener.listen(BACKLOG)
        except OSError as error:  # another server was bound too, and listened first
            raise _in_words(error, settings.host, settings.port) from error
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._signalled, number)
        rest = Rest(self._state)
        tasks = [asyncio.create_task(self._batcher.run()), asyncio.create_task(self._watcher.run(settings.poll))]
        serving = asyncio.create_task(rest.serve(listener))
        await calls.start()
        self._announce(listener.getsockname()[1], grpc_port)
        asked = asyncio.create_task(self._asked.wait())
        await asyncio.wait([asked, serving, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in [serving, *tasks]:
            if task.done():
                task.result()  # a fault of ours: nothing but a signal ends them
        self._state.draining = True
        await asyncio.sleep(settings.linger)
        await asyncio.gather(rest.stop(_QUIET), calls.stop(settings.limits.seconds))
        await serving
        for task in tasks:
            task.cancel()
        self._batcher.close()
        self._decoders.shutdown(cancel_futures=True)
        word = signal.Signals(self._signals[0]).name
        raise Interrupted(f"{word}; {self._state.answered:,} requests were answered", 128 + self._signals[0])

    def _signalled(self, number: int) -> None:
        """Begin to end; at the second signal, end at once."""
        self._signals.append(number)
        if len(self._signals) > 1:
            os._exit(128 + number)
        self._asked.set()

    def _announce(self, port: int, grpc_port: int) -> None:
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        for name in self._state.repository.names():
            numbers = ", ".join(map(str, self._state.repository.versions(name)))
            err.print(f"{name}: serving version {numbers} ({self._settings.choice.form})")
        err.print(f"listening: REST http://{host}:{port}, gRPC {host}:{grpc_port}")
