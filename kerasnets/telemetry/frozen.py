"""Variables that a run does not train, or not from its first step on."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Frozen:
    """What is frozen, and for how long.

    Attributes:
        names: of variables, moving statistics among them.
        steps: the first so many optimizer steps leave them as they are.
    """

    names: frozenset[str] = frozenset()
    steps: float = math.inf

    def at(self, step: int) -> frozenset[str]:
        """Return the names of the variables that a step, from 1, leaves as they are."""
        return self.names if step <= self.steps else frozenset()
