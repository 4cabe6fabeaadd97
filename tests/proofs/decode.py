"""`make proof-decode`: malformed files of every format through training, Pillow, the `bytes` signature and `predict`.

Fails unless every file is decoded the same way by all four or refused by all four, none crashes or hangs, and at least
30 % of each format still decode. The files are a function of the seed; one that fails is kept under build/decode-proof.

    python tests/proofs/decode.py [--count 300] [--seed 0] [--kind GIF]
"""

import argparse
import datetime
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
BUILD = ROOT / "build" / "decode-proof"
SECONDS = 60  # for one file
SHARE = 0.3


def worker(version: Path, kind: str, count: int, seed: int, first: int) -> None:
    """Print the verdict of each file, as soon as it is there."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from four_ways import Ways
    from mutations import mutated

    ways = Ways.open(version)
    print(json.dumps("ready"), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for change, content in islice(mutated(kind, count, seed), first, None):
            print(json.dumps([change, ways.verdict(content, Path(folder) / f"image.{kind.lower()}")]), flush=True)


def publish(folder: Path) -> Path:
    """Export a small model with random weights, and return its version."""
    from photos import write_photos
    from untrained import RESNET, make_run

    from kerasnets.artifacts.export import export

    run = make_run(folder / "run", write_photos(folder / "photos", each=10), RESNET)
    return Path(export(run, to=folder / "models").path)


def verdicts(version: Path, kind: str, count: int, seed: int) -> list[tuple[str, str]]:
    """Return (change, verdict) of each file; a process that dies or hangs is a verdict, and another goes on."""
    found: list[tuple[str, str]] = []
    while len(found) < count:
        options = ["--version", str(version), "--kind", kind, "--count", str(count), "--seed", str(seed)]
        command = [sys.executable, __file__, *options, "--first", str(len(found))]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            lines: queue.Queue[str] = queue.Queue()
            threading.Thread(target=_listen, args=(process, lines), daemon=True).start()
            if not _next(lines, 10 * SECONDS):
                raise RuntimeError("the worker did not start")
            while len(found) < count and (line := _next(lines, SECONDS)):
                change, verdict = json.loads(line)
                found.append((change, verdict))
            process.kill()
        if len(found) < count:
            found.append(("?", f"crash or hang (exit {process.returncode})"))
    return found


def _listen(process: "subprocess.Popen[str]", lines: "queue.Queue[str]") -> None:
    for line in process.stdout or ():
        lines.put(line)
    lines.put("")


def _next(lines: "queue.Queue[str]", seconds: float) -> str:
    """Return the next line; none where the process has ended, or says nothing for too long."""
    try:
        return lines.get(timeout=seconds)
    except queue.Empty:
        return ""


def keep(kind: str, count: int, seed: int, places: list[int]) -> None:
    from mutations import mutated

    BUILD.mkdir(parents=True, exist_ok=True)
    for place, (_, content) in enumerate(mutated(kind, count, seed)):
        if place in places:
            (BUILD / f"{kind}-{seed}-{place}").write_bytes(content)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--version", type=Path)
    parser.add_argument("--kind")
    parser.add_argument("--first", type=int, default=0)
    words = parser.parse_args()
    if words.version is not None:
        worker(words.version, words.kind, words.count, words.seed, words.first)
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from mutations import FORMATS

    from kerasnets.environment import describe

    environment = describe()
    print(f"{datetime.date.today()}, {environment['cpu']['model']}, {environment['cores']} cores, seed {words.seed}")
    print("\n| format | files | decoded by all, the same | refused by all | disagreements, crashes, hangs |")
    print("|---|---|---|---|---|", flush=True)
    held = True
    with tempfile.TemporaryDirectory() as folder:
        version = publish(Path(folder))
        for kind in [words.kind] if words.kind else FORMATS:
            found = verdicts(version, kind, words.count, words.seed)
            counts = Counter(verdict for _, verdict in found)
            others = {verdict: n for verdict, n in counts.items() if verdict not in ("decoded", "refused")}
            keep(kind, words.count, words.seed, [i for i, (_, verdict) in enumerate(found) if verdict in others])
            share = counts["decoded"] / len(found)
            row = (kind, len(found), f"{counts['decoded']} ({share:.0%})", counts["refused"], others or 0)
            print(f"| {' | '.join(map(str, row))} |", flush=True)
            held = held and not others and share >= SHARE
    print("\nholds" if held else "\nDOES NOT HOLD")
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
