"""TensorBoard's HPARAMS page: `tensorboard --logdir runs` has a table of all runs, their settings and their scores."""

import math
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from kerasnets.telemetry.events import Events
from kerasnets.telemetry.stepwise import Stepwise

NAME = "hparams"
"""Event files of their own, since every scalar beside the settings becomes a column of the table."""
COLUMNS = {"val_accuracy": "validation/accuracy", "val_loss": "validation/loss"}

Value = bool | float | str


def leaves(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Value]:
    """Return every setting of a nested mapping by its dotted key; None becomes "none", a list its text."""
    found: dict[str, Value] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            found |= leaves(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = _leaf(value)
    return found


def _leaf(value: Any) -> Value:
    if value is None or isinstance(value, Mapping):
        return "none"
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return float(value) if math.isfinite(value) else str(value)  # JSON, which the page is sent, has no infinity
    if isinstance(value, list | tuple):
        return ", ".join(str(_plain(item)) for item in value) or "none"
    return str(value)


def _plain(item: Any) -> Any:
    return int(item) if isinstance(item, float) and item.is_integer() else item


class HParams(Stepwise):
    """Writes a run's settings, its latest and best validation scores, and how it ended.

    It goes before the callback that closes the event files.

    Args:
        events: the event files.
        name: of the run, by which the table lists it.
        settings: of the run, nested.
    """

    def __init__(self, events: Events, name: str, settings: Mapping[str, Any]) -> None:
        super().__init__()
        self._events = events
        self._name = name
        self._settings = leaves(settings)
        self._best: dict[str, float] = {}
        self._running = False

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        from tensorboard.plugins.hparams import summary_v2

        self._running = True
        if not self.step:  # a run that is resumed has it
            self._write(summary_v2.hparams_pb(self._settings, trial_id=self._name))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        scores = {tag: float(logs[key]) for key, tag in COLUMNS.items() if key in logs} if logs else {}
        for tag, value in list(scores.items()):
            if math.isfinite(value):
                better = min if tag.endswith("loss") else max
                self._best[f"{tag}_best"] = better(self._best.get(f"{tag}_best", value), value)
        self._events.scalars(self.step, scores | self._best, NAME)

    def get_state(self) -> dict[str, Any]:
        """Return what a run that is resumed needs."""
        return {"best": self._best}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `get_state` returned."""
        self._best = dict(state["best"])

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        self.close(finished=True)

    def close(self, *, finished: bool) -> None:
        """Write how the run ended; one that is stopped before `on_train_end` needs it. Safe to call twice."""
        from tensorboard.plugins.hparams import api_pb2, summary

        if self._running:
            self._running = False
            self._write(summary.session_end_pb(api_pb2.STATUS_SUCCESS if finished else api_pb2.STATUS_FAILURE))

    def _write(self, message: Any) -> None:
        writer = self._events.writer(NAME)
        with writer.as_default():
            tf.summary.experimental.write_raw_pb(message.SerializeToString(), step=0)
        writer.flush()
