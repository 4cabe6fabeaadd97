"""What was measured, in numbers that hang together."""

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kerasnets.benchmark import turns
from kerasnets.benchmark.train.arms import FULL, KERAS, OURS, SAME, WHAT, Arm, Network
from kerasnets.benchmark.train.process import ArmProcess
from kerasnets.models import specs

PASSES = 3
"""A training step has the forward pass's products three times: for outputs, and gradients of inputs and of kernels."""


@dataclass(frozen=True)
class Peak:
    """The best matrix product: FLOP a second, and whose."""

    flops: float
    library: str


@dataclass(frozen=True)
class Row:
    """What was measured of one arm.

    Attributes:
        arm: Its kind, a key of `arms.WHAT`.
        precision: What its layers compute in.
        rounds: Turns that were timed.
        seconds: Median of a step, over the turns.
        images_per_second: At the median.
        to_keras: How many times as fast as stock Keras in float32 (median over the rounds of both); None without it.
        ours: How many times as fast as this one ours is, in the precision that it has by itself; likewise.
        flops: FLOP a second at the median, of the network's three passes; None where neither ours nor Keras ran.
        memory: Most bytes that its process held, libraries included.
        device_memory: The same of the GPU; None without one.
        first_step: Seconds from the start of its process to the end of its first step.
        idle: The share of a core that it took while others had their turn.
        parameters: That are trained.
        macs: Multiply-accumulates of an image's way forward, as this arm's own library counts; None where it does not.
        loss: Of its last step.
    """

    arm: str
    precision: str
    rounds: int
    seconds: float
    images_per_second: float
    to_keras: float | None
    ours: float | None
    flops: float | None
    memory: int
    device_memory: int | None
    first_step: float
    idle: float
    parameters: int
    macs: int | None
    loss: float

    def share(self, peaks: Mapping[str, Peak]) -> float | None:
        """Return the share of the machine's measured matrix-product peak in this precision."""
        peak = peaks.get(self.precision)
        return None if self.flops is None or peak is None else self.flops / peak.flops


@dataclass(frozen=True)
class Comparison:
    """All arms of one network; `left_out` were not tried, `failed` could not."""

    network: Network
    steps: int
    rows: tuple[Row, ...]
    left_out: Mapping[str, str]
    failed: Mapping[str, str]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the images."""
        return specs.row(self.network.model).input_shape

    @property
    def title(self) -> str:
        """Return what is trained, in words."""
        height, width, _ = self.input_shape
        return f"{self.network.model}, {height}x{width}, batch {self.network.batch}"


@dataclass(frozen=True)
class Result:
    """All networks, and precision -> the machine's peak."""

    comparisons: tuple[Comparison, ...]
    peaks: Mapping[str, Peak]

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        models = [
            {
                "model": found.network.model,
                "batch": found.network.batch,
                "input_shape": list(found.input_shape),
                "steps_of_a_turn": found.steps,
                "rows": [{**asdict(row), "peak_share": row.share(self.peaks)} for row in found.rows],
                "left_out": dict(found.left_out),
                "failed": dict(found.failed),
            }
            for found in self.comparisons
        ]
        method = {"same": SAME, "flops": f"{PASSES} x 2 x the forward MACs of our network, all heads included", **WHAT}
        return {"models": models, "peaks": {name: asdict(peak) for name, peak in self.peaks.items()}, "method": method}


def compared(
    network: Network,
    steps: int,
    done: Iterable[ArmProcess],
    seconds: Mapping[Arm, Mapping[int, float]],
    ours: Arm,
    left_out: Mapping[str, str],
    failed: Mapping[str, str],
) -> Comparison:
    """Return the rows of arms, ours first, from what each took a step in each round; `ours` is what they compare to."""
    processes = [process for process in done if seconds.get(process.task.arm)]
    macs = next((process.macs for process in processes if process.task.arm.kind in (OURS, KERAS)), None)
    mine = seconds.get(ours, {})
    keras = seconds.get(Arm(KERAS, FULL), {})
    rows = []
    for process in processes:
        own = seconds[process.task.arm]
        median = statistics.median(own.values())
        flops = None if macs is None else PASSES * 2 * macs * network.batch / median
        rows.append(
            Row(
                arm=process.task.arm.kind,
                precision=process.precision,
                rounds=len(own),
                seconds=median,
                images_per_second=network.batch / median,
                to_keras=turns.ratio_of_rounds(own, keras),
                ours=turns.ratio_of_rounds(mine, own),
                flops=flops,
                **{
                    name: getattr(process, name)
                    for name in ("memory", "device_memory", "first_step", "idle", "parameters", "macs", "loss")
                },
            )
        )
    order = list(WHAT)
    rows.sort(key=lambda row: (order.index(row.arm), (row.precision == FULL) == (row.arm == OURS)))
    return Comparison(network, steps, tuple(rows), left_out, failed)
