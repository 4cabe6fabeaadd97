"""Memory for bodies and decoded images: bounded for all requests together."""

import threading
from types import TracebackType
from typing import Self

from kerasnets.serve.refusals import Busy


class Room:
    """So many bytes, shared by all requests and their threads."""

    def __init__(self, size: int) -> None:
        self.size, self.held, self.lock = size, 0, threading.Lock()


class Place:
    """What one request holds of a room; given back when its `with` block ends."""

    def __init__(self, room: Room) -> None:
        self._room, self._held, self._ended = room, 0, False

    def take(self, size: int) -> None:
        """Hold `size` bytes more.

        Raises:
            Busy: the others leave no room for them, or the request has ended while a thread was at work for it.
        """
        with self._room.lock:
            if self._ended:
                raise Busy("the request has ended")
            if self._room.held + size > self._room.size:
                raise Busy("other requests fill the server's memory; send it again later")
            self._room.held += size
            self._held += size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._room.lock:
            self._room.held -= self._held
            self._held, self._ended = 0, True
