"""The web folder of a version that has int8 too: its network is that one, and held to the same gate."""

from kerasnets.artifacts.formats import onnx_int8
from kerasnets.artifacts.formats.web import (
    ENDPOINTS,
    FILE,
    INDEPENDENT_OF,
    NAME,
    NEEDS,
    READER,
    names,
    open,
    write,
)

__all__ = [
    "ENDPOINTS",
    "FILE",
    "INDEPENDENT_OF",
    "LOSSY",
    "NAME",
    "NEEDS",
    "READER",
    "TOLERANCE",
    "names",
    "open",
    "write",
]

TOLERANCE = onnx_int8.TOLERANCE
LOSSY = True
