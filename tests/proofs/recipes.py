"""`make proof-digits` and `make proof-fashion`: several seeds of a recipe of configs/, accuracy and time.

Each seed is a `kerasnets train` of its own, with telemetry, pictures and report, as a user would run it. Fails unless
the accuracies are at least those of `RECIPES`; times are reported only.
"""

import argparse
import datetime
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from kerasnets.environment import describe


@dataclass(frozen=True)
class Recipe:
    """How many seeds of a config are trained, and what their accuracies on a split have to be."""

    seeds: int
    split: str
    mean: float
    lowest: float


RECIPES = {
    "digits-resnet20": Recipe(5, "validation", mean=0.985, lowest=0.98),
    "fashion-speed": Recipe(3, "test", mean=0.94, lowest=0.937),
    "fashion-resnet20": Recipe(1, "test", mean=0.94, lowest=0.94),
}


@dataclass(frozen=True)
class Result:
    """What one seed gave: accuracy, seconds as the run itself counts them, and those of the whole command."""

    accuracy: float
    training: float
    command: float


def train(config: str, seed: int, split: str, directory: Path) -> Result:
    """Train one seed in a fresh process."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "kerasnets", "train", config, f"seed={seed}", "--json", "--out", str(directory)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    metrics = json.loads(done.stdout)["metrics"]
    return Result(metrics[split]["accuracy"], metrics["seconds"], time.perf_counter() - began)


def holds(name: str, recipe: Recipe) -> bool:
    """Train all seeds of a recipe, print the table, and tell whether it is as accurate as it should be."""
    with tempfile.TemporaryDirectory() as folder:
        results = [train(name, seed, recipe.split, Path(folder) / str(seed)) for seed in range(recipe.seeds)]
    print(f"\n`{name}`\n\n| seed | {recipe.split} accuracy | training, s | the command, s |\n|---|---|---|---|")
    for seed, result in enumerate(results):
        print(f"| {seed} | {result.accuracy:.2%} | {result.training:.0f} | {result.command:.0f} |")
    accuracies = [result.accuracy for result in results]
    mean, lowest = statistics.mean(accuracies), min(accuracies)
    seconds = [statistics.mean(of) for of in zip(*((one.training, one.command) for one in results), strict=True)]
    print(f"| mean | {mean:.2%} | {seconds[0]:.0f} | {seconds[1]:.0f} |")
    held = mean >= recipe.mean and lowest >= recipe.lowest
    print(
        f"\nlowest {lowest:.2%} (at least {recipe.lowest:.1%}), mean {mean:.2%} (at least {recipe.mean:.1%}): ", end=""
    )
    print("holds" if held else "DOES NOT HOLD", flush=True)
    return held


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="+", choices=RECIPES)
    chosen = parser.parse_args().recipes
    about = describe()
    print(
        f"{datetime.date.today()}, {about['cpu']['model']}, {about['cores']} cores, {platform.platform()}", flush=True
    )
    held = [holds(name, RECIPES[name]) for name in chosen]
    sys.exit(0 if all(held) else 1)


if __name__ == "__main__":
    main()
