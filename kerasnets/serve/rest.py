"""The REST side: routes of both protocols on the SDK's application, and its HTTP server on an address of ours."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import orjson
import uvicorn
from fastapi import FastAPI, Request, Response
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.model_repository_extension import ModelRepositoryExtension
from kserve.protocol.rest.server import RESTServer, metrics_handler
from starlette.exceptions import HTTPException

from kerasnets.console import err
from kerasnets.serve import body, v1, v2
from kerasnets.serve.connections import protocol
from kerasnets.serve.guard import Guard
from kerasnets.serve.refusals import Busy, Refused, Unknown
from kerasnets.serve.room import Place
from kerasnets.serve.served import Served
from kerasnets.serve.state import State, answering_time

BACKLOG = 1024
"""Connections that wait to be accepted."""
_SMALL = 64 * 1024
"""Bytes of an answer that are written where they are: a thread would take longer."""


class Uvicorn(uvicorn.Server):
    """Leaves signals to us: gRPC has to end with it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Rest(RESTServer):
    """The SDK's server, with our routes, limits and words for errors."""

    def __init__(self, state: State) -> None:
        data_plane = DataPlane(state.repository)
        super().__init__("kserve.model_server:app", data_plane, ModelRepositoryExtension(state.repository), http_port=0)
        self._state = state
        self.config = uvicorn.Config(
            "kserve.model_server:app",
            http=protocol(state.limits),
            lifespan="off",
            ws="none",  # it would take connections out of the count
            log_config=None,
            log_level="critical",  # refusals are counted in the metrics; faults are printed where they are caught
            access_log=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=65,
            timeout_graceful_shutdown=int(state.limits.seconds) + 5,
        )
        self._server = Uvicorn(self.config)

    async def serve(self, listener: socket.socket) -> None:
        """Serve until `stop`."""
        self.create_application()
        await self._server.serve(sockets=[listener])

    async def stop(self, quiet: float) -> None:
        """Accept no more connections, finish those that are there, and end.

        Args:
            quiet: Seconds after which a connection without a request is taken for idle.
        """
        for server in self._server.servers:
            server.close()
        loop, connections = asyncio.get_running_loop(), self._server.server_state.connections
        idle_since = loop.time()
        while connections and loop.time() - idle_since < quiet:
            await asyncio.sleep(0.02)
            if self._state.active:
                idle_since = loop.time()
        self._server.should_exit = True

    def _add_middlewares(self, app: FastAPI) -> None:
        app.add_middleware(Guard, state=self._state)

    def _add_exception_handlers(self, app: FastAPI) -> None:
        app.add_exception_handler(Refused, _refused)
        app.add_exception_handler(HTTPException, _no_path)
        app.add_exception_handler(Exception, _fault)

    def _register_endpoints(self, app: FastAPI) -> None:
        routes = Routes(self._state)
        model, version = "/models/{name}", "/models/{name}/versions/{version}"
        get: dict[str, Callable[..., Any]] = {
            "/": routes.live,
            "/metrics": metrics_handler,
            "/v1/models": routes.list,
            f"/v1{model}": routes.status,
            f"/v1{version}": routes.status,
            f"/v1{model}/metadata": routes.signatures,
            f"/v1{version}/metadata": routes.signatures,
            "/v2": routes.server,
            "/v2/health/live": routes.live,
            "/v2/health/ready": routes.ready,
            "/v2/models": routes.list,
            f"/v2{model}": routes.metadata,
            f"/v2{version}": routes.metadata,
            f"/v2{model}/ready": routes.model_ready,
            f"/v2{version}/ready": routes.model_ready,
        }
        for path in (model, version):
            app.add_route(f"/v1{path}:predict", routes.predict, methods=["POST"])
            app.add_route(f"/v2{path}/infer", routes.infer, methods=["POST"])
        for path, handler in get.items():
            app.add_route(path, handler, methods=["GET"])


