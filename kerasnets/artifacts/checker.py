"""A fresh process that runs one artefact: `python -I checker.py READER.py ARTEFACT BLOCKED…`.

Standard library and NumPy only. The format's reader is loaded from its file, and the blocked packages cannot be
imported: what runs here runs on a machine that has never seen kerasnets. Both directions of the pipe speak the same
frames: a line of JSON with the sizes of the binary parts, then the parts; arrays are .npy files.
"""

import importlib.util
import io
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np


def send(pipe: BinaryIO, header: dict[str, Any], parts: Sequence[bytes] = ()) -> None:
    """Write a frame."""
    pipe.write(json.dumps({**header, "sizes": [len(part) for part in parts]}).encode() + b"\n")
    for part in parts:
        pipe.write(part)
    pipe.flush()


def receive(pipe: BinaryIO) -> tuple[dict[str, Any], list[bytes]] | None:
    """Read a frame; None at the end of the stream, also one that ends within a frame."""
    line = pipe.readline()
    if not line.endswith(b"\n"):
        return None
    header = json.loads(line)
    parts = [pipe.read(size) for size in header["sizes"]]
    complete = all(len(part) == size for part, size in zip(parts, header["sizes"], strict=True))
    return (header, parts) if complete else None


def pack(array: np.ndarray) -> bytes:
    """Return an array as the bytes of a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def unpack(part: bytes) -> np.ndarray:
    """Return the array in the bytes of a .npy file."""
    array: np.ndarray = np.load(io.BytesIO(part), allow_pickle=False)
    return array


def _open(reader: str, artefact: str) -> Any:
    spec = importlib.util.spec_from_file_location("artefact_reader", reader)
    if spec is None or spec.loader is None:
        raise ImportError(f"{reader} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.read(Path(artefact))


def _answer(runner: Any, call: str, parts: list[bytes]) -> dict[str, np.ndarray]:
    if call == "bytes":
        arrays: dict[str, np.ndarray] = runner.encoded(parts)
    elif call == "timed":
        arrays = timed(runner, unpack(parts[0]))
    elif call == "explain":
        arrays = runner.explained(*map(unpack, parts))
    else:
        arrays = runner.outputs(unpack(parts[0]))
    return arrays


def timed(runner: Any, images: np.ndarray) -> dict[str, np.ndarray]:
    """Answer images and return the seconds that it took, and the most memory that this process has held, in bytes."""
    began = time.perf_counter()
    runner(images)
    seconds = time.perf_counter() - began
    return {"seconds": np.array(seconds), "peak": np.array(peak_memory())}


def peak_memory() -> int:
    """Return the most memory that this process has held since it began, in bytes (Linux)."""
    with open("/proc/self/status", encoding="ascii") as file:
        (line,) = (line for line in file if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def replies_alone() -> BinaryIO:
    """Return where frames go from now on; what a library prints to stdout goes to stderr, not between the frames."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return replies


def main(reader: str, artefact: str, *blocked: str) -> None:
    """Open the artefact, describe it, then answer calls until the input ends."""
    replies = replies_alone()
    for name in blocked:
        sys.modules[name] = None  # type: ignore[assignment]  # imports of it fail, and it looks as if not installed
    runner = _open(reader, artefact)
    loaded = [name for name in blocked if sys.modules[name] is not None]
    send(replies, {"labels": runner.labels, "signatures": runner.signatures, "blocked_but_loaded": loaded})
    while (request := receive(sys.stdin.buffer)) is not None:
        header, parts = request
        try:
            outputs = _answer(runner, header["call"], parts)
        except Exception as error:  # whatever a runtime raises is the answer to this one call
            send(replies, {"error": f"{type(error).__name__}: {error}"})
        else:
            send(replies, {"outputs": list(outputs)}, [pack(array) for array in outputs.values()])


if __name__ == "__main__":
    main(*sys.argv[1:])
