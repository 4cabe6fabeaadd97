"""What happens when a number stops being finite: stop and say where it began, or go back to good weights."""

import abc
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import keras
import numpy as np

from kerasnets.console import err
from kerasnets.errors import CheckFailed
from kerasnets.telemetry.nonfinite import NonFinite, Trouble
from kerasnets.telemetry.stepwise import Stepwise

LOOK_EVERY = 20
"""Optimizer steps between two looks: each waits for the device."""
KEEP_EVERY = 1000
"""Optimizer steps between two copies of the state, beside those at each epoch's start."""
MOST_ROLLBACKS = 10
_ADVICE = "try a lower training.learning_rate, training.warmup_epochs or training.clip_global_norm=1"


class RateFactor:
    """What the learning rate is multiplied by, and can be lowered while training."""

    def __init__(self) -> None:
        self.variable = keras.Variable(1.0, trainable=False, name="rate_factor")

    def times(self, schedule: keras.optimizers.schedules.LearningRateSchedule) -> "FactoredSchedule":
        """Return the schedule times this factor."""
        return FactoredSchedule(schedule, self)

    def lower(self, factor: float) -> float:
        """Multiply by `factor` and return what it is then."""
        self.variable.assign(self.variable * factor)
        return float(self.variable.numpy())


class FactoredSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule times a factor. The factor belongs to a run, so this is not saved: the schedule alone is."""

    def __init__(self, schedule: keras.optimizers.schedules.LearningRateSchedule, factor: RateFactor) -> None:
        super().__init__()
        self._schedule = schedule
        self._factor = factor

    def __call__(self, step: Any) -> Any:
        return self._schedule(step) * self._factor.variable


class _Watching(Stepwise, abc.ABC):
    """Looks for trouble where the epoch's mean loss is not finite, every few steps, and at each epoch's last one.

    Args:
        observer: the one that notices it in the step.
        note: keeps what was found, such as in the run directory.
    """

    action: str

    def __init__(self, observer: NonFinite, note: Callable[[Sequence[Mapping[str, Any]]], None]) -> None:
        super().__init__()
        self._observer = observer
        self._note = note
        self._noted: list[dict[str, Any]] = []
        self._means: Mapping[str, Any] = {}

    def get_state(self) -> dict[str, Any]:
        return {"noted": self._noted}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self._noted = list(state["noted"])
        if self._noted:
            self._note(self._noted)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._means = logs or {}
        super().on_train_batch_end(batch, logs)

    def on_steps_end(self, steps: range) -> None:
        last = self._batch + 1 == self.params["steps"]  # of the epoch
        broken = not math.isfinite(self._means.get("loss", 0.0))
        if last or broken or any(step % LOOK_EVERY == 0 for step in steps):
            self._look(weights=last)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):  # of finite steps: their sum overflowed
            raise CheckFailed(f"the mean training loss of epoch {epoch + 1} is {loss}; {_ADVICE}")

    def _look(self, weights: bool = False) -> None:
        found = self._observer.found() or (self._observer.broken_weight() if weights else None)
        if found is not None:
            self._noted.append(asdict(found) | {"action": self.action})
            self._note(self._noted)
            self.found(found)

    @abc.abstractmethod
    def found(self, trouble: Trouble) -> None:
        """Do what the config says."""


class StopOnNonFinite(_Watching):
    """Stops the run and names the first layer and step."""

    action = "stop"

    def found(self, trouble: Trouble) -> None:
        raise CheckFailed(f"{trouble.words}, the first value that is not; {_ADVICE}, or training.on_nonfinite=rollback")


class Rollback(_Watching):
    """Goes back to the last good state with a lower learning rate; the data go on where they were.

    Copies of weights and optimizer state are taken at each epoch's start and every 1,000 steps; the last two are kept,
    and the older is taken when the newer led to the same end. Metrics begin anew: an epoch's values are those of the
    steps since its last rollback, or up to it where none followed.

    Args:
        observer: the one that notices trouble in the step.
        note: keeps what was found.
        rate: the factor of the learning rate.
        factor: what each rollback multiplies it by.
    """

    action = "rollback"

    def __init__(
        self,
        observer: NonFinite,
        note: Callable[[Sequence[Mapping[str, Any]]], None],
        rate: RateFactor,
        factor: float,
    ) -> None:
        super().__init__(observer, note)
        self._rate = rate
        self._factor = factor
        self._kept: list[tuple[int, list[np.ndarray]]] = []
        self._used: int | None = None
        self._finite: dict[str, Any] = {}

    def get_state(self) -> dict[str, Any]:
        kept = [{"step": step, "variables": state} for step, state in self._kept]
        return {**super().get_state(), "kept": kept, "used": self._used, "finite": self._finite}

    def set_state(self, state: Mapping[str, Any]) -> None:
        super().set_state(state)
        self._kept = [(kept["step"], list(kept["variables"])) for kept in state["kept"]]
        self._used, self._finite = state["used"], dict(state["finite"])

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        super().on_epoch_begin(epoch)
        self._finite = {}
        self._keep()

    def on_steps_end(self, steps: range) -> None:
        self._finite |= {name: value for name, value in self._means.items() if math.isfinite(value)}
        super().on_steps_end(steps)
        if any(step % KEEP_EVERY == 0 for step in steps):
            self._look()
            self._keep()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is not None:  # as they were before a rollback at the epoch's last step
            logs |= {name: self._finite.get(name, value) for name, value in logs.items() if not math.isfinite(value)}
        super().on_epoch_end(epoch, logs)

    def _variables(self) -> list[Any]:
        """Return the state: weights, moving statistics, and the optimizer's but for its step, which the schedule needs.

        Adam corrects its bias by it too, so after going back its updates may be up to three times as large.
        """
        optimizer = self.model.optimizer
        return [v for v in (*self.model.net.variables, *optimizer.variables) if v is not optimizer.iterations]

    def _keep(self) -> None:
        """Copy the state, but for one that is not finite: what an update broke shows in the next step's loss."""
        if self._kept and self._kept[-1][0] == self.step:
            return
        state = [variable.numpy() for variable in self._variables()]
        if not self._kept or all(np.isfinite(value).all() for value in state):
            self._kept = [*self._kept[-1:], (self.step, state)]

    def found(self, trouble: Trouble) -> None:
        if len(self._noted) > MOST_ROLLBACKS:
            raise CheckFailed(f"{trouble.words}, after {MOST_ROLLBACKS} rollbacks; {_ADVICE}")
        if len(self._kept) > 1 and self._kept[-1][0] == self._used:
            self._kept.pop()
        self._used, state = self._kept[-1]
        for variable, value in zip(self._variables(), state, strict=True):
            variable.assign(value)
        factor = self._rate.lower(self._factor)
        self.model.reset_metrics()
        self._observer.reset()
        back = f"back to the weights of step {self._used}, learning rate x {factor:g} from here on"
        err.print(f"rollback: {trouble.words}; {back}", style="yellow", markup=False)
