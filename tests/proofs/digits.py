"""`make proof-digits`: five seeds of configs/digits-resnet20.yaml, each in its own process; accuracy and time.

Fails unless the mean validation accuracy is at least 98.5 % and the lowest at least 98 %.
"""

import datetime
import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from kerasnets.environment import describe

SEEDS = 5
MEAN, LOWEST = 0.985, 0.98


def train(seed: int, directory: Path) -> dict[str, float]:
    """Train one seed in a fresh process and return accuracy, and seconds as the run itself counts them."""
    command = [sys.executable, "-m", "kerasnets", "train", "digits-resnet20", f"seed={seed}", "--json"]
    done = subprocess.run([*command, "--out", str(directory)], stdout=subprocess.PIPE, text=True, check=True)
    metrics = json.loads(done.stdout)["metrics"]
    return {"accuracy": metrics["validation"]["accuracy"], "seconds": metrics["seconds"]}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        results = [train(seed, Path(folder) / str(seed)) for seed in range(SEEDS)]
    environment = describe()
    print(
        f"{datetime.date.today()}, {environment['cpu']['model']}, {environment['cores']} cores, {platform.platform()}"
    )
    print("\n| seed | validation accuracy | seconds |\n|---|---|---|")
    for seed, result in enumerate(results):
        print(f"| {seed} | {result['accuracy']:.2%} | {result['seconds']:.0f} |")
    accuracies = [result["accuracy"] for result in results]
    mean = sum(accuracies) / SEEDS
    print(f"| mean | {mean:.2%} | {sum(result['seconds'] for result in results) / SEEDS:.0f} |")
    held = mean >= MEAN and min(accuracies) >= LOWEST
    print(f"\nlowest {min(accuracies):.2%} (at least {LOWEST:.0%}), mean {mean:.2%} (at least {MEAN:.1%}): ", end="")
    print("holds" if held else "DOES NOT HOLD")
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
