"""`make proof-memory`: the memory of training steps as predicted and as it was, each in a process of its own.

Fails where a prediction is off by more than 20 %. Both are what a process grows by after it has imported TensorFlow:
the libraries' own memory, which is the same for every network, would hide errors. Words on the command line choose
models: `python tests/proofs/memory.py resnet20 googlenet`.
"""

import datetime
import platform
import sys
from dataclasses import replace

from kerasnets.benchmark.growth.axes import Point
from kerasnets.benchmark.growth.measure import ask
from kerasnets.environment import describe

LIMIT = 0.2
TIMEOUT = 240.0
BATCHES = {
    "resnet20": (128, 512),
    "resnet110": (128,),
    "plain20": (512,),
    "resnet18": (8, 32),
    "plain18": (32,),
    "resnet50": (4, 16),
    "resnet50v2": (16,),
    "googlenet": (8, 32),
    "googlenet_bn": (32,),
}
"""Model -> images of a step; the first of each is measured in float32 and in bfloat16, the others in one in turns."""


def main(names: list[str]) -> None:
    environment = describe()
    machine = f"{environment['cpu']['model']}, {environment['cores']} cores, {platform.platform()}"
    print(f"{datetime.date.today()}, {machine}\n")
    print("| model | batch | precision | predicted, MB | measured, MB | off by | the process, MB |")
    print("|---|---|---|---|---|---|---|")
    held = True
    for name in names or BATCHES:
        for place, batch in enumerate(BATCHES.get(name, (32,))):
            for precision in ("float32", "bfloat16")[place % 2 :]:
                point = replace(Point.of(name), batch=batch)
                cost, failure = ask(point, precision, TIMEOUT)
                about = f"| {name} | {batch} | {precision} |"
                if cost is None:
                    print(f"{about} {failure} ||||", flush=True)
                else:
                    numbers = [cost.predicted / 1e6, cost.grown / 1e6]
                    shown = " | ".join(f"{number:,.0f}" for number in numbers)
                    print(f"{about} {shown} | {cost.error:+.1%} | {cost.peak / 1e6:,.0f} |", flush=True)
                held &= cost is not None and abs(cost.error) <= LIMIT
    print(f"\nwithin {LIMIT:.0%}: {'holds' if held else 'DOES NOT HOLD'}")
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main(sys.argv[1:])
