"""Runs the command line and kills its own process, as `kill -9` does, at a chosen point of training.

    python tests/killing.py PHASE COUNT MILLISECONDS -- train digits-resnet20 …

PHASE is what is waited for COUNT times; then so many milliseconds later the process is gone:
step (a training step begins), checkpoint (one begins to be written), validation (a validation batch begins),
epoch (an epoch's last callbacks begin), best (the best weights begin to be written).
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

PHASES = ("step", "checkpoint", "validation", "epoch", "best")


def places() -> dict[str, tuple[Any, str]]:
    """Return phase -> (class, method) whose call marks it."""
    from kerasnets.training.callbacks import BestWeights
    from kerasnets.training.checkpoint.callback import Callbacks
    from kerasnets.training.checkpoint.store import Store

    return {
        "step": (Callbacks, "on_train_batch_begin"),
        "checkpoint": (Store, "write"),
        "validation": (Callbacks, "on_test_batch_begin"),
        "epoch": (Callbacks, "on_epoch_end"),
        "best": (BestWeights, "on_epoch_end"),
    }


def kill_in(milliseconds: float) -> None:
    """Kill this process then, whatever it does at that moment."""
    threading.Timer(milliseconds / 1000, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()


def arm(phase: str, count: int, milliseconds: float) -> None:
    """Have the `count`th call of a phase start the clock."""
    owner, name = places()[phase]
    method: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count:
            print(f"killed in {phase}", file=sys.stderr, flush=True)
            kill_in(milliseconds)
        return method(*args, **kwargs)

    setattr(owner, name, counted)


if __name__ == "__main__":
    from kerasnets.cli import main
    from kerasnets.console import import_tensorflow

    import_tensorflow()
    own, sys.argv[1:] = sys.argv[1:4], sys.argv[5:]
    arm(own[0], int(own[1]), float(own[2]))
    main()
