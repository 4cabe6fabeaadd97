"""Kills runs at random points, resumes them, kills them again, and compares the end with runs that were left alone.

    python tests/proofs/resume.py [SEED]

Every variant is trained once undisturbed, and once in a chain of processes each of which is killed with SIGKILL but the
last. Exits with 1 unless all variants end bit for bit alike and each phase was hit at least three times.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

TESTS = Path(__file__).parent.parent
sys.path.insert(0, str(TESTS))

from kerasnets.console import import_tensorflow  # noqa: E402  (after the path is set)

import_tensorflow()  # without its messages

from killing import PHASES  # noqa: E402
from same_runs import differences  # noqa: E402
from small_runs import SMALL, SMALL_GOOGLENET  # noqa: E402

COMMON = ["digits-resnet20", "training.checkpoint_every=11 steps", "telemetry.every=20"]
RESNET = [*COMMON, *SMALL, "training.epochs=4", "data.augment.pad_crop=1"]
GOOGLENET = [*COMMON, *SMALL_GOOGLENET, "training.epochs=4"]
VARIANTS = {
    "ResNet, augmentation, float32": RESNET,
    "ResNet, augmentation, bfloat16": [*RESNET, "training.precision=bfloat16"],
    "GoogLeNet, dropout, float32": GOOGLENET,
    "GoogLeNet, dropout, bfloat16": [*GOOGLENET, "training.precision=bfloat16"],
}
KILLS = 7
"""Of each variant."""
LEAST = 3
"""Hits of each phase, over all variants."""
MILLISECONDS = {"step": 30, "checkpoint": 40, "validation": 60, "epoch": 120, "best": 60}
"""A kill comes at a random moment up to so long after its phase began."""
MOST = {"step": 10, "checkpoint": 2}
"""Which of them it is, at most; of the others the first, so that no run ends before it was killed often enough."""

console = Console()


def run(command: list[str], log: Path) -> int:
    """Run a process with its output in a file; return its exit code."""
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    with log.open("a") as file:
        environment = os.environ | {"PYTHONPATH": paths}
        return subprocess.run(command, stdout=file, stderr=file, env=environment, check=False).returncode


def chain(words: list[str], out: Path, phases: list[str], draw: random.Random, hits: Counter[str]) -> int:
    """Train into `out` in processes that are killed in these phases; return how many were, until the run had ended."""
    log, kills = out.with_suffix(".log"), 0
    for phase in phases:
        went_on = (out / "splits.csv").is_file()
        rest = ["--resume", str(out)] if went_on else [*words, "--out", str(out)]
        count = draw.randint(1, MOST.get(phase, 1))
        moment = str(draw.uniform(0, MILLISECONDS[phase]))
        command = [sys.executable, str(TESTS / "killing.py"), phase, str(count), moment, "--", "train", *rest]
        code = run(command, log)
        if code == 0:
            break
        if code != -signal.SIGKILL:
            raise SystemExit(f"{phase} {count}: exit code {code}; see {log}")
        kills += 1
        hits[phase] += 1
        hits["half-written checkpoint left"] += any((out / "checkpoints").glob(".*.tmp"))
    if run([sys.executable, "-m", "kerasnets", "train", "--resume", str(out)], log):
        raise SystemExit(f"the run could not go on; see {log}")
    return kills


def main() -> None:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    draw, hits = random.Random(seed), Counter[str]()
    directory = Path(tempfile.mkdtemp(prefix="resume-"))
    table = Table("variant", "kills", "differences", "minutes", title=f"seed {seed}; {os.cpu_count()} cores")
    phases = [phase for _ in range(len(VARIANTS) * KILLS // len(PHASES) + 1) for phase in PHASES]
    draw.shuffle(phases)
    failed = False
    for place, (name, words) in enumerate(VARIANTS.items()):
        began, whole, killed = time.monotonic(), directory / f"{place}-whole", directory / f"{place}-killed"
        if run([sys.executable, "-m", "kerasnets", "train", *words, "--out", str(whole)], whole.with_suffix(".log")):
            raise SystemExit(f"{name} cannot be trained; see {whole.with_suffix('.log')}")
        kills = chain(words, killed, phases[place * KILLS : (place + 1) * KILLS], draw, hits)
        found = differences(whole, killed)
        failed |= bool(found)
        minutes = (time.monotonic() - began) / 60
        table.add_row(name, str(kills), ", ".join(found[:3]) or "none", f"{minutes:.1f}")
        console.print(f"{name}: {kills} kills, {found or 'no differences'}", highlight=False)
    console.print(table)
    console.print("hits: " + ", ".join(f"{phase} {hits[phase]}" for phase in (*PHASES, "half-written checkpoint left")))
    if failed or min(hits[phase] for phase in PHASES) < LEAST:
        raise SystemExit(1)
    shutil.rmtree(directory)


if __name__ == "__main__":
    main()
