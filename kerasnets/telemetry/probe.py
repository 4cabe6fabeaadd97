"""The probe: an observer that samples statistics of every weight, gradient, update and activation of the real step.

Samples are taken in the graph, at the first steps and then every so many: those steps run a graph of their own. The
host reads a handful of small variables after them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kerasnets.telemetry.frozen import Frozen
from kerasnets.telemetry.observers import Forward, Level, Observer, Watched, when
from kerasnets.telemetry.record import (
    ACTIVATION,
    CLIPPED,
    GRADIENT,
    HEAD,
    INPUT,
    STATISTICS,
    UPDATE,
    WEIGHT,
    Layers,
)
from kerasnets.telemetry.replicas import state
from kerasnets.telemetry.sample import Kind, Sample
from kerasnets.telemetry.statistics import (
    BUCKETS,
    RECTIFIERS,
    SATURATION,
    describe,
    first_images,
    saturated_share,
    silent_channels,
)

FIRST = (2, 5, 10, 20, 50)
"""Steps that are sampled whatever the interval. Not the first: it does not wait for a sample's graph to be traced."""
FIRST_HEADS = (50, 200)
"""The same for each head's own gradients."""
RING = 1024
"""Steps whose loss, gradient norm and learning rate the device remembers until the host reads them."""
_STEP_VALUES = 3


class _Store(tf.Module):
    """Device variables for one kind's statistics."""

    def __init__(self, kind: str, names: Sequence[str]) -> None:
        super().__init__()
        label = kind.replace(":", "_")
        self.names = tuple(names)
        self.moments = state(tf.zeros([len(self.names), len(STATISTICS)]), tf.float32, f"{label}_moments")
        self.counts = state(tf.zeros([len(self.names), BUCKETS]), tf.float32, f"{label}_counts")

    def take(self, tensors: Sequence[tf.Tensor]) -> None:
        moments, counts = describe(tensors)
        self.moments.assign(moments)
        self.counts.assign(counts)

    def kind(self, histogram: bool, **extras: np.ndarray) -> Kind:
        counts = self.counts.numpy() if histogram else None
        return Kind(self.names, self.moments.numpy(), counts, extras)


