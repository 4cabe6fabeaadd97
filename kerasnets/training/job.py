"""A resolved config turned into all that training needs: data, network, optimizer, trainer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np
import tensorflow as tf

from kerasnets import config as configs
from kerasnets import environment, models
from kerasnets.config import Config
from kerasnets.console import progress
from kerasnets.data import pipeline, sources
from kerasnets.data.audit import Problem
from kerasnets.data.caching import Cache
from kerasnets.data.preprocessing import Preprocessing, fit
from kerasnets.data.sources import Dataset
from kerasnets.errors import UserError, nearest
from kerasnets.models.specs import heads
from kerasnets.telemetry.frozen import Frozen
from kerasnets.telemetry.nonfinite import NonFinite
from kerasnets.telemetry.observers import GradientNorm, Observer
from kerasnets.telemetry.probe import Probe
from kerasnets.telemetry.replicas import Flags
from kerasnets.telemetry.validation import ValidationCounts
from kerasnets.training import distribute, optim, precision, pretrained, runtime
from kerasnets.training.distribute import Distribution, naming_lost_workers
from kerasnets.training.fast import Fast, make_fast
from kerasnets.training.nonfinite import RateFactor
from kerasnets.training.pretrained import Weights
from kerasnets.training.settling import Found, check_settled, settle
from kerasnets.training.step import Objective, Trainer
from kerasnets.training.stopping import SIGNALS
from kerasnets.training.transfer import Transfer
from kerasnets.training.unreadable import naming_bad_files, refusal, unreadable


@dataclass(frozen=True)
class Job:
    """All that a run needs before its first step."""

    config: Config
    dataset: Dataset
    preprocessing: Preprocessing
    fast: Fast
    trainer: Trainer
    probe: Probe | None
    nonfinite: NonFinite
    rate: RateFactor | None
    skip: dict[str, frozenset[int]]
    distribution: Distribution
    found: Found = Found()
    weights: Weights | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in an epoch; the last batch may be smaller."""
        return pipeline.steps_per_epoch(self.images, self.config.training.batch)

    @property
    def images(self) -> int:
        """Training images that are used."""
        return len(self.dataset.train) - len(self.skip.get("train", ()))

    def batches(
        self,
        name: str,
        training: bool = False,
        only: frozenset[int] | None = None,
        start_step: int = 0,
        share: tuple[int, int] = (0, 1),
    ) -> tf.data.Dataset:
        """Return a split's batches `(images [N, h, w, C], targets [N, K])`, or a worker's share of them.

        Args:
            name: of the split.
            training: shuffled and augmented, without end.
            only: leave out all but these examples.
            start_step: batches that are passed over.
            share: (index, count), see `pipeline.batches`.
        """
        data, settings = self.config.data, self.config.training
        skip = self.skip.get(name, frozenset())
        if only is not None:
            skip |= frozenset(range(len(self.dataset.split(name)))) - only
        return pipeline.batches(
            self.dataset.split(name),
            self.preprocessing,
            classes=len(self.dataset.class_names),
            batch_size=settings.batch if training else self._held_out_batch * share[1],
            seed=self.config.seed,
            training=training,
            augment=data.augment if training else None,
            workers=data.workers or environment.cores(),
            cache=None if data.cache == "none" or only is not None else Cache(data.cache, data.cache_dir, progress),
            skip=skip,
            start_step=start_step,
            share=share,
        )

    @property
    def part(self) -> int:
        """The most images of a batch that are in one replica's memory at a time."""
        settings = self.config.training
        return -(-settings.batch // (settings.accumulate * self.distribution.replicas))

    @property
    def _held_out_batch(self) -> int:
        return evaluation_batch(self.part)

    def training_feed(self, start_step: int = 0) -> tf.data.Dataset:
        """Return what `fit` trains on."""
        distribution = self.distribution
        batches = self.batches("train", training=True, start_step=start_step, share=distribution.share)
        return distribution.feed(batches)

    def validation_feed(self) -> tuple[tf.data.Dataset, int | None]:
        """Return what `fit` validates on, and its steps where it has no end."""
        distribution = self.distribution
        batches = self.batches("validation", share=distribution.share)
        if distribution.strategy is None:
            return batches, None
        images = len(self.dataset.validation) - len(self.skip.get("validation", ()))
        steps = pipeline.steps_per_epoch(images, self._held_out_batch * distribution.share[1])
        return distribution.feed(batches.repeat()), steps


def evaluation_batch(part: int) -> int:
    """Return the batch of passes without gradients, where training takes `part` images at a time: 128 to 256, if they
    can be expected to fit."""
    return min(max(part, min(128, 4 * part)), 256)


def resolve(config: Config, dataset: Dataset) -> Config:
    """Return the config with what depends on data and machine filled in: image size, channels, threads, strategy."""
    data = {
        "image_size": config.data.image_size or dataset.native_size or (224, 224),
        "channels": config.data.channels or dataset.channels or 3,
    }
    threads, strategy = runtime.threads(config.training.threads), distribute.resolve(config.training.strategy)
    return configs.update(config, data=data, training={"threads": threads, "strategy": strategy})


def class_weights(config: Config, dataset: Dataset) -> tuple[float, ...] | None:
    """Return the weight of each class's examples, with mean 1 over the training split when "balanced"."""
    wanted, names = config.training.class_weights, dataset.class_names
    if wanted is None:
        return None
    if wanted == "balanced":
        counts = np.bincount(dataset.train.labels, minlength=len(names))
        return tuple((counts.sum() / (len(names) * np.maximum(counts, 1))).tolist())
    for name in wanted:
        if name not in names:
            raise UserError(f"training.class_weights names '{name}', which is no class{nearest(name, names)}")
    return tuple(wanted.get(name, 1.0) for name in names)


def probe_of(config: Config, often: int = 1000, frozen: Frozen = Frozen()) -> Probe | None:  # noqa: B008  (frozen)
    """Return the probe that the config asks for, or None; `often` and `frozen` as they are there."""
    telemetry, training = config.telemetry, config.training
    if not telemetry.every:
        return None
    clips = (training.clip_value, training.clip_norm, training.clip_global_norm)
    return Probe(
        telemetry.every,
        telemetry.passes_every,
        activations=telemetry.activations,
        histograms=telemetry.histograms,
        clipping=any(clip is not None for clip in clips),
        often=often,
        frozen=frozen,
    )


def network(config: Config, dataset: Dataset) -> keras.Model:
    """Return the plain network of a resolved config, with its initial weights."""
    size, channels = config.data.image_size, config.data.channels
    if size is None or channels is None:
        raise ValueError("the config must be resolved before a network is built")
    classes, options = len(dataset.class_names), config.model.options
    return models.build(config.model.name, input_shape=(*size, channels), classes=classes, **options)


def prepare(
    config: Config,
    dataset: Dataset,
    skip: dict[str, frozenset[int]],
    preprocessing: Preprocessing,
    distribution: Distribution,
    plain: keras.Model,
) -> Job:
    """Build optimizer, trainer and fast network for a resolved config and the plain network that it begins with."""
    training = config.training
    _check_parts(training.accumulate, distribution.replicas)
    images = len(dataset.train) - len(skip.get("train", ()))
    transfer = Transfer.of(config, plain)
    kept = transfer.freeze(plain, pipeline.steps_per_epoch(images, training.batch))
    with naming_lost_workers(distribution.cluster), distribution.scope():
        fast = make_fast(plain, training.precision, synchronized=distribution.replicas > 1)
        probe, nonfinite = probe_of(config, frozen=kept), NonFinite(scaled=training.precision == "float16")
        if probe is not None:
            probe.shared = len(distribution.cluster) > 1
        observers = [GradientNorm(), nonfinite, *([probe] if probe is not None else [])]
        trainer = _trainer(config, dataset, fast.net, observers, distribution, kept)
        rate = RateFactor() if training.on_nonfinite == "rollback" else None
        job = Job(config, dataset, preprocessing, fast, trainer, probe, nonfinite, rate, skip, distribution)
        variables = fast.net.trainable_variables
        optimizer = optim.optimizer(training, job.steps_per_epoch, variables, rate, transfer.rates(plain, kept))
        trainer.compile(optimizer=optimizer, jit_compile=False)
    return job


def _check_parts(parts: int, replicas: int) -> None:
    if replicas > 1 and parts > 1:
        raise UserError(
            f"training.accumulate={parts}: with {replicas} replicas a batch is in parts already, and is not parted "
            f"once more; take more replicas, or a smaller training.batch_size"
        )


def _trainer(
    config: Config,
    dataset: Dataset,
    net: keras.Model,
    observers: Sequence[Observer],
    distribution: Distribution,
    kept: Frozen,
) -> Trainer:
    training, classes = config.training, len(dataset.class_names)
    objective = Objective(
        training.label_smoothing,
        class_weights(config, dataset),
        training.weight_decay if training.weight_decay_kind == "l2" else 0.0,
    )
    counted = config.telemetry.images or config.telemetry.pr_curves
    counts = ValidationCounts(classes) if counted else None
    all_heads, clip = heads(config.model.name, **config.model.options), optim.clipping(training)
    flags = Flags(len(SIGNALS)) if len(distribution.cluster) > 1 else None
    return Trainer(net, all_heads, classes, objective, clip, observers, counts, training.accumulate, flags, kept)


def assemble(config: Config, *, check_files: bool) -> tuple[Job, list[tuple[str, Problem]]]:
    """Load the data, resolve the config, pin the runtime, read weights, fit the preprocessing and build everything.

    Args:
        config: As loaded.
        check_files: Decode every file first.

    Returns:
        The job, and each (split, file) that it leaves out as unreadable.

    Raises:
        UserError: config, data or weights are wrong, or files cannot be read and `data.skip_corrupt` is off.
    """
    dataset = sources.load(config.data, seed=config.seed)
    config = resolve(config, dataset)
    if config.training.strategy == "multi_worker":
        check_settled(config)
    runtime.prepare(config.seed, config.training.threads)
    distribution = distribute.start(config.training.strategy)
    config = precision.settle(config, distribution)
    plain = network(config, dataset)
    weights = pretrained.read(config, plain)
    config = pretrained.with_normalization(config, weights)
    problems = unreadable(config.data, dataset) if check_files else []
    if problems and not config.data.skip_corrupt:
        raise refusal(problems)
    skip = {name: frozenset(p.index for split, p in problems if split == name) for name in dataset.splits}
    with naming_bad_files(config.data, dataset):
        own = weights.preprocessing if weights is not None else None
        preprocessing = fit(config.data, dataset, config.seed, skip["train"], own)
    config, found = settle(config, len(dataset.train) - len(skip["train"]), skip, preprocessing)
    job = prepare(config, dataset, skip, preprocessing, distribution, plain)
    return replace(job, found=found, weights=weights), problems
