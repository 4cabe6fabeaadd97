"""A request's body, within limits of size, memory and time."""

import asyncio

from starlette.requests import ClientDisconnect, Request

from kerasnets.serve.limits import Limits
from kerasnets.serve.refusals import Large, Refused, Slow
from kerasnets.serve.room import Place


async def read(request: Request, limits: Limits, place: Place) -> bytes:
    """Return the body.

    Raises:
        Refused: it is too large, came too slowly, is compressed, or was cut short.
    """
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Refused("the body is compressed, which is not supported")
    if _length(request.headers.get("content-length")) > limits.body:
        raise Large(f"a body of more than {limits.body:,} bytes")
    chunks, size = [], 0
    try:
        async with asyncio.timeout(limits.seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limits.body:
                    raise Large(f"a body of more than {limits.body:,} bytes")
                place.take(len(chunk))
                chunks.append(chunk)
    except TimeoutError as error:
        raise Slow(f"the body did not come within {limits.seconds:g} seconds") from error
    except ClientDisconnect as error:
        raise Refused("the body was cut short") from error
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _length(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 20 else 0
