"""The input pipeline as a picture: a bar for each stage, and one for the training step that has to be fed."""

from pathlib import Path

from kerasnets.benchmark.chart import Group, Panel, draw, number
from kerasnets.benchmark.input.result import Input

_STEP = "training step"


def write(found: Input, path: Path, title: str) -> None:
    """Draw images a second and the CPU time of an image, of each stage and of the training step.

    Reading a file is a thousand times as fast as a training step: scales are logarithmic.
    """
    names = [stage.name for stage in found.stages]
    rates = [stage.images_per_second for stage in found.stages]
    cpu = [stage.cpu * 1000 for stage in found.stages]
    if (step := found.step) is not None:
        names.append(f"{_STEP}, batch {step.batch}")
        rates.append(step.batch / step.seconds)
        cpu.append(step.cpu * 1000)
    panels = [
        Panel("images/s", rates, [number(rate) for rate in rates], logarithmic=True),
        Panel("CPU time of an image, ms", cpu, [number(each) for each in cpu], logarithmic=True),
    ]
    grey = {name for name in names if name.startswith(_STEP)}
    draw(path, title, [Group(names, grey, panels)], panel_width=3.6)
