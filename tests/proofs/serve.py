"""`make proof-serve`: what a server of ours costs over onnxruntime alone, and what it survives.

    python tests/proofs/serve.py [SECONDS]

SECONDS (60) is how long 16 clients ask each of two models without a pause; everything else is scaled by it. The server
and onnxruntime alone take turns, so that neither has the better part of a busy machine, and the ratio is the median of
the pairs'. Exits with 3 unless everything holds.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from photos import write_photos  # noqa: E402  (after the path is set)
from serve_attacks import Row, all_rows  # noqa: E402
from serving import Load, Server, publish, tensor_request  # noqa: E402

CLIENTS, SHARE = 16, 0.9
PAIRS = 4
MODELS = {"resnet50": (224, 224, 3), "resnet20": (32, 32, 3)}


def make_store(folder: Path) -> Path:
    """Publish both models, untrained: what they answer does not matter here."""
    from kerasnets.console import import_tensorflow

    import_tensorflow()
    from untrained import make_run

    from kerasnets.artifacts.export import export

    photos, store = write_photos(folder / "photos", each=4), folder / "store"
    for name, shape in MODELS.items():
        run = make_run(folder / name, photos, {"name": name}, data={"image_size": list(shape[:2])})
        export(run, name=name, to=store, formats=("onnx",))
    return store


def load(server: Server, model: str, seconds: float) -> dict[str, Any]:
    """Return what 16 clients in one process of their own found: each sends one image, and waits for its answer."""
    shape = ",".join(map(str, (1, *MODELS[model])))
    words = [*server.address, model, CLIENTS, seconds, shape]
    line = [sys.executable, str(HERE.parent / "serving.py"), *map(str, words)]
    found: dict[str, Any] = json.loads(subprocess.run(line, capture_output=True, text=True, check=True).stdout)
    return {**found, "rate": len(found["latencies"]) / found["seconds"]}


class Direct:
    """onnxruntime alone, waiting for its turns."""

    def __init__(self, store: Path, model: str) -> None:
        words = [str(store / model / "1" / "model.onnx"), ",".join(map(str, MODELS[model]))]
        line = [sys.executable, str(HERE / "serve_direct.py"), *words]
        self._process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def rate(self, batch: int, seconds: float) -> float:
        """Return images a second."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{batch} {seconds}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


def speed(store: Path, model: str, seconds: float) -> list[Row]:
    """Return the rows of one model: the long run, and the pairs."""
    direct = Direct(store, model)
    try:
        with Server(store, "--model", model) as server:
            cpu = server.cpu()
            long = load(server, model, seconds)
            cpu = server.cpu() - cpu
            images, batches = (server.metric(f"kerasnets_batch_images_{what}") for what in ("sum", "count"))
            batch, turn = round(images / batches), seconds / 6
            pairs = [(direct.rate(batch, turn), load(server, model, turn)) for _ in range(PAIRS)]
    finally:
        direct.close()
    errors = [*long["errors"], *(error for _, found in pairs for error in found["errors"])]
    p50, p99 = np.percentile(long["latencies"], [50, 99]) * 1000
    ratio = statistics.median(found["rate"] / alone for alone, found in pairs)
    alone, served = (statistics.median(values) for values in zip(*((a, f["rate"]) for a, f in pairs), strict=True))
    count = len(long["latencies"])
    return [
        (f"{model}: {CLIENTS} clients, {seconds:g} s", f"{count:,} answers, {len(errors)} errors", not errors),
        (f"{model}: latency in it", f"p50 {p50:.1f} ms, p99 {p99:.1f} ms", True),
        (
            f"{model}: server / onnxruntime alone at its mean batch of {batch}",
            f"{served:.1f} / {alone:.1f} images/s; median ratio of {PAIRS} pairs {ratio:.3f}",
            ratio >= SHARE or model != "resnet50",
        ),
        (
            f"{model}: processor time an image",
            f"server {cpu / count * 1e3:.2f} ms, clients {long['cpu'] / count * 1e3:.2f} ms",
            True,
        ),
    ]


def swap(store: Path, folder: Path, seconds: float) -> list[Row]:
    """Return the rows of versions that are exchanged under load, and of SIGTERM under load."""
    changing, request = folder / "changing", tensor_request("resnet20", np.zeros((1, 32, 32, 3), np.float32))
    publish(store / "resnet20" / "1", changing, "resnet20", 1)
    with Server(changing, "--keep", "1", "--poll", "0.2") as server:
        with Load(server.address, request, CLIENTS) as running:
            for number in range(2, 7):
                time.sleep(seconds / 6)
                publish(store / "resnet20" / "1", changing, "resnet20", number)
                server.says(f"now serving version {number}")
            time.sleep(seconds / 6)
            before = len(running.seconds)
            os.kill(server.process.pid, signal.SIGTERM)
            running.wait()
        code = server.wait()
    after, versions = len(running.seconds) - before, len(running.bodies)
    good = not running.errors
    told = f"{len(running.errors)} failed {' '.join(running.errors[:1])}".rstrip()
    return [
        ("5 new versions under load", f"{before:,} answers of {versions} versions, {told}", good and versions >= 6),
        (
            "SIGTERM under load",
            f"{after:,} answers after it, {told}; {running.refused} clients found nobody; exit code {code}",
            good and code == 143 and running.refused == CLIENTS,
        ),
    ]


def main() -> None:
    """Print the table; exit with 3 unless all of it holds."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = make_store(folder)
        rows = [row for model in MODELS for row in speed(store, model, seconds)]
        rows += swap(store, folder, seconds / 5)
        rows += all_rows(store, "resnet20", 10_000)
    print("| what | found | holds |", "|---|---|---|", sep="\n")
    for what, found, holds in rows:
        print(f"| {what} | {found} | {'yes' if holds else '**no**'} |")
    print(f"\n{time.monotonic() - began:.0f} s in all; load average {os.getloadavg()[0]:.1f}")
    if not all(holds for _, _, holds in rows):
        sys.exit(3)


if __name__ == "__main__":
    main()
