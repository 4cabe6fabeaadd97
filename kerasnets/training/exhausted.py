"""Out of memory, in words: what did not fit, and the batch size to try."""

import contextlib
import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

from kerasnets.console import err
from kerasnets.errors import UserError
from kerasnets.training import memory
from kerasnets.training.job import Job, evaluation_batch

_WORDS = ("oom when allocating", "out of memory", "out_of_memory", "failed to allocate", "alloc_failed")
_TENSOR = re.compile(r"OOM when allocating tensor with shape\[([\d,]*)\] and type (\w+) on \S*?device:(\w+:\d+)")
_OVERHEAD = 1.5
"""Memory of a training step against all layers' outputs; 0.8 to 1.7 were measured of ResNets and GoogLeNet."""
_USER_ERROR = 2


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error is about memory, of the host or a GPU; TensorFlow reports a full disk in the same class."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, tf.errors.OpError) and any(words in str(error).lower() for words in _WORDS)


def what(error: BaseException) -> str:
    """Return what did not fit, as far as an error says so."""
    found = _TENSOR.search(str(error))
    if found is not None:
        shape, kind, device = found.groups()
        return f"a tensor of {shape.replace(',', ' x ')} ({kind}) did not fit on {device}"
    return str(error).strip().splitlines()[0] if str(error).strip() else "an allocation failed"


def smaller_part(part: int, fits: Callable[[int], bool], validating: bool) -> int | None:
    """Return how many images at a time to try instead of `part`: a power of two that should fit, at most half.

    Args:
        part: images that went through the network at a time.
        fits: whether so many should.
        validating: it was the validation pass that did not fit, so its batch has to become smaller.
    """
    sizes = [2**power for power in range(part.bit_length()) if 2**power <= part // 2]
    if validating:
        sizes = [size for size in sizes if evaluation_batch(size) <= evaluation_batch(part) // 2]
    return max((size for size in sizes if fits(size)), default=sizes[0] if sizes else None)


def bytes_per_image(net: keras.Model) -> int:
    """Estimate what a training step needs for each image: every layer's output, and what its gradient needs."""
    found = 0
    for layer in net.layers:
        for tensor in tf.nest.flatten(layer.output):
            found += math.prod(tensor.shape[1:]) * tf.as_dtype(tensor.dtype).size
    return int(found * _OVERHEAD)


class Guard(keras.callbacks.Callback):
    """Makes running out of memory one clear error. As a callback it knows training from validation.

    Errors of TensorFlow and NumPy, on a GPU or the host, become a UserError. On Linux the process ends itself, with the
    same words and exit code, before the system would kill it.

    Args:
        job: what is trained.
    """

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._training = job.config.training
        self._net = job.fast.net
        self._replicas = job.distribution.replicas
        self._part = job.part
        self._free: int | None = None
        self.stage = "training"

    def on_test_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self.stage = "validation"

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        self.stage = "training"

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch memory, and name what does not fit, while the block runs.

        Raises:
            UserError: memory ran out, or the limit cannot be kept.
        """
        limit = memory.Limit.of(self._training.max_memory)
        self._free = limit.left() if limit is not None else memory.Free()()
        if limit is None and self._training.max_memory == "auto":
            err.print("no limit on memory: this system does not tell what is free", highlight=False)
        try:
            with memory.watching(limit, self._end):
                yield
        except (MemoryError, tf.errors.OpError) as error:
            if not is_out_of_memory(error):
                raise
            raise UserError(self.words(what(error), self._room(error))) from error

    def words(self, happened: str, room: int | None) -> str:
        """Return what is to be said: what happened, and what to try with so many bytes of room."""
        batch, parts = self._training.batch, self._training.accumulate
        said = f"out of memory in {self.stage} with training.batch_size={batch}"
        said += f" in {parts} parts: {happened}; " if parts > 1 else f": {happened}; "
        each = bytes_per_image(self._net)
        size = smaller_part(self._part, lambda n: room is None or n * each <= room, self.stage != "training")
        if size is None:
            return f"{said}not even one image at a time fits: take a smaller data.image_size or another model"
        more = -(-batch // size)
        if self._replicas > 1:
            return f"{said}try training.batch_size={size * self._replicas}, or {more} GPUs or machines"
        return f"{said}try training.batch_size={size * parts}, or training.accumulate={more}, which keeps the batch"

    def _room(self, error: BaseException) -> int | None:
        """Return the bytes that there were, on the device that the error names."""
        found = _TENSOR.search(str(error))
        if found is None or not found[3].startswith("GPU"):
            return self._free
        return int(tf.config.experimental.get_memory_info(found[3])["peak"])

    def _end(self) -> None:
        """End the process. Called by the thread that watches memory: a step under way takes no exception."""
        taken, free = (memory.used() or 0) / 1e9, (self._free or 0) / 1e9
        happened = f"{taken:.1f} GB are taken, {free:.1f} GB were left when training began"
        sys.stdout.flush()
        err.print(f"\nError: {self.words(happened, self._free)}", markup=False, highlight=False)
        os._exit(_USER_ERROR)
