"""`make proof-build`: seconds and memory to build deep models, each in a process of its own, in turns; medians.

Fails unless resnet152 takes less than 10 s and resnet1202 less than 60 s. Importing TensorFlow is not counted.
keras.applications' ResNet152, the same graph, is measured beside them.
"""

import datetime
import json
import os
import platform
import statistics
import subprocess
import sys

from kerasnets.environment import describe

LIMITS = {"resnet152": 10.0, "resnet1202": 60.0}
NAMES = ("resnet50", "resnet152", "keras.applications.ResNet152", "googlenet", "resnet1202")
ROUNDS = 3

ONE = """
import json, resource, sys, time
from kerasnets.console import import_tensorflow
import_tensorflow()
import keras
from kerasnets import models
name = sys.argv[1]
before, cpu, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time(), time.perf_counter()
if name.startswith("keras"):
    keras.applications.ResNet152(weights=None)
else:
    models.build(name)
found = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps(found | {"peak": peak / 1024, "grown": (peak - before) / 1024}))
"""


def measure(name: str) -> dict[str, float]:
    """Build a model in a fresh process; return seconds on the clock and of CPU, and MB."""
    done = subprocess.run([sys.executable, "-c", ONE, name], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in NAMES}
    for _ in range(ROUNDS):
        for name in NAMES:
            runs[name].append(measure(name))
    environment = describe()
    load = ", ".join(f"{number:.1f}" for number in os.getloadavg())
    print(
        f"{datetime.date.today()}, {environment['cpu']['model']}, {environment['cores']} cores, {platform.platform()}"
    )
    print(f"load at the end {load}; medians of {ROUNDS}, seconds from lowest to highest in brackets")
    print("\n| model | seconds | of CPU | peak of the process, MB | of it the model's, MB |\n|---|---|---|---|---|")
    held = True
    for name, found in runs.items():
        median = {key: statistics.median(run[key] for run in found) for key in found[0]}
        low, high = (pick(run["seconds"] for run in found) for pick in (min, max))
        seconds = f"{median['seconds']:.1f} ({low:.1f} to {high:.1f})"
        print(f"| {name} | {seconds} | {median['cpu']:.1f} | {median['peak']:,.0f} | {median['grown']:,.0f} |")
        held &= median["seconds"] < LIMITS.get(name, float("inf"))
    print(f"\n{', '.join(f'{name} below {limit:.0f} s' for name, limit in LIMITS.items())}: ", end="")
    print("holds" if held else "DOES NOT HOLD")
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
