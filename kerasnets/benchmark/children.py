"""Processes of benchmarks: each measures in one of its own, so that memory and start-up are its own too."""

import os
import signal
import sys
from pathlib import Path

import kerasnets
from kerasnets.artifacts.process import Child, Ended
from kerasnets.training.trials import SPENT

_WHY = {SPENT: "it ran out of memory", -signal.SIGKILL: "it was killed, as the system does when memory runs out"}


def start(name: str, module: str, *words: str, timeout: float, **env: str) -> Child:
    """Run a module of kerasnets in a fresh process.

    Args:
        name: Of the process, in messages.
        module: Its full name.
        words: Of its command line.
        timeout: Seconds that an answer may take.
        env: Its environment besides this process's.
    """
    home = str(Path(kerasnets.__file__).parents[1])
    paths = os.pathsep.join(path for path in (home, os.environ.get("PYTHONPATH")) if path)
    # TensorFlow would let the first process take the whole GPU.
    own = {"PYTHONPATH": paths, "TF_FORCE_GPU_ALLOW_GROWTH": "true", **env}
    return Child(name, [sys.executable, "-P", "-m", module, *words], timeout=timeout, env=own, group=True)


def why(ended: Ended) -> str:
    """Say why a process ended though there was something left to ask."""
    return _WHY.get(ended.code, str(ended))
