"""Several processes that train one run together, on loopback: under TF_CONFIG, as on several machines."""

import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from small_runs import FLOAT32

TESTS = Path(__file__).parent

TOGETHER = [
    *("digits-resnet20", "model.name=resnet8", "data.image_size=8", "training.batch_size=72", "training.epochs=1"),
    # Smooth: where a ReLU's input is zero up to rounding, two ways to add the same numbers part by more than that.
    *("model.activation=elu", "training.threads=1", "telemetry.report=false", FLOAT32),
]
"""20 steps, the last of 69 images, which no number of workers divides; augmented."""


@dataclass(frozen=True)
class Ended:
    """How a worker ended."""

    code: int
    out: str
    err: str


def ports(count: int) -> list[int]:
    """Return free ports."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def start(count: int, words: list[str], killed: tuple[int, int] | None = None) -> list[subprocess.Popen[str]]:
    """Start `kerasnets train` with these words on so many workers; `killed`: (worker, step) of a SIGKILL."""
    addresses = [f"127.0.0.1:{port}" for port in ports(count)]
    found = []
    for index in range(count):
        cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
        environment = os.environ | {"TF_CONFIG": json.dumps(cluster), "PYTHONPATH": paths}
        command = [sys.executable, "-m", "kerasnets"]
        if killed is not None and killed[0] == index:
            command = [sys.executable, str(TESTS / "killing.py"), "step", str(killed[1]), "20", "--"]
        pipe = subprocess.PIPE
        found.append(
            subprocess.Popen([*command, "train", *words], stdout=pipe, stderr=pipe, text=True, env=environment)
        )
    return found


def ended(processes: list[subprocess.Popen[str]], seconds: float = 900) -> list[Ended]:
    """Wait for all; a process that hangs is killed and fails the test."""
    try:
        texts = [process.communicate(timeout=seconds) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [Ended(process.returncode, *text) for process, text in zip(processes, texts, strict=True)]


def weights(path: Path) -> dict[str, np.ndarray]:
    """Return every array of a .keras file."""
    found: dict[str, np.ndarray] = {}

    def keep(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = np.asarray(item)

    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        file.visititems(keep)
    return found


def apart(first: Path, second: Path) -> float:
    """Return how far the last weights of two runs are apart, of each array in units of its largest entry or of 1."""
    one, other = weights(first / "last.keras"), weights(second / "last.keras")
    return max(float(np.abs(one[n] - other[n]).max() / max(1.0, np.abs(one[n]).max())) for n in one)
