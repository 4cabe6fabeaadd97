"""Ctrl-C and SIGTERM while training: the step under way is finished, then all is saved."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from kerasnets.console import err


class StopRequest:
    """Whether somebody asked for the run to stop, and with which signal."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    @property
    def code(self) -> int:
        """The exit code: 130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + (self.signal or signal.SIGINT)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Note the first SIGINT or SIGTERM; the second does what it would do otherwise."""
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def put_back() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        def note(number: int, frame: FrameType | None) -> None:
            self.signal = signal.Signals(number)
            put_back()
            err.print(f"\n{self.signal.name}: saving after this step; once more stops at once", markup=False)

        try:
            for number in before:
                signal.signal(number, note)
        except ValueError:  # not the main thread, where Python allows no handlers
            yield
            return
        try:
            yield
        finally:
            put_back()
