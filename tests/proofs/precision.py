"""`make proof-precision`: the fast path trains to the accuracy of stock Keras in float32, over five paired seeds.

Both arms of a pair have the same initial weights, images, order, augmentation, optimizer and schedule: network, data
and SGD of configs/fashion-resnet20.yaml (Debian: apt install dataset-fashion-mnist), with `RECIPE`. One is the plain
network through Keras' own `compile` and `fit` in float32, the other is ours in bfloat16. Each runs in a process of its
own, and is measured after its last step, in float32, on the 10,000 test images. Fails unless the mean difference is at
most 0.2 points.
"""

import argparse
import datetime
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from scipy import stats

from kerasnets.environment import describe

DATA = "fashion-resnet20"
ARMS = {"stock": "float32", "fast": "bfloat16"}
RECIPE = (
    *("training.learning_rate=0.1", "training.label_smoothing=0", "data.validation_split=0.05"),
    *("data.augment.flip=true", "data.augment.pad_crop=2"),
)
MOST = 0.002


def train(arm: str, seed: int, epochs: int, config: str = DATA, recipe: tuple[str, ...] = RECIPE) -> dict[str, float]:
    """Train one arm in this process; return its accuracy on the test images, or the validation's, and its seconds."""
    import keras

    from kerasnets import config as configs
    from kerasnets.training import optim
    from kerasnets.training.job import assemble

    words = [f"seed={seed}", f"training.epochs={epochs}", f"training.precision={ARMS[arm]}", "telemetry.every=0"]
    warmup = 0.3 * epochs
    job, _ = assemble(configs.load(config, [*words, *recipe, f"training.warmup_epochs={warmup}"]), check_files=False)
    plain = job.fast.plain
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    began = time.perf_counter()
    if arm == "stock":
        optimizer = optim.optimizer(job.config.training, job.steps_per_epoch, plain.trainable_variables)
        plain.compile(optimizer=optimizer, loss=loss, jit_compile=False)
    learner = plain if arm == "stock" else job.trainer
    learner.fit(job.training_feed(), epochs=epochs, steps_per_epoch=job.steps_per_epoch, shuffle=False, verbose=2)
    seconds = time.perf_counter() - began
    judged = job.fast.to_plain() if arm == "fast" else plain
    judged.compile(loss=loss, metrics=["accuracy"], jit_compile=False)
    _, accuracy = judged.evaluate(job.batches("test" if "test" in job.dataset.splits else "validation"), verbose=0)
    return {"accuracy": accuracy, "seconds": seconds}


def pair(seed: int, epochs: int, folder: Path) -> dict[str, dict[str, float]]:
    """Return both arms' results, each from its file where an interrupted proof has left it."""
    found = {}
    for arm in ARMS:
        file = folder / f"{arm}-{seed}-{epochs}.json"
        if not file.is_file():
            command = [sys.executable, __file__, "--arm", arm, "--seeds", str(seed), "--epochs", str(epochs)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            file.write_text(done.stdout.splitlines()[-1], encoding="utf-8")
        found[arm] = json.loads(file.read_text(encoding="utf-8"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="how many; with --arm: which")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--arm", choices=ARMS)
    parser.add_argument("--out", type=Path, default=Path("runs/proof-precision"))
    chosen = parser.parse_args()
    if chosen.arm:
        print(json.dumps(train(chosen.arm, chosen.seeds, chosen.epochs)))
        return
    chosen.out.mkdir(parents=True, exist_ok=True)
    pairs = [pair(seed, chosen.epochs, chosen.out) for seed in range(chosen.seeds)]
    machine = describe()["cpu"]["model"]
    print(f"{datetime.date.today()}, {machine}, {DATA}, {chosen.epochs} epochs, 10,000 test images\n")
    print("| seed | stock Keras, float32 | fast, bfloat16 | difference, points |\n|---|---|---|---|")
    differences = [found["fast"]["accuracy"] - found["stock"]["accuracy"] for found in pairs]
    for seed, (found, difference) in enumerate(zip(pairs, differences, strict=True)):
        stock, fast = found["stock"]["accuracy"], found["fast"]["accuracy"]
        print(f"| {seed} | {stock:.2%} | {fast:.2%} | {100 * difference:+.2f} |")
    mean = statistics.mean(differences)
    means = [statistics.mean(found[arm]["accuracy"] for found in pairs) for arm in ARMS]
    print(f"| mean | {means[0]:.2%} | {means[1]:.2%} | {100 * mean:+.2f} |")
    spread = stats.t.interval(0.95, len(differences) - 1, mean, stats.sem(differences))
    low, high = (100 * float(end) for end in spread)
    holds = abs(mean) <= MOST
    print(f"\nmean difference {100 * mean:+.2f} points, 95 % interval {low:+.2f} to {high:+.2f}", end="; ")
    print(f"at most {100 * MOST:g}: {'holds' if holds else 'DOES NOT HOLD'}")
    sys.exit(0 if holds else 1)


if __name__ == "__main__":
    main()
