"""What was measured of an input pipeline."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """Medians of the turns of one stage; each does what those before it do, and more.

    Attributes:
        name: Of the stage.
        images_per_second: Made, on all cores.
        cpu: Seconds that an image takes of the cores, all threads together.
    """

    name: str
    images_per_second: float
    cpu: float


@dataclass(frozen=True)
class StepCost:
    """Medians of pairs of training steps, fed by one batch that is there and by the pipeline.

    Attributes:
        batch: Images of a step.
        seconds: Of a step on the batch that is there.
        cpu: Seconds that an image of it takes of the cores.
        share: What the pipeline adds to a step's time, as a share of it.
        cpu_share: What it adds to the cores' time, likewise.
    """

    batch: int
    seconds: float
    cpu: float
    share: float
    cpu_share: float


@dataclass(frozen=True)
class Input:
    """All that was measured.

    Attributes:
        images: Of the training split that the stages read.
        kind: "files" or "memory".
        image_size: Height and width of what is made.
        workers: Images, of data in memory batches, made at the same time.
        rounds: Turns of each.
        stages: In the order in which they build on each other; caches last.
        left_out: What was not measured, and why.
        step: None where it was not wanted.
    """

    images: int
    kind: str
    image_size: tuple[int, int]
    workers: int
    rounds: int
    stages: tuple[Stage, ...]
    left_out: Mapping[str, str]
    step: StepCost | None
