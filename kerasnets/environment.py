"""What a run ran on: versions, machine, instruction set, code, command line."""

import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = ("kerasnets", "tensorflow", "keras", "numpy", "onnx", "onnxruntime", "tf2onnx", "pillow", "protobuf")
_CPUINFO = Path("/proc/cpuinfo")
_STATUS = Path("/proc/self/status")


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions(*more: str) -> dict[str, str | None]:
    """Return the installed version of each package that decides a result, and of `more`; None where there is none."""

    def installed(package: str) -> str | None:
        try:
            return version(package)
        except PackageNotFoundError:
            return None

    return {"python": platform.python_version(), **{package: installed(package) for package in (*_PACKAGES, *more)}}


def _cpu() -> dict[str, Any]:
    if not _CPUINFO.is_file():
        return {"model": platform.processor(), "instruction_sets": []}
    lines = dict(line.split(":", 1) for line in _CPUINFO.read_text().split("\n\n")[0].splitlines() if ":" in line)
    facts = {key.strip(): value.strip() for key, value in lines.items()}
    flags = facts.get("flags", facts.get("Features", "")).split()
    wanted = ("avx", "amx", "fma", "asimd", "sve", "bf16")
    return {
        "model": facts.get("model name", platform.processor()),
        "instruction_sets": sorted(flag for flag in flags if flag.startswith(wanted)),
    }


def _git_commit() -> str | None:
    """Return the commit of the working directory, marked when files differ from it; None outside a checkout."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def describe() -> dict[str, Any]:
    """Return the document of environment.json."""
    return {
        "versions": versions(),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cores": cores(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None,
        "git_commit": _git_commit(),
        "command": shlex.join(sys.argv),
        "working_directory": str(Path.cwd()),
    }


def machine() -> dict[str, Any]:
    """Return what a benchmark says of the machine."""
    return {"cpu": _cpu(), "cores": cores(), "platform": platform.platform()}


def memory_now() -> int | None:
    """Return the bytes of memory that this process holds, libraries included; None where the system does not tell."""
    return _memory("VmRSS")


def peak_memory() -> int | None:
    """Return the most that it has held since it began; `resource` would count its parent's, too."""
    return _memory("VmHWM")


def _memory(name: str) -> int | None:
    if not _STATUS.is_file():
        return None
    rows = dict(line.split(":", 1) for line in _STATUS.read_text(encoding="utf-8").splitlines() if ":" in line)
    return int(rows[name].split()[0]) * 1024
