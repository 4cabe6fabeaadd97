"""What batches are made of: the order of examples, their resize, and two ways to get at them with tf.data."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import tensorflow as tf

from kerasnets.config.data import RandomResizedCrop
from kerasnets.data import decode, decode_graph
from kerasnets.data.cut import Cut, Part
from kerasnets.data.draws import Draws, shuffled
from kerasnets.data.encoded import Encoded
from kerasnets.data.geometry import windows
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.data.resample import axis_weights, resample, sizes
from kerasnets.data.steps import Steps

Tensor = Any

Change = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From pixels `[N, h, w, C]`, epoch and position of the first of them to what becomes of each."""
Finish = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""From a batch's images, indices, epoch, first position and count to what is yielded."""

FOREVER = np.iinfo(np.int64).max
_SHUFFLE_STREAM, _WINDOW_STREAM = 2, 3


def options() -> tf.data.Options:
    """Return how data sets are run: in order, nothing tuned by itself, nothing rewritten.

    Rewriting copies every tensor that the graph holds, such as images in memory and the names of files.
    """
    found = tf.data.Options()
    found.autotune.enabled = False
    found.deterministic = True
    found.experimental_optimization.apply_default_optimizations = False
    return found


@dataclass(frozen=True, eq=False)
class Order:
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
class Resize:
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
        size = sizes(pixels, tf)
        found = windows(self._numbers(epoch, first, tf.shape(pixels)[0]), size, self.window)
        top, left, tall, wide = (tf.reshape(x, (-1, 1, 1)) for x in found)
        rows = axis_weights(size[0], height, tall, float(height), tf, top + tall / 2)
        columns = axis_weights(size[1], width, wide, float(width), tf, left + wide / 2)
        return tf.ensure_shape(resample(pixels, rows, columns, tf), [None, height, width, None])

    def of_file(self, encoded: Tensor, epoch: Tensor, position: Tensor) -> Tensor:
        """Return the same of one encoded image, float32 `[h, w, C]`, faster and nearly as exact: see `cut.py`."""
        part = self.part_of_file(encoded, epoch, position)
        pixels = part.cut.resampled(part.pixels, part.corner)
        return pixels if self.window else self.preprocessing.letterboxed(pixels, tuple(tf.unstack(part.size)), tf)

    def part_of_file(self, encoded: Tensor, epoch: Tensor, position: Tensor) -> Part:
        """Return what `of_file` resizes of one encoded image."""
        picture = decode_graph.picture(encoded)
        cut = self._cut(picture.size, epoch, position)
        box = cut.box(picture.size)
        pixels = decode_graph.with_channels(picture.part(box), self.preprocessing.channels)
        return Part(pixels, box[:2], picture.size, cut)

    def _cut(self, size: Tensor, epoch: Tensor, position: Tensor) -> Cut:
        out = self.preprocessing.image_size
        if self.window is None:
            ratios = self.preprocessing.ratios(tuple(tf.unstack(size)), tf)
            steps = [span / count for span, count in ratios]
            cut = Cut(tf.cast(size, tf.float32) / 2, tf.stack(steps), out)
            return cut.inwards() if self.preprocessing.resize == "pad" else cut
        numbers = self._numbers(epoch, position, 1)
        top, left, tall, wide = (x[0] for x in windows(numbers, tuple(tf.unstack(size)), self.window))
        return Cut(tf.stack([top + tall / 2, left + wide / 2]), tf.stack([tall / out[0], wide / out[1]]), out)

    def _numbers(self, epoch: Tensor, first: Tensor, count: Any) -> Tensor:
        return Draws(self.seed, _WINDOW_STREAM, 4)(epoch, first, count)


@dataclass(frozen=True, eq=False)
class PixelStream:
    """Images that are in memory, raw (then resized by the batch) or at the model's size already."""

    images: np.ndarray | Tensor
    order: Order
    resize: Resize | None
    steps: Steps
    workers: int

    def batches(self, start: int, end: int, change: Change, finish: Finish) -> tf.data.Dataset:
        """Return batches of steps `start` to `end`, each gathered, resized, changed and finished as one."""
        images = tf.convert_to_tensor(self.images)

        @tf.autograph.experimental.do_not_convert
        def batch(step: Tensor) -> tuple[Tensor, Tensor]:
            epoch, first, last = self.steps(step)
            index = self.order(epoch, self.steps.some(first, last))
            pixels = tf.gather(images, index)
            if self.resize is not None:
                pixels = self.resize(pixels, epoch, first)
            return finish(change(pixels, epoch, first), index, epoch, first, last - first)

        return tf.data.Dataset.range(start, end).map(batch, num_parallel_calls=self.workers)


@dataclass(frozen=True, eq=False)
class FileStream:
    """Images that are files, made ready one by one: an image stays in a core's own cache, a batch does not.

    Attributes:
        exact: Resize by the definition's own arithmetic, for evaluation; else as fast as can be, for training.
    """

    files: Encoded
    order: Order
    resize: Resize
    steps: Steps
    workers: int
    exact: bool

    def batches(self, start: int, end: int, change: Change, finish: Finish) -> tf.data.Dataset:
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
                lambda: change(self._decode(read(index), epoch, position)[None], epoch, position)[0],
                lambda: tf.zeros((height, width, channels)),
            )
            return tf.ensure_shape(pixels, (height, width, channels)), index

        @tf.autograph.experimental.do_not_convert
        def batch(step: Tensor, slotted: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            epoch, first, last = self.steps(step)
            count = last - first
            made = tf.maximum(count, 1)
            return finish(slotted[0][:made], slotted[1][:made], epoch, first, count)

        decoded = tf.data.Dataset.range(start * room, end if end == FOREVER else end * room)
        decoded = decoded.map(one, num_parallel_calls=self.workers).batch(room, drop_remainder=True)
        # One at a time: decoding has the cores.
        return tf.data.Dataset.zip(tf.data.Dataset.range(start, end), decoded).map(batch, num_parallel_calls=1)

    def _decode(self, encoded: Tensor, epoch: Tensor, position: Tensor) -> Tensor:
        if not self.exact:
            return self.resize.of_file(encoded, epoch, position)
        pixels = decode.tensorflow(encoded, self.resize.preprocessing.channels)
        return self.resize(pixels[None], epoch, position)[0]
