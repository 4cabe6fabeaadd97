"""`make proof-workers`: two and four processes on loopback end with one process's weights; killed, they go on exactly.

    python tests/proofs/workers.py [throughput]

Also how throughput grows from one process to two, each with one thread on a core of its own, and the model that
docs/clusters.md extends it with. Exits with 1 unless all weights are within the tolerance, and the workers that were
killed end bit for bit as those that were not.
"""

import csv
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

TESTS = Path(__file__).parent.parent
sys.path.insert(0, str(TESTS))

from same_runs import differences  # noqa: E402  (after the path is set)
from small_runs import FLOAT32  # noqa: E402
from workers import TOGETHER, apart, ended, start  # noqa: E402

from kerasnets import models  # noqa: E402
from kerasnets.models.complexity import count  # noqa: E402

TOLERANCE = 1e-5
NOTICED = 60.0
"""Seconds after a kill in which all others have ended."""
LINKS = {"1 Gbit/s": 1e9, "10 Gbit/s": 1e10, "100 Gbit/s": 1e11}
NETWORKS = {"resnet20": ((32, 32, 3), 10), "googlenet": ((224, 224, 3), 1000), "resnet50": ((224, 224, 3), 1000)}
ALONE_SMALL = "training.checkpoint_every=5 steps"


def trained(workers: int, words: list[str]) -> None:
    """Train on so many workers; any that fails ends the proof."""
    for index, each in enumerate(ended(start(workers, words))):
        if each.code:
            raise SystemExit(f"worker {index} of {workers}: exit code {each.code}\n{each.err}")


def same_weights(folder: Path) -> bool:
    """Compare one, two and four processes after 20 steps."""
    trained(1, [*TOGETHER, "--out", str(folder / "1")])
    print("| processes | 20 steps, the last of 69 images: largest difference to one process | tables |\n|---|---|---|")
    held = True
    for workers in (2, 4):
        trained(workers, [*TOGETHER, ALONE_SMALL, "--out", str(folder / str(workers))])
        found, tables = apart(folder / "1", folder / str(workers)), tables_apart(folder / "1", folder / str(workers))
        print(f"| {workers} | {found:.1e} (at most {TOLERANCE:g}) | {tables:.1e} |", flush=True)
        held &= found <= TOLERANCE
    return held


def tables_apart(first: Path, second: Path) -> float:
    """Return how far loss, accuracy and gradient norm are apart in history.csv, relative to their values."""
    rows = [list(csv.DictReader((run / "history.csv").read_text().splitlines())) for run in (first, second)]
    names = ("loss", "accuracy", "gradient_norm", "val_loss", "val_accuracy")
    pairs = [(float(a[name]), float(b[name])) for a, b in zip(*rows, strict=True) for name in names]
    return max(abs(a - b) / abs(a) for a, b in pairs)


def goes_on(folder: Path) -> bool:
    """Kill the last of two, and of four, workers at step 12; resume all; compare with those that were left alone."""
    held = True
    for workers in (2, 4):
        run = folder / f"{workers}-killed"
        processes = start(workers, [*TOGETHER, ALONE_SMALL, "--out", str(run)], (workers - 1, 12))
        processes[-1].wait()
        died = time.monotonic()
        for process in processes[:-1]:
            process.wait(timeout=NOTICED)
        seconds = time.monotonic() - died
        found = ended(processes)
        print(f"\n{workers} workers, the last killed at step 12: exit codes {[each.code for each in found]}, the last")
        print(f"{seconds:.1f} s after the kill. Worker 0: {found[0].err.strip().splitlines()[-1]}")
        trained(workers, ["--resume", str(run)])
        differ = differences(folder / str(workers), run)
        print(f"resumed: {'the same bit for bit' if not differ else f'DIFFERS in {differ[:5]}'}", flush=True)
        held &= not differ and [each.code for each in found] == [138] * (workers - 1) + [-9]
    return held


def throughput(folder: Path) -> None:
    """Time ResNet-20 on CIFAR's image size, with one thread and one core a process."""
    cores = sorted(os.sched_getaffinity(0))
    print("\n| processes, a core each | images/s | of one |\n|---|---|---|")
    first = None
    for workers in (1, 2):
        run = folder / f"speed-{workers}"
        words = ["digits-resnet20", "data.image_size=32", "training.batch_size=128", "training.epochs=2"]
        words += ["training.threads=1", "telemetry.every=0", "telemetry.report=false", FLOAT32, "--out", str(run)]
        processes = start(workers, words)
        for process, core in zip(processes, cores, strict=False):
            os.sched_setaffinity(process.pid, {core})
        if any(each.code for each in ended(processes)):
            raise SystemExit("the timing failed")
        rate = float(list(csv.DictReader((run / "history.csv").read_text().splitlines()))[-1]["images_per_second"])
        first = first or rate
        print(f"| {workers} | {rate:.0f} | {rate / first:.2f} |", flush=True)


def model() -> None:
    """Print the seconds that a ring all-reduce of the gradients takes: 2 (n - 1) / n x bytes / bandwidth."""
    print("\n| network | gradient, MB a step | " + " | ".join(f"{link}, 2 / 8 / 64: ms" for link in LINKS) + " |")
    print("|---|---|" + "---|" * len(LINKS))
    for name, (shape, classes) in NETWORKS.items():
        size = 4 * count(models.build(name, input_shape=shape, classes=classes)).trainable
        times = [
            " / ".join(f"{2000 * (n - 1) / n * size * 8 / bits:,.1f}" for n in (2, 8, 64)) for bits in LINKS.values()
        ]
        print(f"| {name} | {size / 1e6:.1f} | " + " | ".join(times) + " |")


def main() -> None:
    print(f"{platform.processor() or platform.machine()}, {len(os.sched_getaffinity(0))} cores, NumPy {np.__version__}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        held = sys.argv[1:] == ["throughput"] or (same_weights(folder) and goes_on(folder))
        throughput(folder)
        model()
        print(json.dumps({"holds": held}))
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
