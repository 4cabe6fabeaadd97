"""What the input pipeline of training gives and costs: stage by stage, and of a training step, in turns."""

import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kerasnets import config as configs
from kerasnets import environment
from kerasnets.config import Config
from kerasnets.console import progress
from kerasnets.data import pipeline
from kerasnets.data.augment import Augmenter
from kerasnets.data.caching import Cache
from kerasnets.data.raw import kept
from kerasnets.data.sources import Split
from kerasnets.data.steps import Steps
from kerasnets.data.streams import FOREVER, FileStream, Order, PixelStream, Resize, options
from kerasnets.training.job import Job, assemble
from kerasnets.training.unreadable import naming_bad_files

Tensor = Any

_AHEAD = 3  # batches: what is prefetched, and one in the making
_QUIET, _LOOK, _LONGEST = 0.1, 0.05, 10.0  # share of a core, and seconds: when nothing is made ahead any more


@dataclass(frozen=True)
class Stage:
    """Medians of the turns of one stage; each does what those before it do, and more.

    Attributes:
        name: Of the stage.
        images_per_second: Made, on all cores.
        cpu: Seconds that an image takes of the cores, all threads together.
    """

    name: str
    images_per_second: float
    cpu: float


@dataclass(frozen=True)
class StepCost:
    """Medians of pairs of training steps, fed by one batch that is there and by the pipeline.

    Attributes:
        batch: Images of a step.
        seconds: Of a step on the batch that is there.
        cpu: Seconds that an image of it takes of the cores.
        share: What the pipeline adds to a step's time, as a share of it.
        cpu_share: What it adds to the cores' time, likewise.
    """

    batch: int
    seconds: float
    cpu: float
    share: float
    cpu_share: float


@dataclass(frozen=True)
class Input:
    """All that was measured.

    Attributes:
        images: Of the training split that the stages read.
        kind: "files" or "memory".
        image_size: Height and width of what is made.
        workers: Images, of data in memory batches, made at the same time.
        rounds: Turns of each.
        stages: In the order in which they build on each other; caches last.
        left_out: What was not measured, and why.
        step: None where it was not wanted.
    """

    images: int
    kind: str
    image_size: tuple[int, int]
    workers: int
    rounds: int
    stages: tuple[Stage, ...]
    left_out: Mapping[str, str]
    step: StepCost | None


@dataclass(frozen=True)
class _Clock:
    """Seconds on the wall, and of all threads of this process on the cores."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> "_Clock":
        used = resource.getrusage(resource.RUSAGE_SELF)
        return cls(time.perf_counter(), used.ru_utime + used.ru_stime)

    def since(self) -> "_Clock":
        """Return what has passed."""
        now = self.now()
        return _Clock(now.wall - self.wall, now.cpu - self.cpu)


def measure(config: Config, *, images: int, rounds: int, step: bool) -> Input:
    """Measure the pipeline of a config, as `train` runs it.

    Args:
        config: As loaded.
        images: The most of the training split that the stages read; all turns read the same ones.
        rounds: Turns of each stage, and pairs of steps.
        step: Measure a training step too.

    Raises:
        UserError: Config or data are wrong, or a file cannot be decoded.
    """
    quiet = configs.update(config, telemetry={"every": 0})  # samples would be counted as the pipeline's
    job, _ = assemble(quiet, check_files=config.data.skip_corrupt)
    with naming_bad_files(job.config.data, job.dataset), tempfile.TemporaryDirectory() as folder:
        bench = _Stages(job, images, Path(folder))
        stages = bench.run(rounds)
        if step and job.distribution.strategy is not None:
            bench.left_out["training step"] = "it is timed on one replica; take training.strategy=none"
            step = False
        cost = _step(job, rounds) if step else None
    return Input(
        images=len(bench.indices),
        kind="memory" if bench.split.files is None else "files",
        image_size=job.preprocessing.image_size,
        workers=bench.workers,
        rounds=rounds,
        stages=stages,
        left_out=bench.left_out,
        step=cost,
    )


class _Stages:
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
        found: dict[str, list[_Clock]] = {name: [] for name in self._sets}
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


def _timed(made: Iterator[Any], batches: int, size: int) -> _Clock:
    """Return what an image takes, over so many batches of a size.

    Those that were made ahead are taken first: from then on no batch comes sooner than it is made. At the end as many
    are made ahead as at the beginning, so the cores' time is that of all that were taken.
    """
    _settle()
    began = _Clock.now()
    for _ in range(_AHEAD):
        next(made)
    steady = _Clock.now()
    for _ in range(batches):
        next(made)
    wall = steady.since().wall
    _settle()
    return _Clock(wall / (batches * size), began.since().cpu / ((_AHEAD + batches) * size))


def _settle() -> None:
    """Wait until nothing is made ahead any more, so that it is not counted as somebody else's time."""
    for _ in range(round(_LONGEST / _LOOK)):
        before = _Clock.now()
        time.sleep(_LOOK)
        if before.since().cpu < _QUIET * _LOOK:
            return


def _step(job: Job, rounds: int) -> StepCost:
    """Time steps in pairs: on a batch that is there, and on the next one of the pipeline.

    The pipeline has batches ready when a step begins, as in training while it keeps up, and makes another one in the
    meantime. The cores' time goes on until that is done.
    """
    batches = iter(job.training_feed())
    constant = next(batches)
    batch = len(constant[0])

    def following() -> Any:
        while len((found := next(batches))[0]) < batch:
            pass  # the last of an epoch
        return found

    arms: dict[str, Callable[[], Any]] = {"there": lambda: constant, "fed": following}
    found: dict[str, list[_Clock]] = {name: [] for name in arms}
    with progress("pairs of steps", total=rounds) as advance:
        for turn in range(-1, rounds):
            for name in arms if turn % 2 else reversed(arms):
                _settle()
                began = _Clock.now()
                job.trainer.train_on_batch(*arms[name]())
                wall = began.since().wall
                _settle()
                if turn >= 0:
                    found[name].append(_Clock(wall, began.since().cpu))
            if turn >= 0:
                advance()
    pairs = list(zip(found["fed"], found["there"], strict=True))
    return StepCost(
        batch=batch,
        seconds=statistics.median(there.wall for there in found["there"]),
        cpu=statistics.median(there.cpu for there in found["there"]) / batch,
        share=statistics.median(fed.wall / there.wall for fed, there in pairs) - 1,
        cpu_share=statistics.median(fed.cpu / there.cpu for fed, there in pairs) - 1,
    )
