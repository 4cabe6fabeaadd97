"""`make proof-startup`: seconds from a process's start to each stage of its start-up, medians of three fresh processes.

`kerasnets train` of ResNet-20 on digits and of ResNet-50 on a small folder of JPEGs at 224 px, batch 8. Nothing is
cached: statistics of the folder's pixels are measured in each process. Fails unless the first step ends after less than
6 s (ResNet-20) and 15 s (ResNet-50).
"""

import argparse
import contextlib
import datetime
import functools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kerasnets.environment import describe

ROUNDS = 3
CLASSES, IMAGES = 4, 64
LIMITS = {"resnet20": 6.0, "resnet50": 15.0}
FOLDER = """
name: startup
model: {{name: resnet50}}
data: {{source: folder, path: {folder}, image_size: 224, validation_split: 0.25}}
training: {{epochs: 1, batch_size: 8, schedule: constant, learning_rate: 0.01}}
"""
_CHILD = "--child"


def photographs(folder: Path) -> None:
    """Write JPEGs of the size that ImageNet's have, smooth as photographs are, in a folder a class."""
    generator = np.random.default_rng(0)
    for place in range(IMAGES):
        path = folder / f"class{place % CLASSES}" / f"{place:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(generator.integers(0, 256, (24, 32, 3), np.uint8))
        coarse.resize((500, 375), Image.Resampling.BICUBIC).save(path, quality=90)


# In the process that is measured.


class Stages:
    """Says on stdout when each stage ended; the last ends the process."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._seen: set[str] = set()

    def mark(self, stage: str) -> None:
        """Note that a stage has ended, the first time that it has."""
        if stage not in self._seen:
            self._seen.add(stage)
            os.write(3, f"{json.dumps([stage, time.time() - self._began])}\n".encode())

    def after(self, owner: Any, name: str, stage: str, last: bool = False) -> None:
        """Have a function, wherever it is looked up, mark a stage whenever it returns."""
        function = getattr(owner, name)

        @functools.wraps(function)
        def marked(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            self.mark(stage)
            if last:
                os._exit(0)
            return result

        setattr(owner, name, marked)


def child(began: float, words: list[str]) -> None:
    """Run `kerasnets train` until the first sample is written, and say when each stage ended."""
    from kerasnets.cli import kerasnets

    _watch_training(Stages(began))
    kerasnets.main(words, standalone_mode=False)


def _watch_training(stages: Stages) -> None:
    from kerasnets.console import import_tensorflow

    import_tensorflow()
    from kerasnets.data import sources
    from kerasnets.telemetry.observed import ObservedModel
    from kerasnets.telemetry.tensorboard import TensorBoard
    from kerasnets.telemetry.writer import ProbeWriter
    from kerasnets.training import job, precision, train

    stages.mark("imports")
    stages.after(sources, "load", "data listed")
    stages.after(precision, "settle", "precision settled")
    stages.after(job, "network", "network built")
    stages.after(job, "fit", "preprocessing fitted")
    stages.after(job, "make_fast", "fast network built")
    stages.after(job, "prepare", "optimizer and trainer built")
    stages.after(train, "start", "run directory written")
    stages.after(TensorBoard, "on_train_begin", "input pipeline built")
    _watch_steps(stages, ObservedModel)
    stages.after(ProbeWriter, "_write", "first sample", last=True)


def _watch_steps(stages: Stages, model: Any) -> None:
    make: Callable[..., None] = model.make_train_function

    def made(self: Any, force: bool = False) -> None:
        make(self, force)
        step = self.train_function

        def stepped(iterator: Any) -> Any:
            logs = step(iterator)
            float(next(iter(logs.values())))  # a number waits for the device
            stages.mark("first step")
            return logs

        self.train_function = stepped

    model.make_train_function = made


# In the process that measures.


def measure(words: list[str], folder: Path) -> dict[str, float]:
    """Return stage -> seconds since the start of a fresh process that ran a command."""
    read, write = os.pipe()
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode from the first start on
    began = time.time()
    command = [sys.executable, str(Path(__file__).resolve()), _CHILD, repr(began), *words]

    def give() -> None:
        os.dup2(write, 3)

    with (folder / "log").open("w+") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, cwd=folder, preexec_fn=give, pass_fds=(3, write)
        )
        os.close(write)
        with os.fdopen(read) as lines:
            found = dict(json.loads(line) for line in lines)
        if process.wait() != 0:
            log.seek(0)
            raise SystemExit(f"{' '.join(words)} failed:\n{log.read()}")
    return {**found, "all": time.time() - began}


@contextlib.contextmanager
def cases(wanted: list[str]) -> Iterator[dict[str, list[str]]]:
    """Yield name of a case -> the command that is measured, for as long as what it needs is there."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photographs(folder / "images")
        (folder / "resnet50.yaml").write_text(FOLDER.format(folder=folder / "images"))
        found = {
            "resnet20": ["train", "digits-resnet20"],
            "resnet50": ["train", str(folder / "resnet50.yaml")],
        }
        yield {case: found[case] for case in wanted}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(LIMITS)}; default: all")
    wanted = parser.parse_args().cases or list(LIMITS)
    if unknown := [case for case in wanted if case not in LIMITS]:
        parser.error(f"{unknown[0]!r} is no case; there are {', '.join(LIMITS)}")
    results: dict[str, list[dict[str, float]]] = {case: [] for case in wanted}
    with cases(wanted) as commands, tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            for case, words in commands.items():
                place = Path(folder) / f"{case}-{number}"
                place.mkdir()
                results[case].append(measure(words, place))
                print(f"{case}: {results[case][-1]['all']:.2f} s", file=sys.stderr)
    environment = describe()
    print(
        f"{datetime.date.today()}, {environment['cpu']['model']}, {environment['cores']} cores, {platform.platform()}"
    )
    held = True
    for case, rounds in results.items():
        medians = {stage: statistics.median(seen[stage] for seen in rounds) for stage in rounds[0]}
        limit = LIMITS[case]
        holds = medians["first step"] < limit
        held = held and holds
        print(f"\n{case}: first step after {medians['first step']:.2f} s (less than {limit:g} s): ", end="")
        print("holds" if holds else "DOES NOT HOLD")
        print("\n| until | seconds | of it |\n|---|---|---|")
        before = 0.0
        for name, seconds in sorted(medians.items(), key=lambda item: item[1]):
            print(f"| {name} | {seconds:.2f} | {seconds - before:.2f} |")
            before = seconds
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    if sys.argv[1:2] == [_CHILD]:
        child(float(sys.argv[2]), sys.argv[3:])
    else:
        main()
