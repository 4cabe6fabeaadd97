"""Training's resize of files: the definition's pixels, from a part of the file alone."""

import io
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import tensorflow as tf
from pictures import READABLE, encoded, exif, jpeg_with
from PIL import Image

from kerasnets.config import Augment
from kerasnets.config.data import RandomResizedCrop
from kerasnets.data import decode, pipeline
from kerasnets.data.codecs.graph import jpeg
from kerasnets.data.encoded import Files
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.data.sources import Split
from kerasnets.data.streams import Resize

CLOSE = 0.01  # of a grey level
RAW = Preprocessing((24, 31), 3, "crop", 0.875, (90.0, 100.0, 110.0), (1.0, 1.0, 1.0))
WINDOW = RandomResizedCrop()
RESIZES = {
    "window": Resize(RAW, WINDOW, 5),
    "window, grey": Resize(Preprocessing((24, 31), 1, "crop", 1.0, (0.0,), (1.0,)), WINDOW, 5),
    "centre": Resize(RAW, None, 5),
    "squash, enlarged": Resize(Preprocessing((90, 80), 3, "squash", 1.0, (0.0,) * 3, (1.0,) * 3), None, 5),
    "pad": Resize(Preprocessing((24, 31), 3, "pad", 1.0, (90.0, 100.0, 110.0), (1.0,) * 3), None, 5),
}
SLOWER = [name for name in RESIZES if name not in ("window", "pad")]
Paths = Callable[[bytes, int], tuple[np.ndarray, np.ndarray]]


def photograph(size: tuple[int, int] = (500, 375), **options: object) -> bytes:
    return encoded(Image.fromarray(skimage.data.astronaut()).resize(size), "JPEG", **options)


@pytest.fixture(
    scope="module",
    params=["window", "pad", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOWER)],
)
def both(request: pytest.FixtureRequest) -> Paths:
    return paths(RESIZES[request.param])


def paths(resize: Resize) -> Paths:
    """Return a function from a file and a position to training's pixels and the definition's."""
    epoch = tf.constant(1, tf.int64)
    kinds = [tf.TensorSpec((), tf.string), tf.TensorSpec((), tf.int64)]
    fast = tf.function(lambda content, place: resize.of_file(content, epoch, place), kinds, autograph=False)

    def both(content: bytes, place: int) -> tuple[np.ndarray, np.ndarray]:
        position = tf.constant(place, tf.int64)
        pixels = decode.pillow(content, resize.preprocessing.channels)
        return fast(content, position).numpy(), resize(tf.constant(pixels[None]), epoch, position)[0].numpy()

    return both


def test_any_kind_of_file() -> None:
    both = paths(RESIZES["window"])
    for place, (kind, content) in enumerate(READABLE.items()):
        found, wanted = both(content(), place)
        np.testing.assert_allclose(found, wanted, atol=CLOSE, err_msg=kind)


def test_upright(both: Paths) -> None:
    for turn in range(1, 9):
        found, wanted = both(jpeg_with(exif(turn)), turn)
        np.testing.assert_allclose(found, wanted, atol=CLOSE)


def test_photographs(both: Paths) -> None:
    for options in ({"subsampling": 0}, {"subsampling": 1}, {"subsampling": 2, "quality": 95}, {"progressive": True}):
        content = photograph(**options)
        for place in range(3):
            found, wanted = both(content, place)
            np.testing.assert_allclose(found, wanted, atol=CLOSE, err_msg=str(options))


def test_a_pixel_on_the_border_of_a_padded_image_is_inside() -> None:
    wide = Resize(Preprocessing((224, 224), 3, "pad", 1.0, (90.0, 100.0, 110.0), (1.0,) * 3), None, 0)
    both = paths(wide)
    for size in ((96, 51), (51, 96), (640, 420), (1, 224)):
        found, wanted = both(photograph(size), 0)
        np.testing.assert_allclose(found, wanted, atol=CLOSE, err_msg=str(size))


@pytest.mark.parametrize(
    ("content", "words"), [(b"hello", "not a JPEG, PNG"), (photograph()[:-4000], "a JPEG that is cut short")]
)
def test_a_file_that_is_refused(content: bytes, words: str) -> None:
    zero = tf.constant(0, tf.int64)
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        RESIZES["window"].of_file(tf.constant(content), zero, zero)


def test_a_jpegs_part_is_exact_but_for_its_border() -> None:
    content = photograph(subsampling=2)
    whole = decode.pillow(content, 3).astype(int)
    for top, left, height, width in ((0, 0, 40, 50), (33, 47, 101, 203), (200, 301, 175, 199), (7, 3, 3, 3)):
        part = jpeg.part(tf.constant(content), tf.constant([top, left, height, width])).numpy()
        wanted = whole[top : top + height, left : left + width]
        np.testing.assert_array_equal(part[1:-1, 1:-1], wanted[1:-1, 1:-1])


@pytest.mark.slow
def test_resumed_batches_of_photographs_are_the_same_bit_for_bit(tmp_path: Path) -> None:
    names = [tmp_path / f"{number}.jpg" for number in range(5)]
    for number, name in enumerate(names):
        name.write_bytes(photograph((90 + 9 * number, 80)) if number else jpeg_with(exif(6)))
    names.append(tmp_path / "6.png")
    with Image.open(io.BytesIO(photograph((70, 60)))) as image:
        image.save(names[-1])
    split = Split(np.arange(6, dtype=np.int32), None, Files.of(names), tuple(map(str, names)))
    wanted = Augment(random_resized_crop={}, flip=True, color_jitter={"contrast": 0.4}, mixup=0.2)

    def batches(steps: int, start: int, workers: int) -> list[tuple[np.ndarray, np.ndarray]]:
        keys = {"classes": 6, "batch_size": 4, "seed": 3, "training": True, "augment": wanted, "workers": workers}
        found = pipeline.batches(split, RAW, start_step=start, **keys)  # type: ignore[arg-type]
        return [(images.numpy(), labels.numpy()) for images, labels in itertools.islice(found, steps)]

    for one, other in zip(batches(6, 0, 2)[3:], batches(3, 3, 1), strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
