"""Training on several GPUs or machines: which strategy of `tf.distribute`, and what goes through it."""

import contextlib
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from tensorflow.compiler.xla.tsl.protobuf import coordination_config_pb2
from tensorflow.python.eager import context

from kerasnets.console import err
from kerasnets.errors import Interrupted, UserError
from kerasnets.training.cluster import Cluster, cluster
from kerasnets.training.joining import join

LOST = 138
"""Exit code after another worker is lost: of those that Kubernetes' training operator starts again."""
SILENT_SECONDS = 30
"""After which a worker that sends nothing is lost: its machine is gone. A process that dies is noticed at once."""
_LONGEST = 4096  # bytes of a text that is told
_REGISTER_SECONDS = 120  # all are there when TensorFlow starts
_LINGER = 3.0  # seconds in which the others can still see that this worker is not the one that is lost


def resolve(wanted: str) -> str:
    """Return what `training.strategy` stands for here: "none", "mirrored" or "multi_worker"."""
    workers = len(cluster())
    if wanted == "multi_worker" and workers == 1:
        raise UserError(
            "training.strategy=multi_worker: TF_CONFIG, which names the workers, is not set or has one worker alone; "
            "see docs/clusters.md, or take training.strategy=none"
        )
    if wanted != "auto":
        return wanted
    if workers > 1:
        return "multi_worker"
    return "mirrored" if len(tf.config.list_physical_devices("GPU")) > 1 else "none"


@dataclass(frozen=True)
class Distribution:
    """A strategy, or none, and this process's place in the cluster."""

    strategy: tf.distribute.Strategy | None = None
    cluster: Cluster = Cluster()

    @property
    def replicas(self) -> int:
        """Copies of the network that train in step, over all GPUs and machines."""
        return 1 if self.strategy is None else int(self.strategy.num_replicas_in_sync)

    @property
    def share(self) -> tuple[int, int]:
        """Which part of every batch this process takes: (index, count)."""
        return self.cluster.index, len(self.cluster)

    def scope(self) -> contextlib.AbstractContextManager[object]:
        """Within it variables are made."""
        return contextlib.nullcontext() if self.strategy is None else self.strategy.scope()

    def feed(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Return endless batches of this process as `fit` takes them, in parts for its GPUs."""
        if self.strategy is None:
            return batches
        here = self.replicas // len(self.cluster)
        if here > 1:
            batches = batches.flat_map(lambda *batch: _parts(batch, here))
        # TensorFlow asks all workers before each step whether any has data left, unless there is no end.
        batches = batches.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
        return self.strategy.distribute_datasets_from_function(lambda _: batches)

    def told(self, text: str) -> str:
        """Return the chief's text; every worker calls this at the same time."""
        if len(self.cluster) == 1:
            return text
        code = text.encode() if self.cluster.chief else b""
        if len(code) > _LONGEST:
            raise UserError(f"too long for several workers, more than {_LONGEST} bytes: {text}")
        values = np.zeros(_LONGEST, np.float32)
        values[: len(code)] = np.frombuffer(code, np.uint8)
        return bytes(self._summed(values).astype(np.uint8)).rstrip(b"\0").decode()

    def agree(self, what: str, text: str) -> None:
        """See that all workers have the same; every worker calls this at the same time.

        Raises:
            UserError: they have not, on all of them.
        """
        if len(self.cluster) == 1:
            return
        differs = np.zeros(len(self.cluster), np.float32)
        differs[self.cluster.index] = self.told(text) != text
        others = [str(index) for index in np.flatnonzero(self._summed(differs))]
        if others:
            raise UserError(f"worker {', '.join(others)} has other {what} than worker 0; start all of them alike")

    def _summed(self, values: np.ndarray) -> np.ndarray:
        """Return the sum over all workers."""
        if self.strategy is None:
            return values
        here = self.replicas // len(self.cluster)
        own = self.strategy.experimental_distribute_values_from_function(
            lambda replica: tf.constant(values * float(replica.replica_id_in_sync_group % here == 0))
        )
        return np.asarray(self.strategy.reduce(tf.distribute.ReduceOp.SUM, own, axis=None).numpy())


def _parts(batch: tuple[tf.Tensor, ...], count: int) -> tf.data.Dataset:
    """Return a batch in so many parts, in order."""
    size = tf.cast(tf.shape(batch[0])[0], tf.int64)
    return tf.data.Dataset.range(count).map(
        lambda part: tuple(x[size * part // count : size * (part + 1) // count] for x in batch)
    )


def start(strategy: str) -> Distribution:
    """Return what `resolve` chose. Of several workers it waits for all. Call before anything is computed.

    Raises:
        UserError: workers do not come, or this one's port is in use.
    """
    if strategy == "none":
        return Distribution()
    if strategy == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        found = Distribution(tf.distribute.MirroredStrategy([device.name for device in devices]))
        _say(found, f"{found.replicas} devices train together")
        return found
    resolve(strategy)
    workers = cluster()
    join(workers, lambda words: err.print(words, highlight=False))
    _set_patience(workers)
    try:
        found = Distribution(tf.distribute.MultiWorkerMirroredStrategy(), workers)
    except (tf.errors.OpError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"worker {workers.index} cannot train together with the others: {reason}") from error
    finally:
        with contextlib.suppress(ValueError):  # not the main thread, where Python allows no handlers
            signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))  # TensorFlow has set one that does nothing
    _say(found, f"worker {workers.index} of {len(workers)}: all are here")
    return found


def _say(found: Distribution, words: str) -> None:
    if found.replicas > 1:
        words += "; batch normalisation takes the whole batch's statistics, without the fused kernel"
    err.print(words, highlight=False)


def _set_patience(workers: Cluster) -> None:
    """Set what TensorFlow has no public setting for: its own patience is an hour, in which nothing is said."""
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader=f"/job:{workers.jobs[0][0]}/replica:0/task:0",
        cluster_register_timeout_in_ms=1000 * _REGISTER_SECONDS,
        heartbeat_timeout_in_ms=1000 * SILENT_SECONDS,
        coordinated_jobs=[
            coordination_config_pb2.CoordinatedJob(name=name, num_tasks=count) for name, count in workers.jobs
        ],
    )


@contextlib.contextmanager
def naming_lost_workers(cluster: Cluster) -> Iterator[None]:
    """Turn what TensorFlow raises when another worker is gone into one message that names it."""
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.InternalError) as e:
        if len(cluster) == 1:
            raise
        gone = cluster.unreachable()
        time.sleep(_LINGER)
        raise Interrupted(f"lost {', '.join(gone) or 'touch with the other workers'}", LOST) from e
