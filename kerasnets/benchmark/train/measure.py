"""`measure`: arms in turns, as many at a time as memory holds, and what follows from their times."""

import math
from collections.abc import Callable, Sequence
from importlib.util import find_spec

from kerasnets.benchmark import turns
from kerasnets.benchmark.train.arms import FULL, KERAS, OURS, Arm, Network, Task, others
from kerasnets.benchmark.train.process import ArmProcess, Failed, peaks
from kerasnets.benchmark.train.result import Comparison, Peak, Result, compared
from kerasnets.console import err, progress
from kerasnets.errors import CheckFailed
from kerasnets.training.memory import Free

_TURN_SECONDS, _MOST_STEPS = 0.8, 20
"""A turn has as many steps as take the slowest of the first two arms so long, the same number for every arm."""
_LONG, _FEWEST_ROUNDS, _MOST_ROUNDS = 30.0, 3, 15
"""Seconds that the rounds of all arms take, where that is not too few or too many of them."""
_ROOM = 1.15
"""Times the most memory of an arm so far, which has to be free for the next to join."""

Start = Callable[[Task], ArmProcess]


def measure(
    networks: Sequence[Network], *, against: Sequence[str], rounds: int | None = None, precision: str = "auto"
) -> Result:
    """Train each network in every way that there is here, in turns.

    Args:
        networks: One after another.
        against: Of `arms.AGAINST`.
        rounds: Turns of each arm; None: as many as take about half a minute, 3 to 15.
        precision: What ours compute in, and others beside float32; auto: as `training.precision=auto` finds.

    Raises:
        CheckFailed: Of a network nothing could be measured.
    """
    found = []
    for network in networks:
        with Bench(network, against, rounds, precision) as bench:
            found.append(bench.run())
        if not found[-1].rows:
            reasons = "; ".join(f"{arm}: {reason}" for arm, reason in found[-1].failed.items())
            raise CheckFailed(f"{network.model}: nothing could be measured; {reasons}")
    precisions = tuple(dict.fromkeys(row.precision for comparison in found for row in comparison.rows))
    return Result(tuple(found), _peaks(precisions))


def _peaks(precisions: tuple[str, ...]) -> dict[str, Peak]:
    """Return precision -> the highest rate of matrix products, of the libraries that are installed."""
    best: dict[str, Peak] = {}
    for library in ("tensorflow", "torch"):
        if find_spec(library) is None:
            continue
        try:
            measured = peaks(library, precisions)
        except CheckFailed as failed:  # all else is measured by now
            err.print(f"no peak of {library}: {failed}", highlight=False)
            continue
        for precision, flops in measured.items():
            if precision not in best or flops > best[precision].flops:
                best[precision] = Peak(flops, library)
    return best


class Bench:
    """The arms of one network. Ours and Keras in float32 stay; the others join them in turn, as far as memory goes.

    Args:
        network: What is trained.
        against: Of `arms.AGAINST`.
        rounds: Turns of each arm; None: as many as take about half a minute, 3 to 15.
        precision: What ours compute in.
        start: Makes the process of an arm.
        free: Tells how many bytes of memory are free; None where the system does not.
    """

    def __init__(
        self,
        network: Network,
        against: Sequence[str],
        rounds: int | None,
        precision: str,
        start: Start = ArmProcess,
        free: Callable[[], int | None] | None = None,
    ) -> None:
        self._network, self._against, self._rounds, self._precision = network, against, rounds, precision
        self._start, self._free = start, free or Free()
        self._anchors: list[ArmProcess] = []
        self._guests: list[ArmProcess] = []
        self._done: list[ArmProcess] = []
        self._seconds: dict[Arm, dict[int, float]] = {}
        self._failed: dict[str, str] = {}
        self._round = 0
        self._steps = 0

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *error: object) -> None:
        for process in (*self._anchors, *self._guests):
            process.close()

    def run(self) -> Comparison:
        """Measure all arms."""
        ours = self._begin(Arm(OURS, self._precision), self._anchors)
        if KERAS in self._against:
            self._begin(Arm(KERAS, FULL), self._anchors)
        self._steps = self._steps_of_a_turn()
        arms, left_out = others(self._network.model, self._against, *self._reduced(ours))
        for arm in arms:
            if self._guests and not self._room():
                self._sitting()
            self._begin(arm, self._guests)
        self._sitting()
        mine = Arm(OURS, self._precision)
        return compared(self._network, self._steps, self._done, self._seconds, mine, left_out, self._failed)

    def _reduced(self, ours: ArmProcess | None) -> tuple[str, str]:
        """Return the precision that the others have beside float32, and where that is float32 too, why."""
        if self._precision != "auto":
            return self._precision, "--precision float32 was asked for"
        if ours is None:
            return FULL, "what pays here is not known, since ours failed"
        return ours.precision, "nothing but float32 pays here, as training.precision=auto found"

    def _begin(self, arm: Arm, place: list[ArmProcess]) -> ArmProcess | None:
        """Start an arm and have it do two steps; None, and why is kept, where it cannot."""
        try:
            process = self._start(Task(arm, self._network))
        except Failed as failed:
            self._fail(arm, failed)
            return None
        said = f"{self._network.model}: {arm.kind} {process.precision}: first step after {process.first_step:.1f} s"
        err.print(f"{said}, the next took {process.second_step:.2f} s", highlight=False)
        place.append(process)
        self._done.append(process)
        return process

    def _fail(self, arm: Arm, failed: Failed) -> None:
        self._failed[str(arm)] = str(failed)
        err.print(f"{self._network.model}: {arm} failed: {failed}", highlight=False)

    def _steps_of_a_turn(self) -> int:
        slowest = max((process.second_step for process in self._anchors), default=math.inf)
        return max(1, min(_MOST_STEPS, round(_TURN_SECONDS / slowest)))

    def _room(self) -> bool:
        """Tell whether one more arm should fit beside those that run."""
        free = self._free()
        return free is None or free > _ROOM * max(process.memory for process in self._done)

    def _sitting(self) -> None:
        """Let the arms that run take their turns, then end those that do not stay."""
        rounds = self._rounds or self._rounds_that_fit()
        with progress(f"{self._network.model}, rounds", total=rounds) as advance:
            for _ in range(rounds):
                self._round += 1
                for process in turns.order([*self._anchors, *self._guests], self._round):
                    self._turn(process)
                advance()
        for process in self._guests:
            process.close()
        self._guests = []

    def _rounds_that_fit(self) -> int:
        step = sum(process.second_step for process in (*self._anchors, *self._guests))
        return max(_FEWEST_ROUNDS, min(_MOST_ROUNDS, int(_LONG / (step * self._steps or _LONG))))

    def _turn(self, process: ArmProcess) -> None:
        arm = process.task.arm
        try:
            taken = self._seconds.setdefault(arm, {})
            taken[self._round] = process.steps(self._steps)
        except Failed as failed:
            self._fail(arm, failed)
            self._seconds.pop(arm)
            process.close()
            for place in (self._anchors, self._guests, self._done):
                if process in place:
                    place.remove(process)
