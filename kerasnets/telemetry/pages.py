"""TensorBoard pages that are drawn at the end of an epoch.

Drawing takes tenths of a second, so that not every epoch is drawn: the first, the second, the fourth, the eighth and
so on, and the last. Which ones is not a matter of time, so that a run that was resumed has the same.
"""

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from kerasnets.telemetry import pictures, summaries
from kerasnets.telemetry.events import TRAIN, VALIDATION, Events
from kerasnets.telemetry.record import GRADIENT, STATISTICS, Series
from kerasnets.telemetry.sample import Kind, Sample
from kerasnets.telemetry.stepwise import Stepwise
from kerasnets.telemetry.validation import Validation, ValidationCounts, hardest
from kerasnets.telemetry.writer import ProbeWriter

CURVES = 25
"""The most classes whose PR curves are written."""


def due(epoch: int, epochs: int) -> bool:
    """Tell whether the pages of an epoch, from 0, are written."""
    done = epoch + 1
    return done == epochs or done & epoch == 0  # a power of two


class Pages(Stepwise, abc.ABC):
    """Writes pages at the end of some epochs; goes before the callback that closes the event files.

    Args:
        events: the event files; pages that would not fit into them are left out.
    """

    def __init__(self, events: Events) -> None:
        super().__init__()
        self._events = events
        self._size = 0
        self._owed = False

    def get_state(self) -> dict[str, Any]:
        """Return what a run that is resumed needs."""
        return {"size": self._size, "owed": self._owed}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `get_state` returned."""
        self._size, self._owed = state["size"], state["owed"]

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._owed = not due(epoch, self.params["epochs"])
        if not self._owed:
            self._write_if_it_fits()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        if self._owed:  # stopped early
            self._write_if_it_fits()

    def _write_if_it_fits(self) -> None:
        before = self._events.bytes
        if self._events.room(self._size):  # that of the pages before
            self.write()
            self._size = self._events.bytes - before

    @abc.abstractmethod
    def write(self) -> None:
        """Write the pages as things are now."""


class ProbePages(Pages):
    """Pictures of what the probe saw: the gradients over depth and time, and dead units.

    Args:
        writer: the probe's; it goes before this one.
    """

    def __init__(self, writer: ProbeWriter) -> None:
        super().__init__(writer.events)
        self._probe = writer
        self._samples: list[Sample] = []

    def on_steps_end(self, steps: range) -> None:
        sample = self._probe.last
        if sample is not None and sample.step in steps:
            gradients = replace(sample.kinds[GRADIENT], counts=None)
            if self._samples:
                self._samples[-1] = replace(self._samples[-1], dead={})  # only the latest are drawn
            self._samples.append(replace(sample, kinds={GRADIENT: gradients}))

    def get_state(self) -> dict[str, Any]:
        samples = self._samples
        if not samples:
            return {**super().get_state(), "steps": []}
        moments = np.stack([sample.kinds[GRADIENT].moments for sample in samples])
        names, steps = list(samples[-1].kinds[GRADIENT].names), [sample.step for sample in samples]
        return {**super().get_state(), "steps": steps, "names": names, "moments": moments, "dead": samples[-1].dead}

    def set_state(self, state: Mapping[str, Any]) -> None:
        super().set_state(state)
        self._samples = []
        for place, step in enumerate(state["steps"]):
            kind = Kind(tuple(state["names"]), state["moments"][place], None, {})
            dead = state["dead"] if place == len(state["steps"]) - 1 else {}
            self._samples.append(Sample(step, {GRADIENT: kind}, dict(dead), None))

    def write(self) -> None:
        if not self._samples:
            return
        with self._events.writer(TRAIN).as_default():
            profile = pictures.depth_profile(_kernels(self._samples))
            summaries.image("pictures/gradient_over_depth", profile, self.step)
            if self._samples[-1].dead:
                summaries.image("pictures/dead_units", pictures.dead_units(self._samples[-1].dead), self.step)


def _kernels(samples: Sequence[Sample]) -> Series:
    """Return the kernels' gradients; of a network without kernels, all gradients."""
    moments = np.stack([sample.kinds[GRADIENT].moments for sample in samples])
    values = {name: moments[..., place] for place, name in enumerate(STATISTICS)}
    found = Series(np.array([sample.step for sample in samples]), samples[-1].kinds[GRADIENT].names, values)
    kernels = found.only("/kernel")
    return kernels if kernels.names else found


class ValidationPages(Pages):
    """What the validation pass gave: confusion matrix, worst mistakes, PR curves.

    Args:
        counts: what the test step updates; forgotten before each validation pass.
        events: the event files.
        names: of the classes.
        images: returns the images at these places of the validation order, uint8 `[h, w, 1 or 3]` each.
        draw: write pictures.
        pr_curves: write PR curves.
    """

    def __init__(
        self,
        counts: ValidationCounts,
        events: Events,
        *,
        names: Sequence[str],
        images: Callable[[Sequence[int]], Sequence[np.ndarray]],
        draw: bool = True,
        pr_curves: bool = True,
    ) -> None:
        super().__init__(events)
        self._counts = counts
        self._names = tuple(names)
        self._images = images
        self._draw = draw
        self._pr_curves = pr_curves
        self._curves: list[int] | None = None

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "curves": self._curves}

    def set_state(self, state: Mapping[str, Any]) -> None:
        super().set_state(state)
        self._curves = state["curves"]

    def on_test_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self._counts.reset()

    def write(self) -> None:
        found = self._counts.results()
        with self._events.writer(VALIDATION).as_default(step=self.step):
            if found.nonfinite:
                tf.summary.scalar("nonfinite_outputs/validation_images", found.nonfinite)
            if self._draw:
                self._write_pictures(found)
            if self._pr_curves and found.positives is not None and found.negatives is not None:
                self._write_curves(found.positives, found.negatives)

    def _write_pictures(self, found: Validation) -> None:
        if found.confusion is not None:
            picture = pictures.confusion(found.confusion, self._names, "Confusion matrix of the validation images")
            summaries.image("pictures/confusion", picture, self.step)
        worst = found.worst
        picture = pictures.mistakes(
            self._images([mistake.place for mistake in worst]) if worst else (),
            [mistake.label for mistake in worst],
            [mistake.predicted for mistake in worst],
            [mistake.probability for mistake in worst],
            self._names,
            "Misclassified validation images of the highest loss",
        )
        summaries.image("pictures/worst_mistakes", picture, self.step)

    def _write_curves(self, positives: np.ndarray, negatives: np.ndarray) -> None:
        """Write a curve for each class; of many, for those with the lowest average precision at first."""
        if self._curves is None:
            self._curves = hardest(positives, negatives, CURVES)
        for place in self._curves:
            summaries.pr_curve(f"pr_curve/{self._names[place]}", positives[place], negatives[place], self.step)
