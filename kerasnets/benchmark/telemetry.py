"""What telemetry costs: the same training step with and without it, in turns, on images of noise."""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kerasnets import config as configs
from kerasnets import models
from kerasnets.benchmark import turns
from kerasnets.config import Config
from kerasnets.console import progress
from kerasnets.errors import UserError
from kerasnets.models.specs import heads, row
from kerasnets.telemetry import cost
from kerasnets.telemetry.events import Events
from kerasnets.telemetry.nonfinite import NonFinite
from kerasnets.telemetry.observers import GradientNorm, Level, Observer
from kerasnets.telemetry.writer import ProbeWriter
from kerasnets.training import optim, precision, runtime
from kerasnets.training.distribute import Distribution
from kerasnets.training.fast import make_fast
from kerasnets.training.job import probe_of
from kerasnets.training.step import Trainer


@dataclass(frozen=True)
class Cost:
    """Medians of pairs, and what follows from them.

    Attributes:
        without: seconds of a step without any telemetry.
        ordinary: a step with it that is not sampled, as a multiple of the one without beside it.
        sampled: one that is, with the writing of the sample; likewise.
        passes: one with what takes passes of its own: each head's gradients, the loss in inference mode; likewise.
        share: of the training time, with the config's intervals.
        setup: seconds more until the first steps are done, once a run.
        sample_bytes: what a sample adds to the event files.
        samples: in a run of `steps` steps, whose interval grows as `telemetry.max_megabytes` nears.
        megabytes: of the samples of that run.
        steps: of the run whose size is computed.
    """

    without: float
    ordinary: float
    sampled: float
    passes: float
    share: float
    setup: float
    sample_bytes: int
    samples: int
    megabytes: float
    steps: int


class _Arm:
    """One of the two: a trainer of its own, and what its steps took."""

    def __init__(self, config: Config, observers: list[Observer]) -> None:
        keras.utils.set_random_seed(config.seed)
        if config.model.own:
            raise UserError(f"model.name={config.model.name}: this measures models of `kerasnets models`")
        about = row(config.model.name)
        self.shape = (*(config.data.image_size or about.input_shape[:2]), config.data.channels or about.input_shape[2])
        self.classes = about.classes
        plain = models.build(config.model.name, input_shape=self.shape, classes=self.classes, **config.model.options)
        net = make_fast(plain, config.training.precision).net
        clip = optim.clipping(config.training)
        kinds = heads(config.model.name, **config.model.options)
        self.trainer = Trainer(net, kinds, self.classes, clip=clip, observers=observers)
        optimizer = optim.optimizer(config.training, 1000, net.trainable_variables)
        self.trainer.compile(optimizer=optimizer, jit_compile=False)

    def step(self, images: tf.Tensor, targets: tf.Tensor) -> float:
        """Do a step and return its seconds."""
        began = time.perf_counter()
        self.trainer.train_on_batch(images, targets)
        return time.perf_counter() - began


def measure(config: Config, *, rounds: int, steps: int) -> Cost:
    """Time `rounds` of each kind of step.

    Args:
        config: its model, training and telemetry sections count; of its data only image size and channels.
        rounds: steps of each kind.
        steps: of the run whose event files' size is computed.

    Raises:
        UserError: `telemetry.every` is 0, so there is nothing to measure.
    """
    if not config.telemetry.every:
        raise UserError("telemetry.every is 0, so there is nothing to measure")
    runtime.prepare(config.seed, runtime.threads(config.training.threads))
    config = precision.settle(config, Distribution())
    with tempfile.TemporaryDirectory() as folder:
        bench = _Bench(config, Path(folder))
        bench.run(rounds)
    return bench.result(config, steps)


