"""A fresh process that is asked over pipes; an artefact in one, behind the same protocol as one that is opened here."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from kerasnets.artifacts import checker
from kerasnets.artifacts.formats import Format
from kerasnets.errors import CheckFailed

_STDERR_LINES = 15


class Ended(CheckFailed):
    """A process ended, with this code, though there was something left to ask."""

    def __init__(self, words: str, code: int) -> None:
        super().__init__(words)
        self.code = code


class Child:
    """A process that answers frames (`checker.send`, `checker.receive`) on stdin with frames on stdout, one each.

    Args:
        name: of the process, in messages.
        command: what it runs.
        timeout: seconds that an answer may take.
        env: its environment besides this process's.
        group: it has a process group of its own, and is ended with all processes that it started.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        timeout: float = 600.0,
        env: Mapping[str, str] | None = None,
        group: bool = False,
    ) -> None:
        self._name, self._timeout, self._group = name, timeout, group
        self._stderr = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **(env or {})},
            start_new_session=group,
        )

    def ask(self, what: str, header: dict[str, Any], parts: Sequence[bytes] = ()) -> tuple[dict[str, Any], list[bytes]]:
        """Send a frame and return the one that answers it; `what` says in messages what was asked.

        Raises:
            Ended: the process ended.
            CheckFailed: it took too long, and was ended.
        """
        try:
            checker.send(self._process.stdin, header, parts)  # type: ignore[arg-type]
        except BrokenPipeError:
            raise self._dead(what) from None
        return self.receive(what)

    def receive(self, what: str) -> tuple[dict[str, Any], list[bytes]]:
        """Return the next frame, such as one that is sent unasked when the process is ready; raises as `ask`."""
        late = threading.Event()

        def stop() -> None:
            late.set()
            self._kill()

        timer = threading.Timer(self._timeout, stop)
        timer.start()
        try:
            frame = checker.receive(self._process.stdout)  # type: ignore[arg-type]
        finally:
            timer.cancel()
        if late.is_set():
            raise CheckFailed(f"{self._name}: the fresh process took more than {self._timeout:g} s {what}")
        if frame is None:
            raise self._dead(what)
        return frame

    def close(self) -> None:
        """End the process."""
        self._kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                try:
                    pipe.close()
                except BrokenPipeError:  # an unsent rest of a request to a process that died
                    continue
        self._process.wait()
        self._stderr.close()

    def _kill(self) -> None:
        if not self._group:
            self._process.kill()
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)  # also what the process left behind when it ended by itself
        except ProcessLookupError:
            return

    def _dead(self, what: str) -> Ended:
        code = self._process.wait()
        self._stderr.seek(0)
        lines = self._stderr.read().decode("utf-8", "replace").strip().splitlines()[-_STDERR_LINES:]
        text = "\n  ".join([f"{self._name}: the fresh process ended with code {code}, asked {what}", *lines])
        return Ended(text, code)


class ProcessRunner:
    """A `Runner` whose artefact runs in a process without kerasnets and what else the format must not need.

    Use it as a context manager. Every answer that takes longer than `timeout` seconds, an error in the process and
    its death raise CheckFailed with the end of what the process wrote to stderr.
    """

    labels: tuple[str, ...]
    signatures: Mapping[str, Any]

    def __init__(self, form: Format, directory: Path, *, timeout: float = 600.0) -> None:
        self._name = form.NAME
        command = [sys.executable, "-I", str(checker.__file__), form.READER, str(directory / form.FILE)]
        self._child = Child(form.NAME, [*command, *form.INDEPENDENT_OF], timeout=timeout)

    def __enter__(self) -> Self:
        try:
            header, _ = self._child.receive("to open the artefact")
            if header["blocked_but_loaded"]:
                raise CheckFailed(f"{self._name}: needs {', '.join(header['blocked_but_loaded'])}")
        except BaseException:
            self.close()
            raise
        self.labels, self.signatures = tuple(header["labels"]), header["signatures"]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._child.close()

    def outputs(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Map raw pixels `[N, H, W, C]` to every output of the `image` endpoint, by its name."""
        return self._call("image", [checker.pack(images)])

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Map raw pixels `[N, H, W, C]` to probabilities `[N, K]`."""
        return self.outputs(images)["probabilities"]

    def encoded(self, files: Sequence[bytes]) -> dict[str, np.ndarray]:
        """Map encoded images to `probabilities`, `classes` and `scores`."""
        return self._call("bytes", files)

    def explained(self, images: np.ndarray, classes: np.ndarray) -> dict[str, np.ndarray]:
        """Map raw pixels and a class each, int32 `[N]` (-1: best), to `heatmaps` `[N, h, w]` and `probabilities`."""
        return self._call("explain", [checker.pack(images), checker.pack(classes)])

    def timed(self, images: np.ndarray) -> tuple[float, int]:
        """Map raw pixels as `outputs` does; return the seconds that it took in there, and the process's peak memory."""
        found = self._call("timed", [checker.pack(images)])
        return float(found["seconds"]), int(found["peak"])

    def _call(self, endpoint: str, parts: Sequence[bytes]) -> dict[str, np.ndarray]:
        what = f"to answer a call of '{endpoint}'"
        header, replies = self._child.ask(what, {"call": endpoint}, parts)
        if "error" in header:
            raise CheckFailed(f"{self._name}: the artefact failed {what}: {header['error']}")
        return {name: checker.unpack(part) for name, part in zip(header["outputs"], replies, strict=True)}
