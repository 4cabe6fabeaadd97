"""The two ways in which a command ends that are not faults of ours, and the words they share."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control characters, which terminals obey, and marks that turn the direction of text; not tab and line feed."""
_NOT_UTF8 = re.compile("[\ud800-\udfff]")
"""Bytes of file names that are not UTF-8, as Python holds them (PEP 383)."""
_LONGEST = 200
"""Letters of a word that are compared."""


class UserError(ValueError):
    """The user's input is wrong: one clear sentence that names the file, key or value. Exit code 2."""


class CheckFailed(RuntimeError):
    """A check refused or found something: verification, an accuracy gate, `on_nonfinite=stop`. Exit code 3."""


def plain(text: str) -> str:
    """Return text that a terminal only shows: control characters as JSON's escapes, such as `\\u001b`.

    File names, class names and values of configs are other people's words. Bytes of names that are not UTF-8 become
    U+FFFD.
    """
    return _NOT_UTF8.sub("\ufffd", _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the choice nearest to `word`, or `""` when none is near."""
    match = get_close_matches(word[:_LONGEST], list(choices), n=1, cutoff=0.6)
    return f"; did you mean '{match[0]}'?" if match else ""


class Interrupted(Exception):
    """Ctrl-C or SIGTERM, after what there was has been saved. `code` is the exit code: 130 or 143."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code
