"""`make proof-train`: how fast networks train beside stock Keras, keras.applications and PyTorch.

    python tests/proofs/train.py FOLDER [--models NAME,…] [--rounds N] [--only-twins | --no-twins]

First our networks' weights go through the benchmark's PyTorch definitions, which have to give the same logits (1e-4).
Then it measures as `kerasnets benchmark train` does, prints the tables and writes them to FOLDER/train.md, all numbers
to FOLDER/train.json and the chart to FOLDER/train.svg. Runs in an environment with torch.
"""

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
from kerasnets.benchmark.train import chart, report  # noqa: E402
from kerasnets.benchmark.train.arms import AGAINST, Network  # noqa: E402
from kerasnets.benchmark.train.measure import measure  # noqa: E402
from kerasnets.benchmark.train.result import Result  # noqa: E402
from kerasnets.console import import_tensorflow  # noqa: E402

TOLERANCE = 1e-4
TWINS = ("resnet20", "resnet50", "googlenet", "googlenet_bn")


def twins() -> None:
    """Compare each definition with ours."""
    import_tensorflow()
    from torch_twins import difference

    for name in TWINS:
        found = difference(name)
        print(f"{name}: with our weights the PyTorch definition differs by {found:.1e}", flush=True)
        if not found < TOLERANCE:
            sys.exit(f"{name}: that is not the same network")


def markdown(found: Result) -> str:
    """Return the tables."""
    lines = []
    for comparison in found.comparisons:
        lines += [f"### {comparison.title}", "", f"| {' | '.join((*report.WORDS, *report.NUMBERS))} |"]
        lines += ["|---" * len(report.WORDS) + "|---:" * len(report.NUMBERS) + "|"]
        lines += [f"| {' | '.join(report.cells(row, found))} |" for row in comparison.rows]
        lines += ["", *(f"{line}." for line in report.missing(comparison)), ""]
    return "\n".join([*lines, *(f"- {line}" for line in report.peaks(found)), ""])


def main() -> None:
    """Compare the definitions, then measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", default="resnet20,resnet50,googlenet")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--no-twins", action="store_true", help="measure only")
    parser.add_argument("--only-twins", action="store_true", help="compare the definitions only")
    chosen = parser.parse_args()
    if not chosen.no_twins:
        twins()
    if chosen.only_twins:
        return
    networks = [Network.of(name, chosen.batch) for name in chosen.models.split(",")]
    found = measure(networks, against=AGAINST, rounds=chosen.rounds)
    about = report.about()
    document = json.dumps({"schema": 1, **about, **found.document()}, indent=1, ensure_ascii=False)
    (chosen.folder / "train.json").write_text(document + "\n", encoding="utf-8")
    (chosen.folder / "train.md").write_text(markdown(found), encoding="utf-8")
    chart.write(found, chosen.folder / "train.svg", report.heading(about))
    report.show(found, about)


if __name__ == "__main__":
    main()
