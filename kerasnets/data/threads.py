"""Work on numbered things, in threads, in order."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np

Result = TypeVar("Result")

_AHEAD = 4  # in flight for each thread: enough to keep it busy, few enough to stay small


def in_threads(task: Callable[[int], Result], indices: np.ndarray, workers: int = 0) -> Iterator[Result]:
    """Yield `task(index)` of each index, in order, worked out in threads a few ahead of the reader.

    Args:
        task: What to do.
        indices: int64 `[n]`.
        workers: Threads; 0: one a core and a few more.
    """
    with ThreadPoolExecutor(workers or None) as pool:
        running: deque[Future[Result]] = deque()
        try:
            for index in indices:
                running.append(pool.submit(task, int(index)))
                if len(running) > _AHEAD * pool._max_workers:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()
