"""The state of a run that is training: taken out of the trainer and the callbacks, and put back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import keras
import numpy as np

from kerasnets.data.fingerprint import fingerprint
from kerasnets.errors import UserError
from kerasnets.training.checkpoint.store import Damaged, Saved
from kerasnets.training.job import Job

_ARRAY = "$array"
OPTIONAL = frozenset({"EarlyStopping", "LiveDoctor"})
"""Callbacks that a run may gain or lose when it is resumed, since what decides about them may change."""


@runtime_checkable
class Stateful(Protocol):
    """What remembers something that a resumed run needs: nested dicts and lists of JSON's values and NumPy arrays."""

    def get_state(self) -> dict[str, Any]:
        """Return it."""

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take it back."""


@dataclass(frozen=True, eq=False)
class State:
    """Where the state of a run is: variables on the device, and callbacks and observers on the host.

    Args:
        job: what is trained.
        others: callbacks and whatever else remembers something; those that are not `Stateful` are passed over.
        whole: there are all callbacks that a checkpoint is of; else some of them, on a worker that writes none.
    """

    job: Job
    others: Sequence[object]
    whole: bool = True

    @cached_property
    def data(self) -> str:
        """Fingerprint of the images."""
        return fingerprint(self.job.dataset)

    def variables(self) -> dict[str, Any]:
        """Return every variable that training changes, by its plain name."""
        job, trainer = self.job, self.job.trainer
        groups: dict[str, Iterable[tuple[str, Any]]] = {
            "net": ((variable.path, variable) for variable in trainer.net.weights),
            "seeds": ((str(place), variable) for place, variable in enumerate(_seeds(trainer.net))),
            "optimizer": ((variable.path, variable) for variable in trainer.optimizer.variables),
            "metrics": self._metrics().items(),
            "observers": ((v.name, v) for observer in trainer.observers for v in observer.variables),
            "validation": ((v.name, v) for v in (trainer.counts.variables if trainer.counts is not None else ())),
            "rate": (("factor", job.rate.variable),) if job.rate is not None else (),
        }
        found: dict[str, Any] = {}
        for group, pairs in groups.items():
            for name, variable in pairs:
                key = f"{group}/{name}"
                if key in found:
                    raise ValueError(f"two variables are called {key}")
                found[key] = variable
        return found

    def _metrics(self) -> dict[str, Any]:
        metrics = self.job.trainer.metrics
        return {f"{metric.name}/{place}": v for metric in metrics for place, v in enumerate(metric.variables)}

    def metrics(self) -> dict[str, np.ndarray]:
        """Return the metrics of the epoch so far, which a validation pass overwrites."""
        return {f"metrics/{name}": variable.numpy() for name, variable in self._metrics().items()}

    def take(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return arrays by name, and all else as JSON has it."""
        arrays = {name: np.asarray(variable.numpy()) for name, variable in self.variables().items()}
        values: dict[str, Any] = {}
        for name, other in self._stateful().items():
            values[name] = _without_arrays(other.get_state(), f"host/{name}", arrays)
        return arrays, values

    def check(self, saved: Saved) -> None:
        """See whether a state fits: the same variables and shapes, the same callbacks.

        Raises:
            Damaged: it does not.
        """
        _check_values(saved)
        variables, arrays = self.variables(), saved.arrays
        if odd := sorted({name for name in arrays if not name.startswith("host/")} ^ set(variables)):
            raise Damaged(f"it has other variables than the network: {odd[0]}")
        for name, variable in variables.items():
            if tuple(variable.shape) != arrays[name].shape:
                raise Damaged(f"{name} has shape {list(arrays[name].shape)}, not {list(variable.shape)}")
        others, own = set(saved.values["callbacks"]), set(self._stateful())
        if odd := sorted((others ^ own if self.whole else own - others) - OPTIONAL):
            raise Damaged(f"it has other callbacks than the run: {odd[0]}")

    def put_variables(self, saved: Saved) -> None:
        """Give every variable its value."""
        for name, variable in self.variables().items():
            variable.assign(saved.arrays[name])

    def put_others(self, saved: Saved) -> None:
        """Give every callback and observer what it remembered."""
        for name, other in self._stateful().items():
            if name in saved.values["callbacks"]:
                try:
                    other.set_state(_with_arrays(saved.values["callbacks"][name], saved.arrays))
                except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
                    raise UserError(f"checkpoint {saved.name} does not hold what {name} remembers: {error}") from error

    def _stateful(self) -> dict[str, Stateful]:
        found: dict[str, Stateful] = {}
        for other in (*self.job.trainer.observers, *self.others):
            if isinstance(other, Stateful):
                name = type(other).__name__
                if name in found:
                    raise ValueError(f"two callbacks are called {name}")
                found[name] = other
        return found


def _seeds(net: keras.Model) -> list[Any]:
    """Return the states of a network's random generators, in order; Keras numbers their names through a process."""
    weights = {id(variable) for variable in net.weights}
    return [variable for variable in net.variables if id(variable) not in weights]


def _check_values(saved: Saved) -> None:
    """See that what is no array is of the types that are written; hashes beside a file only tell of accidents."""
    values = saved.values
    callbacks, files = values.get("callbacks"), values.get("files")
    right = (
        min(saved.epoch, saved.batch, saved.step) >= 0,
        isinstance(callbacks, dict) and all(isinstance(state, dict) for state in callbacks.values()),
        isinstance(files, dict) and all(isinstance(size, int) and size >= 0 for size in files.values()),
        isinstance(values.get("stopped"), bool) and isinstance(values.get("data"), str),
    )
    if not all(right):
        raise Damaged("its values are not those of a checkpoint")


def _without_arrays(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """Return `value` with each array in it replaced by the name under which it goes into `arrays`."""
    if isinstance(value, np.ndarray | np.generic):
        arrays[name] = np.asarray(value)
        return {_ARRAY: name}
    if isinstance(value, Mapping):
        return {key: _without_arrays(item, f"{name}/{key}", arrays) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_arrays(item, f"{name}/{place}", arrays) for place, item in enumerate(value)]
    return value


def _with_arrays(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Undo `_without_arrays`."""
    if isinstance(value, Mapping):
        return arrays[value[_ARRAY]] if _ARRAY in value else {k: _with_arrays(v, arrays) for k, v in value.items()}
    return [_with_arrays(item, arrays) for item in value] if isinstance(value, list) else value