class Routes:
    """A method a route."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def live(self, request: Request) -> Response:
        """Say that the process answers."""
        return _json({"live": True})

    async def ready(self, request: Request) -> Response:
        """Say whether requests should be sent here."""
        return _json({"ready": not self._state.draining}, 503 if self._state.draining else 200)

    async def server(self, request: Request) -> Response:
        """Name the server and what it can do."""
        return _json(server_metadata())

    async def list(self, request: Request) -> Response:
        """Name the models."""
        return _json({"models": self._state.repository.names()})

    async def status(self, request: Request) -> Response:
        """Say which versions of a model there are, as TensorFlow Serving does."""
        found = self._found(request)
        one = "version" in request.path_params
        versions = self._state.repository.versions(found.opened.name)
        return _json(v1.status({found.opened.version: found} if one else versions))

    async def signatures(self, request: Request) -> Response:
        """Describe inputs and outputs, as TensorFlow Serving does."""
        return _json(v1.metadata(self._found(request)))

    async def metadata(self, request: Request) -> Response:
        """Describe inputs and outputs, as the Open Inference Protocol does."""
        found = self._found(request)
        return _json(v2.metadata(found, list(self._state.repository.versions(found.opened.name))))

    async def model_ready(self, request: Request) -> Response:
        """Say whether a model can be asked."""
        found = self._found(request)
        ready = await found.healthy() and not self._state.draining
        return _json({"name": found.opened.name, "ready": ready}, 200 if ready else 503)

    async def predict(self, request: Request) -> Response:
        """Answer a request of TensorFlow Serving's protocol."""
        served, limits = self._found(request), self._state.limits
        with Place(self._state.room) as place:
            content = await body.read(request, limits, place)
            with answering_time(limits):
                async with asyncio.timeout(limits.seconds):
                    parse = partial(_v1, content, served, limits, place)
                    question, rows = await self._state.parsed(len(content), parse)
                    answer = await served.ask(question)
            return await self._encoded(answer, lambda: _json(v1.answer(answer, rows)))

    async def infer(self, request: Request) -> Response:
        """Answer a request of the Open Inference Protocol."""
        served, limits = self._found(request), self._state.limits
        with Place(self._state.room) as place:
            content = await body.read(request, limits, place)
            length = _json_length(request.headers.get(v2.HEADER_LENGTH), len(content))
            with answering_time(limits):
                async with asyncio.timeout(limits.seconds):
                    asked = await self._state.parsed(length, partial(v2.Infer, content, length, served, limits, place))
                    answer = await served.ask(asked.question)
            return await self._encoded(answer, lambda: _tensors(*asked.answer(answer)))

    def _found(self, request: Request) -> Served:
        return self._state.repository.find(request.path_params["name"], request.path_params.get("version"))

    async def _encoded(self, answer: dict[str, Any], encode: Callable[[], Response]) -> Response:
        if sum(values.nbytes for values in answer.values()) <= _SMALL:
            return encode()
        return await asyncio.get_running_loop().run_in_executor(self._state.decoders, encode)


def server_metadata() -> dict[str, Any]:
    """Return the name, version and extensions of the server."""
    from kerasnets import __version__

    return {"name": "kerasnets", "version": __version__, "extensions": ["binary_tensor_data"]}


def _v1(content: bytes, served: Served, limits: Any, place: Place) -> Any:
    return v1.question(v2.parsed(content), served, limits, place)


def _json_length(text: str | None, size: int) -> int:
    if text is None:
        return size
    if not text.isdecimal() or len(text) > 19 or int(text) > size:
        raise Refused(f"{v2.HEADER_LENGTH}: '{text:.40}' is not a number of bytes of the body")
    return int(text)


def _json(document: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(document), status, media_type="application/json")


def _tensors(content: bytes, json_length: int | None) -> Response:
    if json_length is None:
        return Response(content, media_type="application/json")
    return Response(content, headers={v2.HEADER_LENGTH: str(json_length)}, media_type="application/octet-stream")


async def _refused(_: Request, error: Exception) -> Response:
    response = _json({"error": str(error)}, error.status if isinstance(error, Refused) else 400)
    if isinstance(error, Busy):
        response.headers["retry-after"] = "1"
    return response


async def _no_path(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else Unknown.status
    what = "does not take" if status == 405 else "has no answer to"
    return _json({"error": f"{request.url.path:.100} {what} {request.method}"}, status)


async def _fault(request: Request, error: Exception) -> Response:
    err.print(f"fault in {request.method} {request.url.path}: {type(error).__name__}: {error}")
    return _json({"error": "a fault of the server; its log says more"}, 500)
