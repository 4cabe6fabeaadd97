"""Workers wait for each other before TensorFlow starts: its own wait says nothing and takes no Ctrl-C.

Worker 0 listens at its own address. The others connect, say who they are and wait; when all are there it tells them to
go, and each starts TensorFlow's server at the same address. Imports no TensorFlow.
"""

import contextlib
import selectors
import socket
import time
from collections.abc import Callable

from kerasnets.errors import UserError
from kerasnets.training.cluster import Cluster

SECONDS = 600.0
"""How long workers wait for each other."""
SAY_EVERY = 20.0
_GREETING, _GO = b"kerasnets 1\n", b"go\n"
_TRY_EVERY = 0.5
_ANSWER = 5.0  # seconds in which worker 0 greets; a TensorFlow that has not ended yet does not


def join(cluster: Cluster, say: Callable[[str], None], seconds: float = SECONDS) -> None:
    """Return when all workers are there.

    Args:
        cluster: of several workers.
        say: hears every 20 seconds who is missing.
        seconds: after which it is given up.

    Raises:
        UserError: this worker's port is in use, or others did not come; names them.
    """
    clock = _Clock(cluster, say, time.monotonic() + seconds)
    if cluster.chief:
        _receive(cluster, clock)
    else:
        cluster.check_port()
        _report(cluster, clock)


class _Clock:
    """Says every so often who is missing, and gives up in the end."""

    def __init__(self, cluster: Cluster, say: Callable[[str], None], end: float) -> None:
        self._index = cluster.index
        self._say = say
        self._end = end
        self._next = time.monotonic() + SAY_EVERY

    def tick(self, missing: str) -> None:
        now = time.monotonic()
        if now > self._end:
            raise UserError(f"worker {self._index} waited in vain for {missing}")
        if now > self._next:
            self._say(f"worker {self._index} waits for {missing}")
            self._next = now + SAY_EVERY


def _receive(cluster: Cluster, clock: _Clock) -> None:
    here: dict[int, socket.socket] = {}
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        listener = stack.enter_context(cluster.listen())
        selector.register(listener, selectors.EVENT_READ)
        while len(here) < len(cluster) - 1:
            clock.tick(", ".join(cluster.name(k) for k in range(1, len(cluster)) if k not in here))
            for key, _ in selector.select(_TRY_EVERY):
                if key.fileobj is listener:
                    connection, _ = listener.accept()
                    stack.enter_context(connection)
                    with contextlib.suppress(OSError):
                        connection.sendall(_GREETING)
                        selector.register(connection, selectors.EVENT_READ)
                    continue
                who = _said(key.fileobj)  # type: ignore[arg-type]
                if who is not None and 0 < who < len(cluster):
                    here[who] = key.fileobj  # type: ignore[assignment]
                else:  # it is gone, or is none of ours
                    selector.unregister(key.fileobj)
                    here = {k: found for k, found in here.items() if found is not key.fileobj}
        for connection in here.values():
            with contextlib.suppress(OSError):
                connection.sendall(_GO)


def _said(connection: socket.socket) -> int | None:
    try:
        text = connection.recv(64).strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _report(cluster: Cluster, clock: _Clock) -> None:
    while True:
        clock.tick(cluster.name(0))
        with contextlib.suppress(OSError), cluster.connect(0, _ANSWER) as connection:
            if _line(connection) == _GREETING:
                connection.sendall(f"{cluster.index}\n".encode())
                connection.settimeout(_TRY_EVERY)
                while True:
                    clock.tick("the others; worker 0 names them")
                    with contextlib.suppress(TimeoutError):
                        if _line(connection) == _GO:
                            return
                        break  # worker 0 is gone: perhaps it comes back
        time.sleep(_TRY_EVERY)


def _line(connection: socket.socket) -> bytes:
    found = b""
    while not found.endswith(b"\n") and (more := connection.recv(1)):
        found += more
    return found
