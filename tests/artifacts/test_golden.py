"""The golden images: one of each kind that is read, alike in both decoders."""

import io

import numpy as np
import pytest
from PIL import Image

from kerasnets.artifacts.golden import pictures
from kerasnets.data import decode
from kerasnets.data.codecs import rules

PICTURES = pictures()


def test_every_kind_is_there_and_all_are_small() -> None:
    assert sum(map(len, PICTURES.values())) < 150_000
    assert {rules.kind(content) for content in PICTURES.values()} == set(rules.KINDS)
    modes, turns = set(), set()
    for content in PICTURES.values():
        with Image.open(io.BytesIO(content)) as image:
            modes.add(image.mode)
            turns.add(image.getexif().get(rules.ORIENTATION_TAG, 1))
    assert modes >= {"1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"}
    assert turns == set(range(1, 9))
    sizes = {decode.pillow(content, 3).shape[:2] for content in PICTURES.values()}
    assert {(1, 1), (1, 41), (37, 1), (257, 331)} <= sizes


def test_they_are_the_same_each_time() -> None:
    assert pictures() == PICTURES


@pytest.mark.parametrize("channels", [1, 3])
def test_both_decoders_read_the_same_pixels(channels: int) -> None:
    for name, content in PICTURES.items():
        found = np.asarray(decode.tensorflow(content, channels))
        np.testing.assert_array_equal(found, decode.pillow(content, channels), err_msg=name)
