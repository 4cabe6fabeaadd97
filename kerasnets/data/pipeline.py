"""Splits -> batches, with tf.data. Order and augmentation are functions of (seed, epoch, position).

Images in memory are gathered, resized and augmented a whole batch at a time. Files are decoded, resized and augmented
one by one, several at once. Parallelism is explicit: tf.data's autotune can stall short epochs.
"""

import os
from typing import Any

import tensorflow as tf

from kerasnets.config.data import Augment
from kerasnets.data.augment import Augmenter
from kerasnets.data.caching import Cache
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.data.raw import kept
from kerasnets.data.sources import Split
from kerasnets.data.steps import Share, Steps
from kerasnets.data.streams import FOREVER, FileStream, Order, PixelStream, Resize, options
from kerasnets.errors import UserError

Tensor = Any

_PREFETCH = 2  # batches that wait for the model


def steps_per_epoch(examples: int, batch_size: int) -> int:
    """Return how many batches an epoch has; the last one may be smaller."""
    return -(-examples // batch_size)


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
    cache: Cache | None = None,
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
        cache: Decode and resize files once and keep the pixels there: for training rounded to whole grey levels.
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
    with tf.device("/CPU:0"):  # tensors that the batches are taken from are not to fill an accelerator
        order = Order.of(indices, seed, training)
        steps = Steps(len(order), batch_size, Share(*share, 2 if wanted.mixup or wanted.cutmix else 1))
        resize = Resize(preprocessing, wanted.random_resized_crop, seed)
        source: PixelStream | FileStream
        if split.files is None:
            source = PixelStream(split.images, order, resize, steps, workers)
        elif cache is not None:
            pixels = cache.pixels(split.files, indices, resize, workers, exact=not training)
            source = PixelStream(pixels, order, None, steps, workers)
        else:
            source = FileStream(split.files, order, resize, steps, workers, exact=not training)
        last = FOREVER if training else len(steps)
        labels = tf.constant(split.labels)

        augmenter = Augmenter(wanted, preprocessing, seed)

        @tf.autograph.experimental.do_not_convert
        def change(pixels: Tensor, epoch: Tensor, first: Tensor) -> Tensor:
            pixels = tf.cast(pixels, tf.float32)
            pixels = tf.ensure_shape(pixels, [None, *preprocessing.image_size, preprocessing.channels])
            return augmenter.changed(pixels, epoch, first)

        @tf.autograph.experimental.do_not_convert
        def finish(images: Tensor, index: Tensor, epoch: Tensor, first: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
            targets = tf.one_hot(tf.gather(labels, index), classes)
            images, targets = augmenter.mixed(images, targets, epoch, first)
            return images[:count], targets[:count]

        found = source.batches(start_step, last, change, finish)
        return found.prefetch(_PREFETCH).with_options(options())
