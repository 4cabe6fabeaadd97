"""Trials in a process of their own: whatever happens there, the run's weights, seeds and memory are as they were."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import kerasnets
from kerasnets.config import Config
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.errors import UserError

SPENT = 75
"""Exit code of a process that ended itself because it was running out of memory."""
CONFIG, SKIP = "config.yaml", "skip.json"
_USER_ERROR = 2
_LINES = 15


class OutOfMemory(Exception):
    """A trial needed more memory than there is."""


class Trials:
    """A process that has a run's network and data, and tries things on them. Use it as a context manager.

    It is started by the first question, and anew by the next after one that it did not survive.

    Args:
        config: of the run; what is resolved by trials has some number in it.
        skip: of each split, examples that are left out.
        preprocessing: of the run.
    """

    def __init__(self, config: Config, skip: Mapping[str, frozenset[int]], preprocessing: Preprocessing) -> None:
        self._material = tempfile.TemporaryDirectory(prefix="kerasnets-trials-")
        directory = Path(self._material.name)
        (directory / CONFIG).write_text(config.dump(), encoding="utf-8")
        (directory / SKIP).write_text(json.dumps({name: sorted(places) for name, places in skip.items()}))
        preprocessing.save(directory)
        self._process: subprocess.Popen[str] | None = None
        self._stderr = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()
        self._stderr.close()
        self._material.cleanup()

    def ask(self, what: str, **question: Any) -> Iterator[dict[str, Any]]:
        """Yield the answers to a question, as they come; `what` is a key of `trying.MEASURES`.

        Raises:
            OutOfMemory: the process ended for want of memory.
            UserError: it ended with one.
        """
        process = self._process = self._process or self._start()
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the process of the trials has no pipes")
        try:
            process.stdin.write(json.dumps({"what": what, **question}) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise self._failure(process) from None
        for line in process.stdout:
            answer = json.loads(line)
            if answer is None:
                return
            yield answer
        raise self._failure(process)

    def _start(self) -> subprocess.Popen[str]:
        home = str(Path(kerasnets.__file__).parents[1])
        paths = os.pathsep.join(path for path in (home, os.environ.get("PYTHONPATH")) if path)
        return subprocess.Popen(
            [sys.executable, "-m", "kerasnets.training.trying", self._material.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": paths},
        )

    def _failure(self, process: subprocess.Popen[str]) -> Exception:
        """Return why the process ended. What kills it while it takes memory is want of it."""
        code = process.wait()
        self._end()
        self._stderr.seek(0)
        lines = self._stderr.read().strip().splitlines()
        if code == SPENT or code < 0:
            return OutOfMemory(f"code {code}")
        if code == _USER_ERROR and lines:
            return UserError("\n".join(lines[[line.startswith("Error: ") for line in lines].index(True) :])[7:])
        return RuntimeError("\n  ".join([f"the process of the trials ended with code {code}", *lines[-_LINES:]]))

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:  # a question that was not sent to a process that died
                    continue
        self._process.wait()
        self._process = None
