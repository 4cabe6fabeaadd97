"""The golden images: one of each kind that is read, alike in both decoders."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kerasnets.artifacts.audit.version import audit
from kerasnets.artifacts.export import Published, export
from kerasnets.artifacts.golden import check, pictures, publish, stored
from kerasnets.artifacts.manifest import Manifest
from kerasnets.artifacts.reference import Reference
from kerasnets.data import decode
from kerasnets.data.codecs import rules
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.errors import CheckFailed
from kerasnets.run import Run

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


@pytest.mark.parametrize("channels", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_both_decoders_read_the_same_pixels(channels: int) -> None:
    for name, content in PICTURES.items():
        found = np.asarray(decode.tensorflow(content, channels))
        np.testing.assert_array_equal(found, decode.pillow(content, channels), err_msg=name)


def test_a_version_keeps_them_and_what_keras_says(published: Published, photo_resnet: Run) -> None:
    read = stored.Golden.read(published.path, classes=4, image_size=(24, 24), channels=3)
    assert read.pictures == PICTURES
    assert read.pixels.shape == (len(PICTURES), 24, 24, 3)
    assert read.lossy == {}
    reference = Reference(photo_resnet)
    for place, content in enumerate(PICTURES.values()):
        raw = decode.pillow(content, 3)[np.newaxis]
        np.testing.assert_allclose(read.probabilities["image"][place], reference(raw)[0], atol=1e-6)
    np.testing.assert_array_equal(read.probabilities["bytes"], read.probabilities["image"])
    document = json.loads((published.path / stored.DOCUMENT).read_text())
    best = photo_resnet.labels[read.probabilities["image"][0].argmax()]
    assert document["pictures"][0]["file"] == "mode-1.png"
    assert document["pictures"][0]["label"] == best
    assert sum(path.stat().st_size for path in (published.path / "assets").rglob("*") if path.is_file()) < 400_000


def test_a_large_input_is_sampled() -> None:
    pixels = np.arange(200 * 300 * 3).reshape(200, 300, 3)
    found = stored.sampled(pixels)
    assert found.shape == (32, 32, 3)
    np.testing.assert_array_equal(found[[0, -1]][:, [0, -1]], pixels[[0, -1]][:, [0, -1]])
    np.testing.assert_array_equal(
        stored.sampled(pixels[:9, :40]), pixels[:9, np.rint(np.linspace(0, 39, 32)).astype(int)]
    )


@pytest.mark.slow
def test_training_and_evaluation_are_held_to_what_predict_decodes(photo_resnet: Run) -> None:
    preprocessing = Preprocessing.load(photo_resnet.path)
    raw = check.raw(PICTURES, 3)
    pixels = np.stack([stored.sampled(preprocessing.resized(image, np)[0]) for image in raw])
    golden = stored.Golden(PICTURES, pixels, {})
    publish.check_pixels(golden, raw, preprocessing)
    wrong = [raw[0] + 2, *raw[1:]]
    with pytest.raises(CheckFailed) as error:
        publish.check_pixels(golden, wrong, preprocessing)
    assert str(error.value) == (
        "golden images: training's pipeline makes other pixels of mode-1.png than predict, by 2 grey levels; at most "
        "1 is allowed"
    )


def test_what_is_a_difference() -> None:
    expected = np.array([[0.6, 0.4], [0.5005, 0.4995]], np.float32)
    found = check.probabilities(["a", "b"], expected[:, ::-1], expected)
    assert found.flipped == ("a",)  # b's two classes are closer than twice the tolerance
    assert not found.ok
    assert found.found == "0.2 for a; another top-1 for a"
    assert check.probabilities(["a", "b"], expected + np.float32(5e-4), expected).ok
    broken = np.full((2, 2), np.nan, np.float32)
    assert check.probabilities(["a", "b"], broken, expected).largest == np.inf


@pytest.mark.slow
def test_a_client_that_resizes_and_rounds_is_asked_apart(photo_resnet: Run, tmp_path: Path) -> None:
    settings = ["export.static_shape=true", "export.input_dtype=uint8"]
    path = export(photo_resnet, to=tmp_path, settings=settings, formats=["savedmodel"]).path
    read = stored.Golden.read(path, classes=4, image_size=(24, 24), channels=3)
    assert np.abs(read.probabilities["image"] - read.probabilities["bytes"]).max() > 0
    assert [entry.sentence() for entry in audit(Manifest.read(path)) if not entry.ok] == []
