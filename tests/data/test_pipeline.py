"""Batches: which examples, in which order, how augmented, as functions of seed, epoch and position."""

import itertools
import os
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kerasnets.config import Augment
from kerasnets.data import pipeline
from kerasnets.data.caching import Cache
from kerasnets.data.encoded import Files
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.data.raw import raw_batches
from kerasnets.data.shards.index import load
from kerasnets.data.shards.prepare import prepare
from kerasnets.data.sources import Split
from kerasnets.data.splitting import Examples
from kerasnets.data.streams import Resize
from kerasnets.errors import UserError

CLASSES = 10
COUNT = 22
ROUNDED = 0.5 + 0.01  # grey levels: to whole ones, and what training's resize may differ
PLAIN = Preprocessing((12, 10), 3, "squash", 1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
EVERYTHING = Augment(
    pad_crop=2,
    flip=True,
    random_resized_crop={},
    color_jitter={"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1},
    rand_augment={},
    random_erasing=0.5,
)

Batch = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def memory() -> Split:
    """Images whose first pixel is their index; each of its own texture."""
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 12, 10, 3), np.uint8)
    images[:, 0, 0] = np.arange(COUNT)[:, None]
    labels = (np.arange(COUNT) % CLASSES).astype(np.int32)
    return Split(labels, images, None, tuple(map(str, range(COUNT))))


@pytest.fixture(scope="module")
def files(memory: Split, tmp_path_factory: pytest.TempPathFactory) -> Split:
    """The same images as PNG files."""
    root = tmp_path_factory.mktemp("files")
    assert memory.images is not None
    for name, image in zip(memory.ids, memory.images, strict=True):
        Image.fromarray(image).save(root / f"{name}.png")
    return Split(memory.labels, None, Files.of(root / f"{name}.png" for name in memory.ids), memory.ids)


def paths(split: Split) -> list[Path]:
    assert isinstance(split.files, Files)
    return [split.files.path(i) for i in range(len(split))]


TRAINING: dict[str, Any] = {"classes": CLASSES, "batch_size": 8, "seed": 3, "training": True, "workers": 2}


def batches(split: Split, steps: int | None = None, **keys: Any) -> list[Batch]:
    keys = TRAINING | {"training": steps is not None} | keys
    definition = keys.pop("preprocessing", PLAIN)
    found = pipeline.batches(split, definition, **keys)
    return [(x.numpy(), y.numpy()) for x, y in (found if steps is None else itertools.islice(found, steps))]


def order(found: list[Batch]) -> list[int]:
    return np.concatenate([x[:, 0, 0, 0] for x, _ in found]).astype(int).tolist()


@pytest.fixture(scope="module")
def shards(files: Split, tmp_path_factory: pytest.TempPathFactory) -> Split:
    """The same files as records of several shards, written in another order."""
    out = tmp_path_factory.mktemp("shards")
    examples = Examples(tuple(map(str, range(CLASSES))), files.labels, np.zeros(COUNT, np.uint8), files.ids)
    prepare(replace(examples, files=files.files), out, megabytes=0.003, workers=2, progress=int)
    assert len(list(out.glob("*.tfrecord"))) > 2
    records = load(out).files
    assert records is not None
    return Split(files.labels, None, records, files.ids)


@pytest.fixture(params=["memory", "files"])
def split(request: pytest.FixtureRequest) -> Split:
    found: Split = request.getfixturevalue(request.param)
    return found


def test_one_pass_in_order(split: Split) -> None:
    found = batches(split)
    assert [x.shape for x, _ in found] == [(8, 12, 10, 3), (8, 12, 10, 3), (6, 12, 10, 3)]
    assert order(found) == list(range(COUNT))
    np.testing.assert_array_equal(np.concatenate([y for _, y in found]), np.eye(CLASSES)[split.labels])


