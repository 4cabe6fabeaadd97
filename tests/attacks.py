"""What attacks are made of, and a command line to try them on."""

import os
import struct
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from kerasnets.cli import kerasnets
from kerasnets.errors import UserError


class Payload:
    """What pickle runs when it loads it: makes a file."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self._marker}",)


ESCAPES = "\x1b]0;title\x07\x1b[31mred\x9b2J\u202e"
HTML = "<script>alert(1)</script>&\"'"
MARKUP = "[red]a[/red][/]"


def npy(shape: tuple[int, ...], content: bytes = b"", dtype: str = "|u1") -> bytes:
    header = repr({"descr": dtype, "fortran_order": False, "shape": shape}).encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


def invoke(*words: str | Path) -> tuple[int, str]:
    """Return how a command ends, and what it says."""
    done = CliRunner().invoke(kerasnets, [str(word) for word in words])
    error = done.exception
    if isinstance(error, UserError):
        return 2, str(error)
    if error is not None and not isinstance(error, SystemExit):
        raise error
    return done.exit_code, done.output
