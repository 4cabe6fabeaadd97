"""`Finding`: what a rule has to say of a run."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """A rule's verdict.

    Attributes:
        rule: name of the rule, such as "vanishing_gradient".
        summary: a sentence that says what was seen, with numbers.
        cause: what makes this happen, in two sentences.
        evidence: the numbers, by name.
        remedy: `key=value` words to try, each valid for the run's own config.
        severity: "error": the run learns nothing, or nothing that holds; "warning": it could do better.
        layers: layers, variables or classes concerned, in order of depth.
        step: optimizer step at which it was first seen; None where it concerns no step.
        plot: file below the run directory, once it is drawn.
    """

    rule: str
    summary: str
    cause: str
    evidence: Mapping[str, float]
    remedy: tuple[str, ...]
    severity: Severity = "warning"
    layers: tuple[str, ...] = ()
    step: int | None = None
    plot: str | None = field(default=None, compare=False)

    def document(self) -> dict[str, Any]:
        """Return the JSON form; a number that is not finite becomes null."""
        evidence = {
            key: float(f"{value:.6g}") if math.isfinite(value) else None for key, value in self.evidence.items()
        }
        return {
            "rule": self.rule,
            "severity": self.severity,
            "layers": list(self.layers),
            "step": self.step,
            "summary": self.summary,
            "evidence": evidence,
            "cause": self.cause,
            "remedy": list(self.remedy),
            "plot": self.plot,
        }