def test_each_epoch_is_another_permutation_with_a_smaller_last_batch(split: Split) -> None:
    found = batches(split, 9)
    assert [len(x) for x, _ in found] == [8, 8, 6] * 3
    epochs = [order(found[i : i + 3]) for i in (0, 3, 6)]
    assert all(sorted(epoch) == list(range(COUNT)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    labels = np.concatenate([y for _, y in found]).argmax(axis=1)
    np.testing.assert_array_equal(labels, split.labels[order(found)])


def test_the_order_is_a_function_of_the_seed_alone(memory: Split) -> None:
    first = order(batches(memory, 6))
    assert first == order(batches(memory, 6))
    assert first != order(batches(memory, 6, seed=4))
    assert first == order(batches(memory, 12, batch_size=4, workers=1))


def test_files_and_memory_are_the_same_batches(memory: Split, files: Split) -> None:
    found = batches(memory, 4, augment=EVERYTHING), batches(files, 4, augment=EVERYTHING)
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one[0], other[0], atol=1e-3)
        np.testing.assert_array_equal(one[1], other[1])


def test_shards_are_the_same_batches_bit_for_bit_from_any_step_on(files: Split, shards: Split) -> None:
    augment = EVERYTHING.model_copy(update={"rand_augment": None, "mixup": 0.4})
    keys = {"augment": augment, "skip": frozenset({3, 8})}
    for one, other in zip(batches(files, 7, **keys)[2:], batches(shards, 5, start_step=2, **keys), strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_start_step_is_as_if_passed_over(split: Split) -> None:
    augment = EVERYTHING.model_copy(update={"rand_augment": None, "mixup": 0.4, "cutmix": 1.0})
    whole, late = batches(split, 7, augment=augment), batches(split, 3, augment=augment, start_step=4)
    for one, other in zip(whole[4:], late, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.parametrize(
    ("count", "mixing"), [pytest.param(3, {}, marks=pytest.mark.slow), (4, {"mixup": 0.4, "cutmix": 1.0})]
)
def test_workers_parts_in_order_are_the_batch(split: Split, count: int, mixing: dict[str, float]) -> None:
    augment = Augment(pad_crop=2, flip=True, random_resized_crop={}, random_erasing=0.5, **mixing)
    whole = batches(split, 7, augment=augment)
    parts = [batches(split, 5, augment=augment, share=(k, count), start_step=2) for k in range(count)]
    sizes = {len(x) for part in parts for x, _ in part}
    assert max(sizes) - min(sizes) <= (2 if mixing else 1)  # the last batch of 6 leaves one of 4 workers nothing
    for one, *made in zip(whole[2:], *parts, strict=True):
        np.testing.assert_allclose(one[0], np.concatenate([x for x, _ in made]), atol=1e-3)
        np.testing.assert_allclose(one[1], np.concatenate([y for _, y in made]), atol=1e-6)


def test_augmentation_does_not_depend_on_the_batch(memory: Split) -> None:
    large = np.concatenate([x for x, _ in batches(memory, 3, augment=EVERYTHING)])
    small = np.concatenate([x for x, _ in batches(memory, 6, augment=EVERYTHING, batch_size=4, workers=1)])
    np.testing.assert_allclose(large, small, atol=1e-3)


def test_augmentation_differs_between_examples_epochs_and_seeds() -> None:
    brighter = Augment(color_jitter={"brightness": 0.5})
    images = np.full((4, 12, 10, 3), 100, np.uint8)
    same = Split(np.zeros(4, np.int32), images, None, tuple("abcd"))
    levels = {
        level
        for seed in (1, 2)
        for x, _ in batches(same, 3, augment=brighter, batch_size=4, seed=seed)
        for level in x[:, 0, 0, 0].tolist()
    }
    assert len(levels) == 24


def test_validation_is_never_augmented(memory: Split) -> None:
    assert order(batches(memory, augment=EVERYTHING)) == list(range(COUNT))


def test_skipped_examples_are_left_out_before_decoding(files: Split, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"hello")
    split = Split(files.labels, None, Files.of([broken, *paths(files)[1:]]), files.ids)
    skip = frozenset({0, 5})
    assert sorted(order(batches(split, 3, skip=skip))) == sorted(set(range(COUNT)) - skip)
    assert order(batches(split, skip=skip)) == sorted(set(range(COUNT)) - skip)
    with pytest.raises(tf.errors.InvalidArgumentError, match="not a JPEG, PNG, GIF, BMP or WebP image"):
        batches(split)


def test_nothing_left(memory: Split) -> None:
    with pytest.raises(UserError, match="^a split of the data has no readable images$"):
        batches(memory, skip=frozenset(range(COUNT)))


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_cache_holds_the_same_batches_without_the_files(
    files: Split, tmp_path: Path, kind: Literal["memory", "disk"]
) -> None:
    augment = Augment(flip=True, pad_crop=2)
    pad = Preprocessing((6, 7), 1, "pad", 1.0, (100.0,), (50.0,))
    keys: dict[str, Any] = {"preprocessing": pad, "augment": augment, "skip": frozenset({4})}
    plain = batches(files, 5, **keys)
    copies = [Path(shutil.copy(path, tmp_path)) for path in paths(files)]
    split = Split(files.labels, None, Files.of(copies), files.ids)
    seen: list[str] = []
    cache = Cache(kind, tmp_path / "cache", lambda words, total: nullcontext(lambda: seen.append(words)))
    cached = pipeline.batches(split, pad, augment=augment, cache=cache, start_step=2, skip=frozenset({4}), **TRAINING)
    assert seen == [f"decode for data.cache={kind}"] * (COUNT - 1)
    for path in copies:
        path.unlink()
    for one, other in zip(plain[2:], cached, strict=False):
        assert 0 < np.abs(one[0] - other[0]).max() * pad.std[0] <= ROUNDED
        np.testing.assert_array_equal(one[1], other[1])
    with pytest.raises(UserError, match=f"data.cache: '{kind}' keeps resized images, which random_resized_crop cannot"):
        batches(files, 1, cache=cache, augment=Augment(random_resized_crop={}))


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_cache_to_validate_on_is_exact(files: Split, tmp_path: Path, kind: Literal["memory", "disk"]) -> None:
    small = Preprocessing((6, 7), 3, "squash", 1.0, (0.0,) * 3, (1.0,) * 3)
    cached = batches(files, preprocessing=small, cache=Cache(kind, tmp_path))
    for one, other in zip(batches(files, preprocessing=small), cached, strict=True):
        np.testing.assert_array_equal(one[0], other[0])


@pytest.mark.slow
def test_cache_on_disk_is_shared_until_something_changes(files: Split, tmp_path: Path) -> None:
    few = Files.of(Path(shutil.copy(path, tmp_path)) for path in paths(files)[:4])
    made: list[str] = []

    def decoded(definition: Preprocessing = PLAIN, index: tuple[int, ...] = (0, 1, 2, 3), exact: bool = True) -> int:
        made.clear()
        cache = Cache("disk", tmp_path / "cache", lambda words, total: nullcontext(lambda: made.append(words)))
        pixels = cache.pixels(few, np.array(index), Resize(definition, None, 0), 2, exact=exact)
        assert (pixels.shape, pixels.dtype) == ((4, *definition.image_size, 3), tf.float32 if exact else tf.uint8)
        return len(made)

    assert [decoded(), decoded()] == [4, 0]
    assert [decoded(exact=False), decoded(exact=False), decoded()] == [4, 0, 0]
    assert [decoded(index=(0, 3)), decoded(index=(0, 3))] == [2, 0]
    assert decoded(replace(PLAIN, mean=(1.0, 2.0, 3.0))) == 0  # is subtracted later
    padded = replace(PLAIN, resize="pad", image_size=(9, 9))
    assert [decoded(padded), decoded(replace(padded, mean=(1.0, 2.0, 3.0)))] == [4, 4]
    os.utime(few.path(3), ns=(1, 1))
    assert decoded() == 4
    for file in (tmp_path / "cache").glob("*.float32"):
        os.truncate(file, 100)
    assert decoded() == 4


def test_pixels_are_those_of_evaluation(files: Split) -> None:
    """What the model sees through tf.data is what NumPy and Pillow make of the same files."""
    definition = Preprocessing((7, 9), 3, "crop", 0.875, (120.0, 110.0, 100.0), (60.0, 61.0, 62.0))
    found = np.concatenate([x for x, _ in batches(files, preprocessing=definition)])
    raw = np.concatenate([definition.apply(pixels, np) for pixels, _ in raw_batches(files, 3, 5)])
    np.testing.assert_allclose(found, raw, atol=1e-4)


def test_grey_images_for_a_colour_model_and_back(memory: Split) -> None:
    grey = Preprocessing((12, 10), 1, "squash", 1.0, (0.0,), (1.0,))
    found = np.concatenate([x for x, _ in batches(memory, preprocessing=grey)])
    raw = np.concatenate([pixels for pixels, _ in raw_batches(memory, 1, 30)])
    np.testing.assert_array_equal(found, raw)


@pytest.mark.parametrize(("count", "size", "steps"), [(1, 8, 1), (8, 8, 1), (9, 8, 2), (16, 8, 2)])
def test_steps_per_epoch(count: int, size: int, steps: int) -> None:
    assert pipeline.steps_per_epoch(count, size) == steps


def test_one_example(memory: Split) -> None:
    skip = frozenset(range(1, COUNT))
    assert order(batches(memory, 3, skip=skip)) == [0, 0, 0]
