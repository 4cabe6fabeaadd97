"""The input pipeline stage by stage, in turns."""

import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kerasnets import environment
from kerasnets.benchmark.input.clock import Clock, settle
from kerasnets.benchmark.input.result import Stage
from kerasnets.console import progress
from kerasnets.data import pipeline
from kerasnets.data.augment import Augmenter
from kerasnets.data.caching import Cache
from kerasnets.data.raw import kept
from kerasnets.data.sources import Split
from kerasnets.data.steps import Steps
from kerasnets.data.streams import FOREVER, FileStream, Order, PixelStream, Resize, options
from kerasnets.training.job import Job

Tensor = Any

_AHEAD = 3  # batches: what is prefetched, and one in the making


class Stages:
    """The stages as data sets without end, each with an iterator that is made once: that alone takes a second."""

    def __init__(self, job: Job, images: int, folder: Path) -> None:
        self.split: Split = job.dataset.train
        used = kept(self.split, job.skip.get("train", frozenset()))
        self.indices = used[np.linspace(0, len(used) - 1, min(images, len(used))).astype(int)]
        self.workers = job.config.data.workers or environment.cores()
        self.left_out: dict[str, str] = {}
        self._job, self._folder = job, folder
        self._batch = min(job.config.training.batch, len(self.indices))
        self._batches = len(self.indices) // self._batch
        self.indices = self.indices[: self._batches * self._batch]  # the last batch of an epoch is no smaller
        with tf.device("/CPU:0"):
            self._sets = self._files() if self.split.files is not None else self._memory()
            self._sets["whole, as train runs it"] = self._whole(None)
            self._sets |= self._cached()
            self._made = {name: iter(found) for name, found in self._sets.items()}

    def run(self, rounds: int) -> tuple[Stage, ...]:
        """Return the medians of `rounds` turns, after one that is not counted."""
        found: dict[str, list[Clock]] = {name: [] for name in self._sets}
        with progress("turns", total=rounds) as advance:
            for turn in range(-1, rounds):
                for name in self._made if turn % 2 else reversed(self._made):
                    took = _timed(self._made[name], self._batches, self._batch)
                    if turn >= 0:
                        found[name].append(took)
                if turn >= 0:
                    advance()
        return tuple(
            Stage(
                name,
                1 / statistics.median(took.wall for took in turns),
                statistics.median(took.cpu for took in turns),
            )
            for name, turns in found.items()
        )

    def _files(self) -> dict[str, tf.data.Dataset]:
        """Return read, decode and resize: those of `FileStream`, stopped short."""
        files, resize, order = self.split.files, self._resize, self._order
        if files is None:
            raise ValueError("the split has no files")
        read = files.reader()
        zero = tf.constant(0, tf.int64)
        # Each yields one number that cannot be known without doing the work.
        stages: dict[str, Callable[[Tensor], Tensor]] = {
            "read": lambda place: tf.strings.length(read(order(zero, place))),
            "+ decode": lambda place: resize.part_of_file(read(order(zero, place)), zero, place).pixels[0, 0, 0],
            "+ crop, resize": lambda place: resize.of_file(read(order(zero, place)), zero, place)[0, 0, 0],
        }
        found = {name: self._mapped(stage) for name, stage in stages.items()}
        steps = Steps(len(order), self._batch)
        stream = FileStream(files, order, resize, steps, self.workers, exact=False)
        return found | {"+ augment, normalise, batch": self._of(stream)}

    def _memory(self) -> dict[str, tf.data.Dataset]:
        """Return gather and augmentation of images in memory, by the batch as `PixelStream` makes them."""
        steps = Steps(len(self._order), self._batch)
        stream = PixelStream(self.split.images, self._order, self._resize, steps, self.workers)
        plain = stream.batches(0, FOREVER, lambda pixels, *_: pixels, lambda pixels, index, *_: (pixels, index))
        return {"gather, resize": plain.with_options(options()), "+ augment, normalise": self._of(stream)}

    def _of(self, stream: FileStream | PixelStream) -> tf.data.Dataset:
        changed = self._augmenter.changed
        made = stream.batches(0, FOREVER, changed, lambda images, index, *_: (images, index))
        return made.with_options(options())

    def _mapped(self, stage: Callable[[Tensor], Tensor]) -> tf.data.Dataset:
        images = len(self.indices)

        @tf.autograph.experimental.do_not_convert
        def one(place: Tensor) -> Tensor:
            return stage(place % images)

        found = tf.data.Dataset.range(FOREVER).map(one, num_parallel_calls=self.workers)
        return found.batch(self._batch).with_options(options())

    def _whole(self, cache: Cache | None) -> tf.data.Dataset:
        job = self._job
        return pipeline.batches(
            self.split,
            job.preprocessing,
            classes=len(job.dataset.class_names),
            batch_size=self._batch,
            seed=job.config.seed,
            training=True,
            augment=job.config.data.augment,
            workers=self.workers,
            cache=cache,
            skip=frozenset(range(len(self.split))) - frozenset(self.indices.tolist()),
        )

    def _cached(self) -> dict[str, tf.data.Dataset]:
        if self.split.files is None:
            return {}
        if self._job.config.data.augment.random_resized_crop is not None:
            self.left_out["cached"] = "data.cache keeps resized images, which random_resized_crop cannot use"
            return {}
        caches = {"cached in memory": Cache("memory"), "cached on disk": Cache("disk", self._folder)}
        return {name: self._whole(cache) for name, cache in caches.items()}

    @property
    def _order(self) -> Order:
        return Order.of(self.indices, self._job.config.seed, True)

    @property
    def _resize(self) -> Resize:
        job = self._job
        return Resize(job.preprocessing, job.config.data.augment.random_resized_crop, job.config.seed)

    @property
    def _augmenter(self) -> Augmenter:
        return Augmenter(self._job.config.data.augment, self._job.preprocessing, self._job.config.seed)


def _timed(made: Iterator[Any], batches: int, size: int) -> Clock:
    """Return what an image takes, over so many batches of a size.

    Those that were made ahead are taken first: from then on no batch comes sooner than it is made. At the end as many
    are made ahead as at the beginning, so the cores' time is that of all that were taken.
    """
    settle()
    began = Clock.now()
    for _ in range(_AHEAD):
        next(made)
    steady = Clock.now()
    for _ in range(batches):
        next(made)
    wall = steady.since().wall
    settle()
    return Clock(wall / (batches * size), began.since().cpu / ((_AHEAD + batches) * size))
