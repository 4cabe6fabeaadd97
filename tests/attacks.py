"""What attacks are made of, and a command line to try them on."""

import os
import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
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


def attack_link(file: h5py.File, secret: Path) -> None:
    file["layers/link"] = h5py.ExternalLink(str(secret), "/secret")


def attack_soft(file: h5py.File, secret: Path) -> None:
    file["layers/link"] = h5py.SoftLink("/layers")


def attack_external(file: h5py.File, secret: Path) -> None:
    file.create_dataset("layers/more", (8,), "uint8", external=[(str(secret), 0, 8)])


def attack_virtual(file: h5py.File, secret: Path) -> None:
    layout = h5py.VirtualLayout((8,), "uint8")
    layout[:] = h5py.VirtualSource(str(secret), "secret", (8,))
    file.create_virtual_dataset("layers/more", layout)


def attack_shape(file: h5py.File, secret: Path) -> None:
    file.create_dataset("layers/more", (2**40,), "float32")


def attack_packed(file: h5py.File, secret: Path) -> None:
    file.create_dataset("layers/more", data=np.zeros(10**7, np.float32), compression="gzip")


def attack_circle(file: h5py.File, secret: Path) -> None:
    file["layers/again"] = file["layers"]


HDF5 = [
    (attack_link, "its weights hold a link, 'link'"),
    (attack_soft, "its weights hold a link, 'link'"),
    (attack_external, "its weights are in another file, 'more'"),
    (attack_virtual, "its weights are in another file, 'more'"),
    (attack_shape, "its weights hold an array that is not plain, 'more'"),
    (attack_packed, "its weights hold an array that is not plain, 'more'"),
    (attack_circle, "its weights hold one thing twice, 'again'"),
]
"""What is done to an HDF5 file that has `layers`, and why it is refused."""
