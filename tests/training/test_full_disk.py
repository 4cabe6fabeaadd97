"""A disk that is really full, and one that is read-only: in memory, and seen by the test's processes alone."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from same_runs import differences
from small_runs import QUIET, SMALL

from kerasnets.run import Run

Train = Callable[..., Run]
WORDS = [*SMALL, *QUIET, "training.epochs=6"]
SCRIPT = """
set -u
disk=$1 copy=$2; shift 2
kerasnets() { PYTHONPATH=$PWD "$PYTHON" -m kerasnets "$@"; echo "exit code $?" >&2; }
mount -t tmpfs -o size=16m tmpfs "$disk" || exit 1
( until compgen -G "$disk/run/checkpoints/epoch-0002-*" > /dev/null; do sleep 0.02; done
  cat /dev/zero > "$disk/filler" 2> /dev/null ) &
kerasnets train digits-resnet20 "$@" --out "$disk/run"
wait
rm "$disk/filler"
mount -o remount,ro "$disk"
kerasnets train --resume "$disk/run"
kerasnets train digits-resnet20 --out "$disk/other"
kerasnets export "$disk/run" --to "$disk/store"
mount -o remount,rw "$disk"
kerasnets train --resume "$disk/run"
cp -r "$disk/run" "$copy"
"""


def namespace() -> list[str] | None:
    """Return the words before a command that give it mounts of its own; None where that is not allowed."""
    for words in (["unshare", "--mount"], ["unshare", "--mount", "--map-root-user"]):
        probe = [*words, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        if shutil.which("unshare") and subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            return words
    return None


@pytest.mark.slow
def test_a_full_disk_and_a_read_only_one_lose_nothing(tmp_path: Path, train_small: Train) -> None:
    own = namespace()
    if own is None:
        pytest.skip("needs the right to mount a file system, as root has")
    disk = tmp_path / "disk"
    disk.mkdir()
    command = [*own, "env", f"PYTHON={sys.executable}", "bash", "-c", SCRIPT, "full", str(disk), str(tmp_path / "run")]
    done = subprocess.run([*command, *WORDS], capture_output=True, text=True, timeout=600, check=False)
    said = done.stderr
    assert said.count("exit code 2") == 4 and said.endswith("exit code 0\n"), said
    said = [line for line in said.splitlines() if line.startswith("Error: ")]
    again = f"when that is mended: kerasnets train --resume {disk}/run"
    assert said[0].startswith(f"Error: run {disk}/run cannot be written to: the disk is full; the last checkpoint is ")
    assert said[0].endswith(f"; {again}")
    assert said[1:] == [
        f"Error: run {disk}/run cannot be written to: Read-only file system",
        f"Error: run directory {disk}/other: Read-only file system",
        f"Error: model store: {disk}/store cannot be made: Read-only file system",
    ]
    assert differences(train_small(tmp_path / "whole", WORDS).path, tmp_path / "run") == []
