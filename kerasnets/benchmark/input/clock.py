"""The time on the wall and that of the cores, and when the pipeline rests."""

import resource
import time
from dataclasses import dataclass

_QUIET, _LOOK, _LONGEST = 0.1, 0.05, 10.0  # share of a core, and seconds: when nothing is made ahead any more


@dataclass(frozen=True)
class Clock:
    """Seconds on the wall, and of all threads of this process on the cores."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> "Clock":
        used = resource.getrusage(resource.RUSAGE_SELF)
        return cls(time.perf_counter(), used.ru_utime + used.ru_stime)

    def since(self) -> "Clock":
        """Return what has passed."""
        now = self.now()
        return Clock(now.wall - self.wall, now.cpu - self.cpu)


def settle() -> None:
    """Wait until nothing is made ahead any more, so that it is not counted as somebody else's time."""
    for _ in range(round(_LONGEST / _LOOK)):
        before = Clock.now()
        time.sleep(_LOOK)
        if before.since().cpu < _QUIET * _LOOK:
            return
