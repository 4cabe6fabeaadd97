"""The two ways in which a command ends that are not faults of ours, and the words they share."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """The user's input is wrong: one clear sentence that names the file, key or value. Exit code 2."""


class CheckFailed(RuntimeError):
    """A check refused or found something: verification, an accuracy gate, `on_nonfinite=stop`. Exit code 3."""


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the choice nearest to `word`, or `""` when none is near."""
    match = get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return f"; did you mean '{match[0]}'?" if match else ""


class Interrupted(Exception):
    """Ctrl-C or SIGTERM, after what there was has been saved. `code` is the exit code: 130 or 143."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code