class Probe(Observer):
    """Samples statistics of the training step.

    Args:
        every: optimizer steps between two samples.
        passes_every: steps between two samples that take passes of their own: each head's gradients, where there are
            several, and the loss in inference mode.
        activations: look at activations too.
        histograms: take histograms; `pause_histograms` stops that.
        clipping: gradients are clipped, so what the optimizer gets is looked at as well.
        often: up to this step the loss in inference mode is measured at every sample.
        frozen: variables without gradients and updates, of which nothing is said then.

    Attributes:
        wanted: the interval that was set last.
        shared: several workers sample together, and change the interval together too.
    """

    def __init__(
        self,
        every: int = 100,
        passes_every: int = 500,
        *,
        activations: bool = True,
        histograms: bool = True,
        clipping: bool = False,
        often: int = 1000,
        frozen: Frozen = Frozen(),  # noqa: B008  (frozen)
    ) -> None:
        super().__init__()
        self._frozen = frozen
        self._first_every = self._interval = self.wanted = every
        self.shared = False
        self._passes_every = passes_every
        self._activations = activations
        self._clipping = clipping
        self._often = often
        self._histograms = histograms

    def build(self, watched: Watched) -> None:
        self.watched = watched
        self._step = state(0, tf.int64, "probe_step")
        self._sampled = state(0, tf.int64, "probe_sampled")
        self._passed = state(0, tf.int64, "probe_passed")
        self._inferred = state(0, tf.int64, "probe_inferred")
        self._ring = state(tf.zeros([RING, _STEP_VALUES]), tf.float32, "probe_ring")
        self._inference_loss = state(0.0, tf.float32, "probe_inference_loss")
        names = watched.names
        kinds = [GRADIENT, *([CLIPPED] if self._clipping else []), WEIGHT, UPDATE]
        self._stores = {kind: _Store(kind, names) for kind in kinds}
        self._stores[INPUT] = _Store(INPUT, ("image",))
        self._before_norm = state(tf.zeros(len(names)), tf.float32, "probe_norm_before")
        self._heads = {head: _Store(HEAD + head, names) for head in watched.heads if len(watched.heads) > 1}
        if self._activations:
            self._build_activations()

    def _build_activations(self) -> None:
        watched = self.watched.activations
        self._stores[ACTIVATION] = _Store(ACTIVATION, tuple(watched))
        self._saturated = state(tf.zeros(len(watched)), tf.float32, "probe_saturated")
        channels = {name: self.watched.shapes[name][-1] or 0 for name, f in watched.items() if f in RECTIFIERS}
        ends = np.cumsum([0, *channels.values()]).tolist()
        self._channels = {name: slice(a, b) for name, a, b in zip(channels, ends, ends[1:], strict=False)}
        self._dead = state(tf.zeros(ends[-1]), tf.float32, "probe_dead")
        self._dead_samples = state(tf.zeros(ends[-1]), tf.float32, "probe_dead_samples")
        self._samples = state(0.0, tf.float32, "probe_samples")

    def level(self, steps: range) -> Level:
        if self._heads and any(self._due_heads(step) for step in steps):
            return Level.HEADS
        return Level.SAMPLE if any(self.due(step) for step in steps) else Level.STEP

    # In the graph.

    def forward(self, seen: Forward) -> None:
        self._step.assign_add(1)
        self._level = seen.level
        self._loss, self._rate = tf.cast(seen.loss, tf.float32), seen.learning_rate
        if self._level >= Level.SAMPLE:
            self._see_forward(seen)
        if self._level >= Level.HEADS:
            self._see_heads(seen)

    def gradients(self, raw: Sequence[tf.Tensor | None], norm: tf.Tensor) -> None:
        place = tf.cast((self._step - 1) % RING, tf.int32)
        row = tf.stack([self._loss, norm, self._rate])
        self._ring.assign(tf.tensor_scatter_nd_update(self._ring, [[place]], [row]))
        self._see(GRADIENT, raw)

    def clipped(self, gradients: Sequence[tf.Tensor | None]) -> None:
        if self._clipping:
            self._see(CLIPPED, gradients)
        if self._level >= Level.SAMPLE:
            self._before = [tf.identity(variable.value) for variable in self.watched.variables]

    def applied(self) -> None:
        if self._level >= Level.SAMPLE:
            self._see_update()

    def _see_forward(self, seen: Forward) -> None:
        self._sampled.assign(self._step)
        early, long_ago = self._step <= self._often, self._step - self._inferred >= self._passes_every
        when(tf.logical_or(early, long_ago), lambda: self._infer(seen))
        self._stores[INPUT].take([first_images(seen.images)])
        if not self._activations:
            return
        self._stores[ACTIVATION].take([first_images(x) for x in seen.activations.values()])
        functions = self.watched.activations
        self._saturated.assign(
            tf.stack(
                [
                    saturated_share(first_images(x), functions[name]) if functions[name] in SATURATION else 0.0
                    for name, x in seen.activations.items()
                ]
            )
        )
        if self._channels:
            dead = tf.concat([silent_channels(seen.activations[name]) for name in self._channels], axis=0)
            self._dead.assign(dead)
            self._dead_samples.assign_add(dead)
            self._samples.assign_add(1.0)

    def _infer(self, seen: Forward) -> None:
        self._inferred.assign(self._step)
        self._inference_loss.assign(tf.cast(seen.inference_loss(), tf.float32))

    def _see_heads(self, seen: Forward) -> None:
        self._passed.assign(self._step)
        for head, store in self._heads.items():
            store.take(self._dense(seen.head_gradients(head)))

    def _see(self, kind: str, gradients: Sequence[tf.Tensor | None]) -> None:
        if self._level >= Level.SAMPLE:
            self._stores[kind].take(self._dense(gradients))

    def _see_update(self) -> None:
        after = [variable.value for variable in self.watched.variables]
        self._stores[WEIGHT].take(after)
        updates = [a - b for a, b in zip(after, self._before, strict=True)]
        self._stores[UPDATE].take(updates)
        self._before_norm.assign(tf.stack([tf.cast(tf.norm(before), tf.float32) for before in self._before]))

    def _dense(self, gradients: Sequence[tf.Tensor | None]) -> list[tf.Tensor]:
        """Return the gradients with zeros for variables that the loss does not depend on."""
        pairs = zip(gradients, self.watched.variables, strict=True)
        return [tf.zeros(v.shape, v.dtype) if g is None else g for g, v in pairs]

    # On the host.

    @property
    def every(self) -> int:
        """The interval between two samples; setting it takes effect at the next step, or when all workers settle it."""
        return self._interval

    @every.setter
    def every(self, steps: int) -> None:
        self.wanted = steps
        if not self.shared:
            self._interval = steps

    def settle(self, steps: int) -> None:
        """Set the interval, on all workers at once."""
        self.wanted = self._interval = steps

    @property
    def step(self) -> int:
        """Optimizer steps so far."""
        return int(self._step.numpy())

    def get_state(self) -> dict[str, Any]:
        return {"every": self._interval, "histograms": self._histograms}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self.settle(state["every"])
        self._histograms = state["histograms"]

    def pause_histograms(self) -> None:
        """Take no more histograms."""
        self._histograms = False

    def due(self, step: int) -> bool:
        """Tell whether `step` is sampled; nothing is asked of the device."""
        return step in FIRST or step % self._interval == 0 or (bool(self._heads) and self._due_heads(step))

    def _due_heads(self, step: int) -> bool:
        return step in FIRST_HEADS or step % self._passes_every == 0

    def sample(self) -> Sample:
        """Return what was seen at the last step that was sampled."""
        step = int(self._sampled.numpy())
        passes = step == int(self._passed.numpy())
        kinds = {kind: store.kind(self._histograms) for kind, store in self._stores.items()}
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = kinds[UPDATE].moments[:, STATISTICS.index("l2")] / self._before_norm.numpy()
        kinds[UPDATE].extras["ratio"] = np.where(np.isfinite(ratio), ratio, np.nan)
        if left := self._frozen.at(step):
            kinds |= {kind: kinds[kind].without(left) for kind in (GRADIENT, CLIPPED, UPDATE) if kind in kinds}
        dead: dict[str, np.ndarray] = {}
        if self._activations:
            dead = self._add_activations(kinds[ACTIVATION])
        if passes:
            kinds |= {HEAD + head: store.kind(False).reached() for head, store in self._heads.items()}
        inferred = step == int(self._inferred.numpy())
        return Sample(step, kinds, dead, float(self._inference_loss.numpy()) if inferred else None)

    def _add_activations(self, kind: Kind) -> dict[str, np.ndarray]:
        functions = list(self.watched.activations.values())
        kind.extras["saturated"] = np.where([f in SATURATION for f in functions], self._saturated.numpy(), np.nan)
        now, samples = self._dead.numpy(), max(float(self._samples.numpy()), 1.0)
        shares = self._dead_samples.numpy() / samples
        dead = {name: shares[where] for name, where in self._channels.items()}
        blank = np.full(len(functions), np.nan, np.float32)
        kind.extras["dead"], kind.extras["dead_epoch"] = blank, blank.copy()
        for place, name in enumerate(kind.names):
            if name in dead:
                kind.extras["dead"][place] = now[self._channels[name]].mean()
                kind.extras["dead_epoch"][place] = (dead[name] >= 1).mean()
        return dead

    def forget_epoch(self) -> None:
        """Begin to count dead channels anew."""
        if self._activations:
            self._dead_samples.assign(tf.zeros_like(self._dead_samples))
            self._samples.assign(0.0)

    def steps(self, first: int, last: int) -> list[tuple[int, float, float, float]]:
        """Return (step, loss, gradient norm, learning rate) of the steps `first` to `last`, those still remembered."""
        ring = self._ring.numpy()
        first = max(first, last - RING + 1)
        return [(step, *(float(value) for value in ring[(step - 1) % RING])) for step in range(first, last + 1)]  # type: ignore[misc]

    def layers(self, steps_per_epoch: int, main_head: str | None = None) -> Layers:
        """Describe what is watched, for the record."""
        return Layers(
            variables=self.watched.names,
            activations=dict(self.watched.activations) if self._activations else {},
            heads=self.watched.heads,
            main_head=main_head or self.watched.heads[-1],
            every=self._first_every,
            steps_per_epoch=steps_per_epoch,
            clipping=self._clipping,
        )
