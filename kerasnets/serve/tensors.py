"""The Open Inference Protocol's tensors, as REST and gRPC bring them -> a question."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasnets.errors import nearest
from kerasnets.serve import pixels
from kerasnets.serve.limits import Limits
from kerasnets.serve.question import ENCODED, IMAGE, Question, check_count, wanted
from kerasnets.serve.refusals import Refused
from kerasnets.serve.room import Place
from kerasnets.serve.served import Served
from kerasnets.serve.v1 import from_base64

_RAW: dict[str, np.dtype[Any]] = {"FP32": np.dtype("<f4"), "UINT8": np.dtype("u1")}
_LENGTH = 4
"""Bytes in front of each element of a BYTES tensor: its length, the least significant first."""


@dataclass(frozen=True)
class Tensor:
    """An input as it came: `raw` bytes, or a `data` list."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    raw: bytes | memoryview | None = None
    data: Sequence[Any] | None = None


def question(tensors: Sequence[Tensor], outputs: list[str], served: Served, limits: Limits, place: Place) -> Question:
    """Return what a request asks.

    Raises:
        Refused: it has not one input that the model knows, or that one is not what it says.
    """
    check_one(len(tensors))
    tensor = tensors[0]
    if tensor.name not in (IMAGE, ENCODED):
        hint = nearest(tensor.name, [IMAGE, ENCODED])
        raise Refused(f"there is no input '{tensor.name:.40}', only {IMAGE} and {ENCODED}{hint}")
    of_files = tensor.name == ENCODED
    names = wanted(outputs, tuple(served.opened.all_outputs)) or served.default_outputs(of_files)
    if of_files:
        return Question(place, None, _files(tensor, limits), names)
    return Question(place, _pixels(tensor, served, limits, place), (), names)


def check_one(count: int) -> None:
    """Raise Refused unless there is one input."""
    if count != 1:
        raise Refused(f"one input is wanted, {IMAGE} or {ENCODED}; there are {count:,}")


def _pixels(tensor: Tensor, served: Served, limits: Limits, place: Place) -> np.ndarray:
    taken = ("UINT8",) if served.opened.feed.dtype == "uint8" else ("FP32", "UINT8")
    if tensor.datatype not in taken:
        raise Refused(f"image has the datatype {tensor.datatype:.20}; {served.opened.name} takes {' or '.join(taken)}")
    pixels.check(tensor.shape, served.opened, limits)
    dtype = _RAW[tensor.datatype]
    if tensor.raw is not None:
        if len(tensor.raw) != math.prod(tensor.shape) * dtype.itemsize:
            raise Refused(f"image has {len(tensor.raw):,} bytes, which its shape {list(tensor.shape)} does not make")
        return pixels.finite(np.frombuffer(tensor.raw, dtype).reshape(tensor.shape))
    data, whole = tensor.data or [], math.prod(tensor.shape)
    found = pixels.numbers(data) if len(data) in (whole, tensor.shape[0]) else np.empty(len(data))
    if found.size != whole:
        raise Refused(f"image's data has {found.size:,} values, which its shape {list(tensor.shape)} does not make")
    place.take(found.nbytes)
    found = found.reshape(tensor.shape)
    with np.errstate(over="ignore"):
        return pixels.whole(found) if tensor.datatype == "UINT8" else pixels.finite(found.astype(dtype))


def _files(tensor: Tensor, limits: Limits) -> tuple[bytes, ...]:
    if tensor.datatype != "BYTES":
        raise Refused(f"{ENCODED} has the datatype {tensor.datatype:.20}; it is BYTES")
    if len(tensor.shape) not in (1, 2) or tensor.shape[1:] not in ((), (1,)):
        raise Refused(f"{ENCODED} has the shape {list(tensor.shape)}; it is [N]")
    check_count(tensor.shape[0], limits.images)
    values = _elements(tensor.raw, tensor.shape[0]) if tensor.raw is not None else _flat(tensor.data or [])
    if len(values) != tensor.shape[0]:
        raise Refused(f"{ENCODED} holds {len(values):,} elements; its shape {list(tensor.shape)} says otherwise")
    return tuple(map(_element, values))


def _elements(raw: bytes | memoryview, most: int) -> list[bytes]:
    found: list[bytes] = []
    at = 0
    while at < len(raw):
        if len(found) == most:
            raise Refused(f"{ENCODED} holds more elements than the {most:,} of its shape")
        end = at + _LENGTH + int.from_bytes(raw[at : at + _LENGTH], "little")
        if at + _LENGTH > len(raw) or end > len(raw):
            raise Refused(f"{ENCODED} is cut short: an element's length leads past its end")
        found.append(bytes(raw[at + _LENGTH : end]))
        at = end
    return found


def _flat(data: Sequence[Any]) -> list[Any]:
    return [value for row in data for value in (row if isinstance(row, list) else [row])]


def _element(value: Any) -> bytes:
    """Return a file: bytes by gRPC, base64 in JSON, which has no bytes."""
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise Refused(f"{ENCODED} holds something other than base64 text")
    return from_base64(value)
