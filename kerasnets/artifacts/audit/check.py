"""One check of a published version and how it went."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Check:
    """What was checked.

    Attributes:
        check: Its name.
        format: The format that it concerns, or None.
        ok: Whether it holds; not where it cannot be made.
        found: What was found.
        allowed: What is allowed, where that is not plain.
    """

    check: str
    format: str | None
    ok: bool
    found: str
    allowed: str = ""

    @property
    def result(self) -> str:
        """The outcome in words."""
        return "ok" if self.ok else "FAILED"

    def document(self) -> dict[str, Any]:
        """Return the check as `verify --json` prints it."""
        return asdict(self)

    def sentence(self) -> str:
        """Return what a failed check says."""
        name = f"{self.format}: {self.check}" if self.format else self.check
        return f"{name}: {self.found}" + (f"; {self.allowed}" if self.allowed else "")
