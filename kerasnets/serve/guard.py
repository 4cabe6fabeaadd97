"""Around every HTTP request: counts it, tells clients when the server ends, and lets them finish what they send."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from kerasnets.serve.state import Outcome, State

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_LINGER = 5.0
"""Seconds for which the rest of a refused body is read and thrown away: cut off, clients would not see the refusal."""


class Guard:
    """ASGI middleware."""

    def __init__(self, app: App, state: State) -> None:
        self._app, self._state = app, state

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._state.request("rest") as outcome:
            exchange = _Exchange(receive, send, outcome, self._state)
            await self._app(scope, exchange.receive, exchange.send)


class _Exchange:
    def __init__(self, receive: Receive, send: Send, outcome: Outcome, state: State) -> None:
        self._receive, self._send, self._outcome, self._state = receive, send, outcome, state
        self._unread = True

    async def receive(self) -> Message:
        message = await self._receive()
        self._unread = message["type"] == "http.request" and message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._outcome.status = str(message["status"])
            if self._state.draining or message["status"] in (408, 413):
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
        elif self._unread and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._discard()
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    async def _discard(self) -> None:
        try:
            async with asyncio.timeout(_LINGER):
                while self._unread:
                    await self.receive()
        except TimeoutError:
            return