class _Bench:
    """Both arms on one batch, and the writer that `train` has."""

    def __init__(self, config: Config, folder: Path) -> None:
        probe = probe_of(configs.update(config, telemetry={"every": 2, "passes_every": 6}), often=0)
        if probe is None:
            raise ValueError("telemetry is on")
        self._without = _Arm(config, [])
        self._with = _Arm(config, [GradientNorm(), NonFinite(), probe])
        self._probe = probe
        self._writer = ProbeWriter(probe, folder, Events(folder / "tensorboard"), max_megabytes=1000)
        self._writer.set_model(self._with.trainer)
        self._writer.set_params({"steps": 0})
        self._writer.on_train_begin()
        self._writer.on_epoch_begin(0)
        rng = np.random.default_rng(config.seed)
        size = config.training.batch
        self._images = tf.constant(rng.normal(size=(size, *self._with.shape)).astype(np.float32))
        self._targets = tf.one_hot(rng.integers(0, self._with.classes, size), self._with.classes)
        self._ratios: dict[str, list[float]] = {"ordinary": [], "sampled": [], "passes": []}
        self._without_seconds: list[float] = []
        self._first: dict[str, float] = {}
        self._bytes: list[int] = []

    def run(self, rounds: int) -> None:
        """Take steps without and with, in turns, until there are enough of each kind."""
        step = 0
        with progress("pairs of steps") as advance:
            while any(len(ratios) < rounds for ratios in self._ratios.values()):
                step += 1
                arms: dict[str, Callable[[], float]] = {"without": self._plain_step}
                arms["with"] = partial(self._full_step, step)
                order = turns.order(arms, step // 2 + 1)  # every other step is sampled: both orders have such
                seconds = {name: arms[name]() for name in order}
                self._keep(self._kind(step), seconds["with"], seconds["without"])
                advance()

    def _kind(self, step: int) -> str:
        sample = self._writer.last
        if sample is None or sample.step != step:
            return "ordinary"
        heads = self._probe.level(range(step, step + 1)) is Level.HEADS
        return "passes" if heads or sample.inference_loss is not None else "sampled"

    def _plain_step(self) -> float:
        return self._without.step(self._images, self._targets)

    def _full_step(self, step: int) -> float:
        return self._with.step(self._images, self._targets) + self._write(step)

    def _write(self, step: int) -> float:
        """Let the writer do what it does after a step; return its seconds."""
        before, began = self._writer.events.bytes, time.perf_counter()
        self._writer.on_train_batch_end(step - 1)
        seconds = time.perf_counter() - began
        if step > 1 and self._kind(step) == "sampled":
            self._bytes.append(self._writer.events.bytes - before)
        return seconds

    def _keep(self, kind: str, seconds: float, without: float) -> None:
        """Keep the times of a pair; the first of a kind makes its graph and is kept apart."""
        if kind in self._first:
            self._without_seconds.append(without)
            self._ratios[kind].append(seconds / without)
        self._first.setdefault("without", without)
        self._first.setdefault(kind, seconds)

    def result(self, config: Config, steps: int) -> Cost:
        """Return the medians, and the share and size that the config's intervals give."""
        ratios = {kind: statistics.median(found) for kind, found in self._ratios.items()}
        ordinary, sampled, passes = ratios["ordinary"], ratios["sampled"], ratios["passes"]
        without = statistics.median(self._without_seconds)
        every = config.telemetry.every
        share = ((ordinary - 1) * (every - 1) + sampled - 1) / every
        share += (passes - sampled) / config.telemetry.passes_every
        setup = sum(self._first[kind] - ratio * without for kind, ratio in ratios.items())
        setup -= self._first["without"] - without
        each = round(statistics.median(self._bytes))
        samples, size = run_size(each, steps, every, config.telemetry.max_megabytes * cost.MEGABYTE)
        return Cost(without, ordinary, sampled, passes, share, setup, each, samples, size / cost.MEGABYTE, steps)


def run_size(sample_bytes: int, steps: int, every: int, limit: float) -> tuple[int, int]:
    """Return how many samples a run of `steps` steps takes, and the bytes of its event files."""
    samples, size, step = 0, 0, every
    while step <= steps:
        samples, size = samples + 1, size + sample_bytes
        wanted = cost.interval(every, size, limit)
        if wanted is None:
            break
        step = (step // wanted + 1) * wanted
    return samples, size
