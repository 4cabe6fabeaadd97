"""Splits -> batches, with tf.data. Order and augmentation are functions of (seed, epoch, position).

Images in memory are gathered, resized and augmented a whole batch at a time. Files are decoded and resized one by one,
several at once, then augmented by the batch. Parallelism is explicit: tf.data's autotune can stall short epochs.
"""

import os
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import tensorflow as tf

from kerasnets.config.sections import Augment, RandomResizedCrop
from kerasnets.data import decode, decode_graph
from kerasnets.data.augment import Augmenter
from kerasnets.data.draws import Draws, shuffled
from kerasnets.data.encoded import Encoded
from kerasnets.data.geometry import windows
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.data.raw import kept
from kerasnets.data.resample import axis_weights, resample, sizes
from kerasnets.data.sources import Split
from kerasnets.data.steps import Share, Steps
from kerasnets.errors import UserError

Tensor = Any

_SHUFFLE_STREAM, _WINDOW_STREAM = 2, 3
_FOREVER = np.iinfo(np.int64).max
_PREFETCH = 2  # batches that wait for the model


def steps_per_epoch(examples: int, batch_size: int) -> int:
    """Return how many batches an epoch has; the last one may be smaller."""
    return -(-examples // batch_size)


@dataclass(frozen=True, eq=False)
class _Order:
    """Which example of a split comes at which position of an epoch."""

    indices: Tensor
    seed: int
    random: bool

    @classmethod
    def of(cls, indices: np.ndarray, seed: int, random: bool) -> Self:
        """Keep int64 indices as a tensor: as an array they would be copied into each graph that uses them."""
        return cls(tf.constant(indices), seed, random)

    def __len__(self) -> int:
        return int(self.indices.shape[0])

    def __call__(self, epoch: Tensor, positions: Tensor) -> Tensor:
        """Return indices into the split for int64 positions: a permutation in O(1) memory where random."""
        if self.random:
            positions = shuffled(positions, epoch, len(self), self.seed, _SHUFFLE_STREAM)
        return tf.gather(self.indices, positions)


@dataclass(frozen=True, eq=False)
class _Resize:
    """Raw pixels -> the model's size: the preprocessing's own resize, or a random window."""

    preprocessing: Preprocessing
    window: RandomResizedCrop | None
    seed: int

    def __call__(self, pixels: Tensor, epoch: Tensor, first: Tensor) -> Tensor:
        """Return float32 `[N, h, w, C]` of `[N, H, W, C]`; `first` is the position of the first in its epoch."""
        pixels = tf.cast(decode_graph.with_channels(pixels, self.preprocessing.channels), tf.float32)
        height, width = self.preprocessing.image_size
        if self.window is None:
            return tf.ensure_shape(self.preprocessing.resized(pixels, tf), [None, height, width, None])
        numbers = Draws(self.seed, _WINDOW_STREAM, 4)(epoch, first, tf.shape(pixels)[0])
        size = sizes(pixels, tf)
        top, left, tall, wide = (tf.reshape(x, (-1, 1, 1)) for x in windows(numbers, size, self.window))
        rows = axis_weights(size[0], height, tall, float(height), tf, top + tall / 2)
        columns = axis_weights(size[1], width, wide, float(width), tf, left + wide / 2)
        return tf.ensure_shape(resample(pixels, rows, columns, tf), [None, height, width, None])


def batches(
    split: Split,
    preprocessing: Preprocessing,
    *,
    classes: int,
    batch_size: int,
    seed: int,
    training: bool,
    augment: Augment | None = None,
    workers: int = 0,
    cache: str = "none",
    skip: frozenset[int] = frozenset(),
    start_step: int = 0,
    share: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Return batches `(images [N, h, w, C], one-hot labels [N, K])`, float32; the last of an epoch may be smaller.

    Args:
        split: What to read.
        preprocessing: Pixels -> model input.
        classes: K.
        batch_size: Examples in a batch.
        seed: Decides order and augmentation, with epoch and position.
        training: Shuffled, epoch after epoch without end; else one pass in order.
        augment: Random changes, for training.
        workers: Images (in memory: batches) made ready at the same time; 0: one a core.
        cache: "memory" decodes and resizes files once and keeps them.
        skip: Indices that are left out.
        start_step: Steps, counted over all epochs, that are passed over.
        share: (index, count) of the worker that takes its part of each batch; parts differ by an example or two in
            size, may be empty, and in order make up the batch.

    Raises:
        UserError: Nothing is left to read, or the cache is wanted with random windows.
        tf.errors.InvalidArgumentError: While iterating, for a file that cannot be decoded.
    """
    indices = kept(split, skip)
    if not indices.size:
        raise UserError("a split of the data has no readable images")
    wanted = (augment if training else None) or Augment()
    workers = workers or os.cpu_count() or 1
    order = _Order.of(indices, seed, training)
    steps = Steps(len(order), batch_size, Share(*share, 2 if wanted.mixup or wanted.cutmix else 1))
    resize = _Resize(preprocessing, wanted.random_resized_crop, seed)
    source: _Memory | _Files
    if split.images is not None:
        source = _Memory(split.images, order, resize, steps, workers)
    elif cache == "memory":
        source = _Memory(_decoded(split, indices, resize, workers), order, None, steps, workers)
    else:
        source = _Files(_encoded(split), order, resize, steps, workers)
    last = _FOREVER if training else len(steps)
    labels = tf.constant(split.labels)

    @tf.autograph.experimental.do_not_convert
    def finish(pixels: Tensor, index: Tensor, epoch: Tensor, first: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        pixels = tf.ensure_shape(pixels, [None, *preprocessing.image_size, preprocessing.channels])
        targets = tf.one_hot(tf.gather(labels, index), classes)
        images, targets = Augmenter(wanted, preprocessing, seed)(pixels, targets, epoch, first)
        return images[:count], targets[:count]

    found = source.batches(start_step, last, finish)
    return found.prefetch(_PREFETCH).with_options(_options())


def _options() -> tf.data.Options:
    options = tf.data.Options()
    options.autotune.enabled = False
    options.deterministic = True
    # Rewriting the graph would copy every tensor that it holds: images in memory, names of files.
    options.experimental_optimization.apply_default_optimizations = False
    return options


@dataclass(frozen=True, eq=False)
class _Memory:
    """Images that are in memory, raw (then resized by the batch) or at the model's size already."""

    images: np.ndarray
    order: _Order
    resize: _Resize | None
    steps: Steps
    workers: int

    def batches(self, start: int, end: int, finish: Any) -> tf.data.Dataset:
        """Return batches of steps `start` to `end`, each gathered, resized and finished as one."""
        images = tf.constant(self.images)

        @tf.autograph.experimental.do_not_convert
        def batch(step: Tensor) -> tuple[Tensor, Tensor]:
            epoch, first, last = self.steps(step)
            index = self.order(epoch, self.steps.some(first, last))
            pixels = tf.gather(images, index)
            if self.resize is not None:
                pixels = self.resize(pixels, epoch, first)
            return finish(pixels, index, epoch, first, last - first)

        return tf.data.Dataset.range(start, end).map(batch, num_parallel_calls=self.workers)


@dataclass(frozen=True, eq=False)
class _Files:
    """Images that are files, decoded and resized one by one."""

    files: Encoded
    order: _Order
    resize: _Resize
    steps: Steps
    workers: int

    def batches(self, start: int, end: int, finish: Any) -> tf.data.Dataset:
        """Return batches of steps `start` to `end`.

        Every step has the same number of slots; those past its last position are not decoded and cut off again, so
        that decoding goes on across the end of an epoch.
        """
        read, room = self.files.reader(), self.steps.room
        height, width = self.resize.preprocessing.image_size
        channels = self.resize.preprocessing.channels

        @tf.autograph.experimental.do_not_convert
        def one(slot: Tensor) -> tuple[Tensor, Tensor]:
            epoch, first, last = self.steps(slot // room)
            position = first + slot % room
            index = self.order(epoch, tf.minimum(position, len(self.order) - 1))
            pixels = tf.cond(
                position < last,
                lambda: self._decode(read(index), epoch, position),
                lambda: tf.zeros((height, width, channels)),
            )
            return tf.ensure_shape(pixels, (height, width, channels)), index

        @tf.autograph.experimental.do_not_convert
        def batch(step: Tensor, slotted: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            epoch, first, last = self.steps(step)
            count = last - first
            made = tf.maximum(count, 1)
            return finish(slotted[0][:made], slotted[1][:made], epoch, first, count)

        decoded = tf.data.Dataset.range(start * room, end if end == _FOREVER else end * room)
        decoded = decoded.map(one, num_parallel_calls=self.workers).batch(room, drop_remainder=True)
        # One at a time: decoding has the cores.
        return tf.data.Dataset.zip(tf.data.Dataset.range(start, end), decoded).map(batch, num_parallel_calls=1)

    def _decode(self, encoded: Tensor, epoch: Tensor, position: Tensor) -> Tensor:
        pixels = decode.tensorflow(encoded, self.resize.preprocessing.channels)
        return self.resize(pixels[None], epoch, position)[0]


def _encoded(split: Split) -> Encoded:
    if split.files is None:
        raise ValueError("a split has either images or files")
    return split.files


def _decoded(split: Split, indices: np.ndarray, resize: _Resize, workers: int) -> np.ndarray:
    """Return the kept images of a split at the model's size, float32 `[n, h, w, C]`; zeros for the others."""
    if resize.window is not None:
        raise UserError("data.cache: 'memory' keeps resized images, which random_resized_crop cannot use; take 'none'")
    preprocessing = resize.preprocessing
    images = np.zeros((len(split), *preprocessing.image_size, preprocessing.channels), np.float32)
    files = _Files(_encoded(split), _Order.of(indices, 0, False), resize, Steps(len(indices), 1), workers)
    for pixels, index in files.batches(0, len(indices), lambda pixels, index, *_: (pixels, index)):
        images[index.numpy()] = pixels.numpy()
    return images
