"""HTTP connections that are slow, too many or send headers without end: what uvicorn leaves open."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from kerasnets.serve.limits import Limits

_HEADERS = 64 * 1024
"""Bytes of a request's line and headers."""


def protocol(limits: Limits) -> type[HttpToolsProtocol]:
    """Return uvicorn's protocol with limits."""

    class Limited(HttpToolsProtocol):
        """One connection."""

        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **named)
            self._in_headers, self._header_bytes, self._messages = True, 0, 0
            self._timers: dict[str, asyncio.TimerHandle] = {}

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > limits.connections:
                self._refuse(b"503 Service Unavailable", f"the server has {limits.connections} connections already")
                return
            self._start("headers")

        def connection_lost(self, exc: Exception | None) -> None:
            for name in list(self._timers):
                self._stop(name)
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            messages = self._messages
            super().data_received(data)
            if self._in_headers and messages == self._messages and not self.transport.is_closing():
                self._header_bytes += len(data)
                if self._header_bytes > _HEADERS:
                    self._refuse(b"431 Request Header Fields Too Large", f"headers of more than {_HEADERS:,} bytes")
            if (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing():
                self._start("headers")  # uvicorn has stopped its own timer, whatever came

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._in_headers, self._header_bytes = True, 0
            self._start("headers")

        def on_headers_complete(self) -> None:
            self._in_headers = False
            self._stop("headers")
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._in_headers, self._messages = False, self._messages + 1
            super().on_message_complete()

        def pause_writing(self) -> None:
            self._start("writing")
            super().pause_writing()

        def resume_writing(self) -> None:
            self._stop("writing")
            super().resume_writing()

        def send_400_response(self, msg: str) -> None:
            self._refuse(b"400 Bad Request", "this is not HTTP")

        def _start(self, name: str) -> None:
            if name not in self._timers:
                self._timers[name] = self.loop.call_later(limits.seconds, self.transport.abort)

        def _stop(self, name: str) -> None:
            if name in self._timers:
                self._timers.pop(name).cancel()

        def _refuse(self, status: bytes, sentence: str) -> None:
            body = b'{"error":"%s"}' % sentence.encode()
            head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
            self.transport.write(b"HTTP/1.1 %s\r\n%s%s" % (status, head, body))
            self.transport.close()

    return Limited
