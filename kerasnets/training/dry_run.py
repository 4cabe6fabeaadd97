"""`train --dry-run`: all that a run does before its first epoch, and a few real steps, timed and thrown away."""

import itertools
import resource
import statistics
import sys
import time
from dataclasses import asdict, dataclass

import tensorflow as tf

from kerasnets import config as configs
from kerasnets.config import Config
from kerasnets.models import complexity, memory
from kerasnets.training import range_test
from kerasnets.training.job import Job, assemble

_STEPS = 5
_SOME_RATE = 1e-3


@dataclass(frozen=True)
class Plan:
    """What a run would be: counts of images and steps, parameters, peak memory and seconds as measured.

    `predicted_bytes` is by how much the process was to grow for the network, see `models.memory`; it stands beside what
    was measured. `range_test_steps` is None unless the learning rate is found when training starts; `pretrained` says
    whence weights come and how many tensors of the network get them, or is None.
    """

    images: dict[str, int]
    unreadable: int
    classes: int
    input_shape: tuple[int, int, int]
    parameters: int
    macs: int
    batch_size: int
    range_test_steps: int | None
    steps_per_epoch: int
    epochs: int
    memory_bytes: dict[str, int]
    predicted_bytes: int
    seconds_per_step: float
    seconds: float
    pretrained: dict[str, object] | None

    def document(self) -> dict[str, object]:
        """Return the plan as the JSON of `train --dry-run --json`."""
        return asdict(self)


def plan(config: Config) -> Plan:
    """Check config and data (every file is decoded once), build the model and time a few steps on real batches.

    It does so on one device: it waits for no other workers. `training.batch_size=auto` is resolved;
    `training.learning_rate=find` is left to the run.

    Raises:
        UserError: what a run would raise.
    """
    config = configs.update(config, training={"strategy": "none"})
    finds = config.training.learning_rate == "find"
    if finds:  # no step takes more or less time with another rate
        config = configs.update(config, training={"learning_rate": _SOME_RATE})
    job, problems = assemble(config, check_files=True)
    seconds_per_step = _seconds_per_step(job)
    cost = complexity.count(job.fast.plain)
    splits, epochs = job.dataset.splits, job.config.training.epochs
    return Plan(
        images={name: len(split) - len(job.skip[name]) for name, split in splits.items()},
        unreadable=len(problems),
        classes=len(job.dataset.class_names),
        input_shape=tuple(job.fast.plain.input_shape[1:]),
        parameters=cost.trainable,
        macs=cost.macs,
        batch_size=job.config.training.batch,
        range_test_steps=range_test.steps(job.steps_per_epoch) if finds else None,
        steps_per_epoch=job.steps_per_epoch,
        epochs=epochs,
        memory_bytes=_peak_memory(),
        predicted_bytes=_predicted_memory(job),
        seconds_per_step=seconds_per_step,
        seconds=seconds_per_step * job.steps_per_epoch * epochs,
        pretrained=job.weights.summary() if job.weights is not None else None,
    )


def _predicted_memory(job: Job) -> int:
    training = job.config.training
    slots = int(training.momentum > 0) if training.optimizer == "sgd" else 2
    return memory.predict(job.fast.plain, job.part, training.precision, slots).total


def _seconds_per_step(job: Job) -> float:
    """Return the mean time of a run's steps, as long as some layers are frozen and after that."""
    total = job.steps_per_epoch * job.config.training.epochs
    frozen = job.trainer.frozen
    cold = int(min(frozen.steps, total)) if frozen.names else 0
    phases = [(first, steps) for first, steps in ((0, cold), (cold, total - cold)) if steps]
    return sum(_timed(job, first) * steps for first, steps in phases) / total


def _timed(job: Job, done: int) -> float:
    """Return the median time of steps that come after so many, the first (which traces) left out."""
    job.trainer.steps_done = done
    seconds = []
    for batch in itertools.islice(job.batches("train", training=True), _STEPS + 1):
        began = time.perf_counter()
        job.trainer.train_on_batch(*batch)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:] or seconds)


def _peak_memory() -> dict[str, int]:
    """Return the peak bytes of this process, and of each GPU that it used, so far."""
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    found = {"process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    for gpu in tf.config.list_logical_devices("GPU"):
        found[gpu.name] = tf.config.experimental.get_memory_info(gpu.name)["peak"]
    return found
