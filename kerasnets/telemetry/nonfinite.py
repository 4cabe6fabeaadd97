"""The first NaN or Inf of a run: an observer that notices it at the step where it arises, and says in which layer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from kerasnets.telemetry.observers import Forward, Observer, Watched, when
from kerasnets.telemetry.replicas import state


@dataclass(frozen=True)
class Trouble:
    """Where the first non-finite value was.

    Attributes:
        step: the optimizer step, from 1.
        kind: "input", "weight", "activation", "loss", "gradient", or "gradient_norm" when only the norm overflowed.
        layer: the first layer in the order of computation; for gradients, which are computed backwards, the last.
    """

    step: int
    kind: str
    layer: str

    @property
    def words(self) -> str:
        """Say it: `step 57: the activation of conv2_block1_relu`."""
        of = f" of {self.layer}" if self.layer else ""
        return f"step {self.step}: the {self.kind.replace('_', ' ')}{of} is not finite"


class NonFinite(Observer):
    """Looks at loss and gradient norm in every step, and at every tensor in the first step where one is not finite.

    Args:
        scaled: float16 with loss scaling, where gradients overflow now and then and the optimizer skips that step: then
            only the loss counts.
    """

    def __init__(self, scaled: bool = False) -> None:
        super().__init__()
        self._scaled = scaled

    def build(self, watched: Watched) -> None:
        self._watched = watched
        self._step = state(0, tf.int64, "nonfinite_step")
        self._first = state(0, tf.int64, "nonfinite_first_step")
        kinds = {"input": 1, "weight": len(watched.variables), "activation": len(watched.activations), "loss": 1}
        self._flags = {
            kind: state(tf.zeros(size, tf.bool), tf.bool, f"nonfinite_{kind}")
            for kind, size in (kinds | {"gradient": len(watched.variables)}).items()
        }

    def forward(self, seen: Forward) -> None:
        self._step.assign_add(1)
        # Looked at before the backward pass, so that no activation is kept for longer than that needs it.
        activations = list(seen.activations.values())
        tensors = {"input": [seen.images], "activation": activations, "loss": [seen.loss]}
        self._note(tf.math.is_finite(seen.loss), lambda: tensors)

    def gradients(self, raw: Sequence[tf.Tensor | None], norm: tf.Tensor) -> None:
        fine = tf.not_equal(self._first, self._step)
        dense: dict[str, Sequence[tf.Tensor]] = {}
        if not self._scaled:
            fine = tf.logical_and(fine, tf.math.is_finite(norm))
            dense["gradient"] = [tf.zeros(()) if g is None else g for g in raw]
        # Weights are looked at here alone, also for what the forward pass found: so they are traced once.
        self._note(fine, lambda: {"weight": [variable.value for variable in self._watched.variables], **dense})

    def _note(self, fine: tf.Tensor, tensors: Callable[[], Mapping[str, Sequence[tf.Tensor]]]) -> None:
        """Note which of the tensors are broken, unless all is fine or an earlier step was not."""

        def look() -> None:
            self._first.assign(self._step)
            for kind, found in tensors().items():
                self._flags[kind].assign(_broken(found))

        untold = tf.logical_or(tf.equal(self._first, 0), tf.equal(self._first, self._step))
        when(tf.logical_and(tf.logical_not(fine), untold), look)

    def found(self) -> Trouble | None:
        """Return the first trouble since the start or `reset`, or None."""
        step = int(self._first.numpy())
        if not step:
            return None
        watched = self._watched
        names: dict[str, Sequence[str]] = {"input": ("image",), "weight": watched.names, "loss": ("",)}
        names |= {"activation": tuple(watched.activations), "gradient": watched.names}
        for kind, flags in self._flags.items():
            places = np.flatnonzero(flags.numpy())
            if len(places):
                return Trouble(step, kind, names[kind][places[-1 if kind == "gradient" else 0]])
        return Trouble(step, "gradient_norm", "")

    def broken_weight(self) -> Trouble | None:
        """Look at the weights as they are now, which no step does: a ReLU may hide that one is NaN, making it 0."""
        places = np.flatnonzero(_broken([variable.value for variable in self._watched.variables]).numpy())
        return Trouble(int(self._step.numpy()), "weight", self._watched.names[places[0]]) if len(places) else None

    def reset(self) -> None:
        """Look for the next one."""
        self._first.assign(0)
        for flags in self._flags.values():
            flags.assign(tf.zeros_like(flags))


def _broken(tensors: Sequence[Any]) -> tf.Tensor:
    """Tell which of L tensors hold a NaN or Inf, bool `[L]`.

    Two operations a tensor, made directly: there is one such row for each weight, activation and gradient, in a branch
    that is hardly ever taken, and to trace it took a third of the time to the first step.
    """
    axes: dict[int | None, tf.Tensor] = {}

    def all_of(tensor: Any) -> tf.Tensor:
        rank = tensor.shape.rank
        if rank is None:
            return tf.range(tf.rank(tensor))
        if rank not in axes:
            axes[rank] = tf.constant(np.arange(rank, dtype=np.int32))
        return axes[rank]

    finite = [tf.raw_ops.All(input=tf.raw_ops.IsFinite(x=tensor), axis=all_of(tensor)) for tensor in tensors]
    return tf.logical_not(tf.stack(finite))
