"""Ctrl-C and SIGTERM while training: the step under way is finished, then all is saved."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from kerasnets.console import err

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether somebody asked for the run to stop, and with which signal.

    Attributes:
        noted: what this process got.
    """

    def __init__(self) -> None:
        self.noted: signal.Signals | None = None

    @property
    def signal(self) -> signal.Signals | None:
        """The signal after which the run stops: of several workers, once all of them know."""
        return self.noted

    @property
    def code(self) -> int:
        """The exit code: 130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + (self.signal or signal.SIGINT)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Note the first SIGINT or SIGTERM; the second does what it would do otherwise."""
        before = {number: signal.getsignal(number) for number in SIGNALS}

        def put_back() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        def note(number: int, frame: FrameType | None) -> None:
            self.noted = signal.Signals(number)
            put_back()
            err.print(f"\n{self.noted.name}: saving after this step; once more stops at once", markup=False)

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
