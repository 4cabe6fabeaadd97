"""`make proof-scale`: 10,000, 100,000 and 1,000,000 listed images: time to the first step, memory, and how it grows.

The images are stand-ins: hard links to 64 small JPEG files, in 1,000 folders; the same links in a table; and shards
that `kerasnets data prepare` made of them, which are real copies. Each case trains LeNet-5 through the command line, in
a process of its own, with an empty cache. Holds when each takes less than 20 s to the first step, and its memory grows
by less than 16 MB from step 100 to step 1,000.
"""

import csv
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from kerasnets.environment import describe

COUNTS = (10_000, 100_000, 1_000_000)
SOURCES = ("folder", "csv", "tfrecord")
CLASSES, ORIGINALS = 1000, 64
STEPS = 1000
SECONDS, GROWTH = 20.0, 16.0
CONFIG = """
name: scale
model: {name: lenet5}
data: {source: folder, path: x, image_size: 32}
training: {epochs: 1, batch_size: 8, schedule: constant, learning_rate: 0.001, precision: float32}
"""


@dataclass(frozen=True)
class Figures:
    """Seconds since the process began; megabytes of its own (not of files that are mapped)."""

    imported: float
    first_step: float
    cpu: float
    peak: float
    early: float
    late: float


def stand_ins(root: Path, count: int, classes: int = CLASSES) -> dict[str, Path]:
    """Make `count` images for each source; return source -> data.path."""
    generator = np.random.default_rng(0)
    (root / "originals").mkdir(parents=True)
    originals = [root / "originals" / f"{i}.jpg" for i in range(ORIGINALS)]
    for path in originals:
        Image.fromarray(generator.integers(0, 256, (32, 32, 3), np.uint8)).save(path)
    with (root / "table.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label"))
        for label in (f"n{i:08}" for i in range(classes)):
            (root / "folder" / label).mkdir(parents=True)
            for i in range(count // classes):
                name = f"folder/{label}/{label}_{i:06}.JPEG"
                os.link(originals[i % ORIGINALS], root / name)
                writer.writerow((name, label))
    command = [sys.executable, "-m", "kerasnets", "data", "prepare", str(root / "folder"), str(root / "shards")]
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(f"prepared {count:,} images in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return {"folder": root / "folder", "csv": root / "table.csv", "tfrecord": root / "shards"}


def measure(root: Path, source: str, path: Path, steps: int = STEPS) -> Figures:
    """Train in a fresh process for some steps; return what it took."""
    with tempfile.TemporaryDirectory(dir=root) as folder:
        (Path(folder) / "scale.yaml").write_text(CONFIG)
        words = [f"data.source={source}", f"data.path={path}", "--out", f"{folder}/run"]
        environment = {**os.environ, "XDG_CACHE_HOME": f"{folder}/cache"}
        command = [sys.executable, __file__, "watched", str(time.time()), str(steps), f"{folder}/scale.yaml", *words]
        done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True)
    return Figures(**json.loads(done.stdout))


def watched(began: float, steps: int, words: Sequence[str]) -> None:
    """Run `kerasnets train WORDS` in this process, print figures at the first and the last step, and end there."""
    from kerasnets.console import import_tensorflow

    import_tensorflow()
    import keras

    from kerasnets import cli
    from kerasnets.training import train

    imported, whole = time.time() - began, train.watch

    class Watch(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.step, self.found = 0, {"imported": imported}

        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            self.step += 1
            if self.step == 1:
                self.found |= {"first_step": time.time() - began, "cpu": time.process_time()}
            if self.step == steps // 10:
                self.found |= {"early": memory("RssAnon")}
            if self.step == steps:
                self.found |= {"late": memory("RssAnon"), "peak": memory("VmHWM")}
                os.write(1, json.dumps(self.found).encode())
                os._exit(0)

    def watch(*arguments: object) -> object:
        found = whole(*arguments)  # type: ignore[arg-type]
        object.__setattr__(found, "callbacks", (*found.callbacks, Watch()))
        return found

    train.watch = watch  # type: ignore[assignment]
    sys.argv[1:] = ["train", *words]
    cli.main()


def memory(key: str) -> float:
    """Return a line of /proc/self/status in megabytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(key)


def main() -> None:
    environment = describe()
    print(
        f"{datetime.date.today()}, {environment['cpu']['model']}, {environment['cores']} cores, {platform.platform()}"
    )
    print("\n| images | source | first step, s | of it imports, s | CPU, s | peak, MB | growth, MB |")
    print("|---|---|---|---|---|---|---|")
    held = True
    for count in COUNTS:
        with tempfile.TemporaryDirectory() as folder:
            paths = stand_ins(Path(folder), count)
            for source in SOURCES:
                found = measure(Path(folder), source, paths[source])
                growth = found.late - found.early
                print(
                    f"| {count:,} | {source} | {found.first_step:.1f} | {found.imported:.1f} | {found.cpu:.1f} "
                    f"| {found.peak:,.0f} | {growth:.1f} |",
                    flush=True,
                )
                held = held and found.first_step < SECONDS and growth < GROWTH
    print(f"\nfirst step below {SECONDS:g} s, growth below {GROWTH:g} MB: {'holds' if held else 'DOES NOT HOLD'}")
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["watched"]:
        watched(float(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
    else:
        main()
