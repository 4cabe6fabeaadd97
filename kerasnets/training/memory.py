"""Memory: what is free, of the machine and of the container, and an end of training before the system kills it.

A resource limit does not do. Where an allocation fails, TensorFlow 2.21's convolution (oneDNN) goes on with the tensor
that it did not get, and the process dies of SIGSEGV instead of an error: in 6 of 13 runs under RLIMIT_DATA, in 4 of 6
under RLIMIT_AS. And what was asked for but never touched counts: of a ResNet and a GoogLeNet 1.1 to 1.4 times what was
used under RLIMIT_DATA, 1.3 to 1.5 times under RLIMIT_AS. So a thread looks at what the process has in fact taken.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kerasnets import environment
from kerasnets.errors import UserError

_PROC, _CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60
"""cgroup v1 says "no limit" with a number of about this size."""
_RESERVE_SHARE, _RESERVE_LEAST, _RESERVE_MOST = 0.05, 128 << 20, 4 << 30
"""Of what is free at the start: left alone, since the thread does not look all the time."""
_GROWTH = 1 << 20
"""Bytes beyond the highest use so far that count as growth."""
_FILL_RATE = 2e9
"""Bytes a second that one core can fill at most."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.005, 0.25


@dataclass(frozen=True)
class _Group:
    """A cgroup with a limit; usage includes pages of files, which the system takes back when it needs them."""

    limit: Path
    usage: Path
    statistics: Path
    caches: tuple[str, str]

    def free(self) -> int | None:
        """Return the bytes that the group may still take; None where it has no limit."""
        try:
            limit = self.limit.read_text(encoding="ascii").strip()
            if not limit.isdecimal() or int(limit) >= _UNLIMITED:
                return None
            rows = (line.split() for line in self.statistics.read_text(encoding="ascii").splitlines())
            cached = sum(int(value) for name, value in rows if name in self.caches)
            return int(limit) - int(self.usage.read_text(encoding="ascii")) + cached
        except OSError:  # no such group here, or none with a limit
            return None


def _v2(directory: Path) -> _Group:
    names = (directory / "memory.max", directory / "memory.current", directory / "memory.stat")
    return _Group(*names, ("inactive_file", "active_file"))


def _v1(directory: Path) -> _Group:
    names = (directory / "memory.limit_in_bytes", directory / "memory.usage_in_bytes", directory / "memory.stat")
    return _Group(*names, ("total_inactive_file", "total_active_file"))


def _groups(proc: Path, cgroups: Path) -> Iterator[_Group]:
    """Yield the groups around this process, innermost first, of version 2 and of version 1.

    In a container the path may be the host's, which is not there: then what is mounted is the group itself.
    """
    try:
        lines = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        roots = []
        if number == "0" and not controllers:
            roots = [(cgroups, _v2), (cgroups / "unified", _v2)]
        elif "memory" in controllers.split(","):
            roots = [(cgroups / "memory", _v1)]
        for root, group in roots:
            here = Path(os.path.normpath(root / path.lstrip("/")))
            yield from (group(place) for place in (here, *here.parents) if place == root or root in place.parents)


class Free:
    """Tells what memory is free: of the machine and of the cgroups around this process, the least.

    Args:
        proc, cgroups: where the system says so.
    """

    def __init__(self, proc: Path = _PROC, cgroups: Path = _CGROUPS) -> None:
        self._machine = proc / "meminfo"
        self._groups = [group for group in _groups(proc, cgroups) if group.free() is not None]

    def __call__(self) -> int | None:
        """Return the bytes, or None where the system does not tell."""
        found = [group.free() for group in self._groups]
        try:
            lines = self._machine.read_text(encoding="ascii").splitlines()
        except OSError:
            lines = []
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
        return min((free for free in found if free is not None), default=None)


def used(proc: Path = _PROC) -> int | None:
    """Return the bytes that this process has taken, without pages of files; None where the system does not tell."""
    try:
        _, resident, shared, *_ = (int(pages) for pages in (proc / "self" / "statm").read_text("ascii").split())
    except OSError:
        return None
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Limit:
    """When memory is spent: by what is free, but for a reserve, or by what this process has taken, at most `most`."""

    free: Callable[[], int | None]
    reserve: int = 0
    most: int | None = None

    @classmethod
    def of(cls, wanted: float | Literal["auto"] | None, spare: float = 0.0) -> "Limit | None":
        """Return the limit that `training.max_memory` stands for; None: there is none, or none can be had.

        Args:
            wanted: gigabytes, "auto" or None.
            spare: share of it that is left alone.

        Raises:
            UserError: a number where it cannot be kept, or that is exceeded already.
        """
        free, taken = Free(), used()
        if wanted is None:
            return None
        if wanted == "auto":
            now = free()
            if now is None or taken is None:
                return None
            return cls(free, int(max(min(now * _RESERVE_SHARE, _RESERVE_MOST), now * spare, _RESERVE_LEAST)))
        most = int(wanted * 1e9 * (1 - spare))
        if taken is None:
            raise UserError(f"training.max_memory={wanted:g}: what a process takes is not told here; take none")
        if taken >= most:
            raise UserError(f"training.max_memory={wanted:g}: {taken / 1e9:.1f} GB are taken before the first step")
        return cls(free, most=most)

    def left(self) -> int:
        """Return the bytes that may still be taken; negative when too much is."""
        if self.most is not None:
            return self.most - (used() or 0)
        free = self.free()
        return _UNLIMITED if free is None else free - self.reserve


@contextlib.contextmanager
def watching(limit: Limit | None, spent: Callable[[], None]) -> Iterator[None]:
    """Have a thread call `spent`, which must end the process, when no memory is left and this process takes more.

    Nothing but the end of the process stops a step that is under way.
    """
    if limit is None:
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=_watch, args=(limit, spent, ended), name="memory", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _watch(limit: Limit, spent: Callable[[], None], ended: threading.Event) -> None:
    highest, rate = used() or 0, _FILL_RATE * environment.cores()
    while True:
        left, now = limit.left(), used() or 0
        if now > highest + _GROWTH:
            highest = now
            if left <= 0:
                spent()
                return
        if ended.wait(min(max(left / rate, _SHORTEST_PAUSE), _LONGEST_PAUSE)):
            return
