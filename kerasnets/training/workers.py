"""Several workers, one run: what they decide together, and what the ones that write nothing do."""

import hashlib
from collections.abc import Mapping
from typing import Any

import keras

from kerasnets.config.differences import flat
from kerasnets.data.fingerprint import fingerprint
from kerasnets.errors import Interrupted
from kerasnets.telemetry.probe import Probe
from kerasnets.telemetry.replicas import Flags
from kerasnets.training.checkpoint.store import Saved
from kerasnets.training.distribute import Distribution
from kerasnets.training.job import Job
from kerasnets.training.stopping import SIGNALS, StopRequest

_OWN = ("model.pretrained", "data.path", "data.workers", "data.cache", "training.threads", "telemetry.", "export.")


def alike(job: Job, saved: Saved | None = None) -> None:
    """See that all workers have the same config, the same images, and go on from the same step.

    Raises:
        UserError: they have not.
    """
    if len(job.distribution.cluster) == 1:
        return
    keys = {key: value for key, value in flat(job.config).items() if not key.startswith(_OWN)}
    job.distribution.agree("settings", hashlib.sha256(repr(keys).encode()).hexdigest())
    job.distribution.agree("images", fingerprint(job.dataset))
    job.distribution.agree("pretrained weights", "none" if job.weights is None else job.weights.sha256)
    job.distribution.agree("checkpoints", "none" if saved is None else saved.name)


class SharedStop(StopRequest):
    """A request to stop that any worker may get, and that all of them follow after the same step.

    Args:
        flags: what the workers tell each other in each step.
    """

    def __init__(self, flags: Flags) -> None:
        super().__init__()
        self._flags = flags

    @property
    def signal(self) -> Any:
        seen = [number for number, up in zip(SIGNALS, self._flags.seen(), strict=True) if up]
        return seen[-1] if seen else None

    def tell(self) -> None:
        """Have the next step take along what this process got."""
        if self.noted is not None:
            self._flags.raise_(SIGNALS.index(self.noted))


class Together(keras.callbacks.Callback):
    """Has all workers know of each other's signals, and sample the same steps, since each kind has a graph of its own.

    The interval between samples, which the chief widens as its event files grow, changes with the epochs.
    """

    def __init__(self, stop: SharedStop, distribution: Distribution, probe: Probe | None) -> None:
        super().__init__()
        self._stop = stop
        self._distribution = distribution
        self._probe = probe

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self._probe is not None:
            self._probe.settle(int(self._distribution.told(str(self._probe.wanted))))

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._stop.tell()

    def on_test_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._stop.tell()


class StopWithTheChief(keras.callbacks.Callback):
    """Stops a worker that writes nothing after the step at which the chief saves and stops."""

    def __init__(self, stop: SharedStop) -> None:
        super().__init__()
        self._stop = stop

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self._stop.signal is not None:
            raise Interrupted(f"stopped after step {self.model.steps_done}", self._stop.code)

    on_test_batch_end = on_train_batch_end
