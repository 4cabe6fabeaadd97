"""The gRPC side of the Open Inference Protocol: the SDK's service, on an address of ours."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import grpc
from kserve import InferResponse
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import (
    GRPCInferenceServiceServicer,
    add_GRPCInferenceServiceServicer_to_server,
)

from kerasnets.console import err
from kerasnets.errors import UserError
from kerasnets.serve import tensors, v2
from kerasnets.serve.limits import Limits
from kerasnets.serve.question import Question
from kerasnets.serve.refusals import Refused
from kerasnets.serve.rest import server_metadata
from kerasnets.serve.room import Place
from kerasnets.serve.served import Served
from kerasnets.serve.state import State, answering_time
from kerasnets.serve.tensors import Tensor

_CONTENTS = {"FP32": "fp32_contents", "UINT8": "uint_contents", "BYTES": "bytes_contents"}
"""Data type -> the field for tensors that are not sent raw."""
_OVERHEAD = 64 * 1024
"""Bytes of a message beside its tensors."""


def server(state: State, host: str, port: int) -> tuple[grpc.aio.Server, int]:
    """Return a server that is bound but does not answer yet, and its port.

    Raises:
        UserError: the port is in use, or the address is not this machine's.
    """
    limits = state.limits
    options = [
        ("grpc.max_receive_message_length", limits.body + _OVERHEAD),
        ("grpc.compression_enabled_algorithms_bitset", 1),  # none: a length is checked before it is unpacked
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", 16 * 1024),
        ("grpc.so_reuseport", 0),  # else a second server would take the same port, and half of the calls
    ]
    found = grpc.aio.server(options=options, maximum_concurrent_rpcs=limits.calls)
    add_GRPCInferenceServiceServicer_to_server(Service(state), found)
    try:
        bound = found.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except RuntimeError as error:
        raise UserError(f"--grpc-port {port}: {host} cannot be listened on there; is it in use?") from error
    return found, bound


class Service(GRPCInferenceServiceServicer):
    """A method a call. Each names its request as the protocol does."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def ServerLive(self, request: Any, context: Any) -> Any:
        """Say that the process answers."""
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request: Any, context: Any) -> Any:
        """Say whether requests should be sent here."""
        return pb.ServerReadyResponse(ready=not self._state.draining)

    async def ServerMetadata(self, request: Any, context: Any) -> Any:
        """Name the server and what it can do."""
        return pb.ServerMetadataResponse(**server_metadata())

    async def ModelReady(self, request: Any, context: Any) -> Any:
        """Say whether a model can be asked."""

        async def answer() -> Any:
            served = self._state.repository.find(request.name, request.version)
            return pb.ModelReadyResponse(ready=await served.healthy() and not self._state.draining)

        return await self._counted(context, answer)

    async def ModelMetadata(self, request: Any, context: Any) -> Any:
        """Describe inputs and outputs; the message has no place for class names."""

        async def answer() -> Any:
            served = self._state.repository.find(request.name, request.version)
            found = v2.metadata(served, list(self._state.repository.versions(request.name)))
            plain = [{k: output[k] for k in ("name", "datatype", "shape")} for output in found["outputs"]]
            return pb.ModelMetadataResponse(**{**found, "outputs": plain})

        return await self._counted(context, answer)

    async def ModelInfer(self, request: Any, context: Any) -> Any:
        """Answer a request."""

        async def answer() -> Any:
            served = self._state.repository.find(request.model_name, request.model_version)
            with Place(self._state.room) as place, answering_time(self._state.limits):
                async with asyncio.timeout(self._state.limits.seconds):
                    return await self._infer(request, served, place)

        return await self._counted(context, answer)

    async def _infer(self, request: Any, served: Served, place: Place) -> Any:
        size = request.ByteSize()
        place.take(size)
        raw = _raw(request)
        parse = partial(_question, request, raw, served, self._state.limits, place)
        question = await self._state.parsed(size - len(raw or b""), parse)
        answer = await served.ask(question)
        response = InferResponse(
            response_id=request.id,
            model_name=served.opened.name,
            model_version=str(served.opened.version),
            infer_outputs=v2.outputs(answer, served),
        )  # of arrays it makes raw contents, the only form that tritonclient reads
        return response.to_grpc()

    async def _counted(self, context: Any, answer: Callable[[], Awaitable[Any]]) -> Any:
        with self._state.request("grpc") as outcome:
            try:
                found = await answer()
            except Refused as error:
                outcome.status = error.code
                return await context.abort(grpc.StatusCode[error.code], str(error))
            except Exception as error:  # the last resort: said in the log, and the server goes on
                outcome.status = "INTERNAL"
                err.print(f"fault in gRPC: {type(error).__name__}: {error}")
                return await context.abort(grpc.StatusCode.INTERNAL, "a fault of the server; its log says more")
            outcome.status = "OK"
            return found


def _raw(request: Any) -> bytes | None:
    """Return the contents of the one input, where they are raw."""
    found = request.raw_input_contents
    if found and len(found) != len(request.inputs):
        raise Refused(f"there are {len(request.inputs)} inputs, but raw contents of {len(found)}")
    tensors.check_one(len(request.inputs))
    return found[0] if found else None


def _question(request: Any, raw: bytes | None, served: Served, limits: Limits, place: Place) -> Question:
    names = [output.name for output in request.outputs]
    return tensors.question([_tensor(request.inputs[0], raw)], names, served, limits, place)


def _tensor(given: Any, raw: bytes | None) -> Tensor:
    if any(not 0 <= size <= 2**40 for size in given.shape):
        raise Refused(f"{given.name:.40} has a negative size in its shape {list(given.shape)}")
    field = _CONTENTS.get(given.datatype)
    data = [] if raw is not None or field is None else list(getattr(given.contents, field))
    return Tensor(given.name, given.datatype, tuple(given.shape), raw, data)
