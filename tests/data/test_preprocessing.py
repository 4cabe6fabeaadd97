"""The one definition of pixels: NumPy, TensorFlow and ONNX agree with each other and with the libraries."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import skimage.data
import tensorflow as tf
import tf2onnx
from PIL import Image

from kerasnets.config import Data
from kerasnets.data.encoded import Files
from kerasnets.data.preprocessing import Preprocessing, fit
from kerasnets.data.sources import Dataset, Split
from kerasnets.data.statistics import SAMPLE
from kerasnets.errors import UserError

PHOTOS = {name: getattr(skimage.data, name)() for name in ("astronaut", "coffee", "chelsea")}
SIZES = [(224, 224), (100, 300), (31, 17), (700, 640)]
MODES = [("squash", 1.0), ("crop", 1.0), ("crop", 0.875), ("pad", 1.0)]


def raw(size: tuple[int, int], resize: str = "squash", ratio: float = 1.0, channels: int = 3) -> Preprocessing:
    """Return a preprocessing that resizes and does nothing else."""
    return Preprocessing(size, channels, resize, ratio, (0.0,) * channels, (1.0,) * channels)  # type: ignore[arg-type]


def batch(image: np.ndarray) -> np.ndarray:
    return image[None].astype(np.float32)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PHOTOS)
def test_resize_is_tensorflows_and_pillows(name: str, size: tuple[int, int]) -> None:
    found = raw(size).resized(batch(PHOTOS[name]), np)
    expected = tf.image.resize(batch(PHOTOS[name]), size, antialias=True).numpy()
    np.testing.assert_allclose(found, expected, atol=1.5e-4 * 255, rtol=0)
    pillow = np.asarray(Image.fromarray(PHOTOS[name]).resize(size[::-1], Image.Resampling.BILINEAR))
    assert np.abs(found[0] - pillow).max() <= 1.001


@pytest.mark.parametrize(("resize", "ratio"), MODES)
@pytest.mark.parametrize("size", SIZES)
def test_numpy_and_tensorflow_agree_with_any_size_at_run_time(size: tuple[int, int], resize: str, ratio: float) -> None:
    definition = Preprocessing(size, 3, resize, ratio, (123.0, 116.0, 103.0), (58.0, 57.0, 56.0))  # type: ignore[arg-type]
    signature = [tf.TensorSpec((None, None, None, 3), tf.float32)]
    graph = tf.function(lambda images: definition.apply(images, tf), input_signature=signature, autograph=False)
    for image in PHOTOS.values():
        np.testing.assert_allclose(graph(batch(image)), definition.apply(batch(image), np), atol=1e-4, rtol=0)
    assert graph(np.concatenate([batch(image) for image in [PHOTOS["coffee"]] * 3])).shape == (3, *size, 3)


@pytest.mark.parametrize(("resize", "ratio"), MODES)
def test_onnx_agrees_with_any_batch_and_size(resize: str, ratio: float) -> None:
    mean_image = np.random.default_rng(0).uniform(0, 255, (48, 64, 3)).astype(np.float32)
    definition = Preprocessing((48, 64), 3, resize, ratio, (1.0, 2.0, 3.0), (50.0, 60.0, 70.0), mean_image)  # type: ignore[arg-type]
    signature = [tf.TensorSpec((None, None, None, 3), tf.float32, "image")]
    function = tf.function(lambda image: {"pixels": definition.apply(image, tf)}, autograph=False)
    model, _ = tf2onnx.convert.from_function(function, signature, opset=17)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert [entry.name for entry in session.get_inputs()] == ["image"]
    for images in (
        batch(PHOTOS["coffee"]),
        np.concatenate([batch(PHOTOS["chelsea"])] * 2),
        batch(PHOTOS["coffee"][:20, :31]),
    ):
        (found,) = session.run(["pixels"], {"image": images})
        np.testing.assert_allclose(found, definition.apply(images, np), atol=1e-4, rtol=0)


def test_crop_takes_the_centre() -> None:
    image = np.zeros((1, 40, 100, 1), np.float32)
    image[:, :, 30:70] = 200
    assert (raw((40, 40), "crop", channels=1).resized(image, np) == 200).all()
    wide = raw((20, 80), "crop", channels=1).resized(np.ones((1, 100, 80, 1), np.float32) * 7, np)
    np.testing.assert_allclose(wide, np.full((1, 20, 80, 1), 7), atol=1e-5)


def test_crop_ratio_keeps_that_share_of_the_shorter_side() -> None:
    ramp = np.broadcast_to(np.arange(80, dtype=np.float32)[None, None, :, None], (1, 80, 80, 1))
    found = raw((40, 40), "crop", 0.5, channels=1).resized(ramp, np)
    np.testing.assert_allclose(found[0, 0, :, 0], np.arange(20, 60), atol=1e-4)


def test_pad_fills_up_with_zero_of_the_models_input() -> None:
    definition = Preprocessing((40, 40), 1, "pad", 1.0, (100.0,), (10.0,))
    for xp in (np, tf):
        found = np.asarray(definition.apply(xp.ones((1, 20, 40, 1), xp.float32) * 50, xp))[0, ..., 0]
        assert (found[:10] == 0).all() and (found[30:] == 0).all()
        np.testing.assert_allclose(found[10:30], -5, atol=1e-5)


def test_images_of_the_right_size_are_left_alone() -> None:
    images = batch(PHOTOS["chelsea"])
    for resize in ("squash", "crop", "pad"):
        assert raw((300, 451), resize).resized(images, np) is images


def test_growing_and_one_pixel() -> None:
    assert raw((5, 7)).resized(np.full((1, 1, 1, 3), 9, np.float32), np).tolist() == np.full((1, 5, 7, 3), 9.0).tolist()


def dataset(images: np.ndarray) -> Dataset:
    labels = (np.arange(len(images)) % 2).astype(np.int32)
    split = Split(labels, images, None, tuple(str(i) for i in range(len(images))))
    return Dataset(("a", "b"), split, split, native_size=images.shape[1:3], channels=images.shape[3])


IMAGES = np.random.default_rng(1).integers(0, 256, (70, 12, 10, 3), np.uint8)


def config(**keys: object) -> Data:
    return Data(source="npz", path=Path("x.npz"), **keys)


def test_fit_measures_the_training_split() -> None:
    found = fit(config(), dataset(IMAGES), seed=0)
    assert (found.image_size, found.channels) == ((12, 10), 3)
    np.testing.assert_allclose(found.mean, IMAGES.mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(found.std, IMAGES.std(axis=(0, 1, 2)), rtol=1e-6)
    out = found.apply(IMAGES.astype(np.float32), np)
    np.testing.assert_allclose([out.mean(), out.std()], [0, 1], atol=1e-3)


def test_fit_leaves_skipped_images_out() -> None:
    found = fit(config(), dataset(IMAGES), 0, skip=frozenset(range(60)))
    np.testing.assert_allclose(found.mean, IMAGES[60:].mean(axis=(0, 1, 2)), rtol=1e-6)


def test_fit_measures_grey_levels_where_one_channel_is_wanted() -> None:
    expected = np.asarray([np.asarray(Image.fromarray(image).convert("L")) for image in IMAGES]).mean()
    assert fit(config(channels=1), dataset(IMAGES), 0).mean == pytest.approx((expected,))


def test_fit_subtracts_the_mean_image() -> None:
    found = fit(config(normalize="mean_image"), dataset(IMAGES), 0)
    assert found.mean_image is not None
    np.testing.assert_allclose(found.mean_image, IMAGES.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.apply(IMAGES.astype(np.float32), np).mean(axis=0), 0, atol=1e-5)


def test_fit_of_none_leaves_pixels_as_they_are() -> None:
    none = fit(config(normalize="none"), dataset(IMAGES), 0)
    np.testing.assert_array_equal(none.apply(IMAGES.astype(np.float32), np), IMAGES)


def test_fit_of_unit_and_imagenet() -> None:
    unit = fit(config(normalize="unit"), dataset(IMAGES), 0)
    np.testing.assert_allclose(unit.apply(IMAGES.astype(np.float32), np), IMAGES / 255, atol=1e-6)
    imagenet = fit(config(normalize="imagenet"), dataset(IMAGES), 0)
    assert (imagenet.mean, imagenet.std) == ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


def test_fit_of_what_pretrained_weights_want() -> None:
    symmetric = fit(config(normalize="symmetric"), dataset(IMAGES), 0)
    np.testing.assert_allclose(symmetric.apply(IMAGES.astype(np.float32), np), IMAGES / 127.5 - 1, atol=1e-6)
    caffe = fit(config(normalize="caffe"), dataset(IMAGES), 0)
    assert (caffe.mean, caffe.std) == ((123.68, 116.779, 103.939), (1.0, 1.0, 1.0))


def test_grey_images_get_the_mean_of_three_channels_numbers() -> None:
    grey = fit(config(normalize="imagenet", channels=1), dataset(IMAGES), 0)
    assert grey.mean == pytest.approx((114.495,))
    assert grey.std == pytest.approx((57.63,))
    assert fit(config(normalize="symmetric", channels=1), dataset(IMAGES), 0).mean == (127.5,)


def test_auto_without_pretrained_weights_is_the_data_sets_own() -> None:
    assert config().normalize == "auto"
    assert fit(config(), dataset(IMAGES), 0) == fit(config(normalize="dataset"), dataset(IMAGES), 0)


def test_pretrained_takes_the_numbers_of_another_run_and_nothing_else() -> None:
    image = np.full((12, 10, 3), 7, np.float32)
    other = Preprocessing((12, 10), 3, "squash", 1.0, (1.0, 2.0, 6.0), (3.0, 4.0, 5.0), image)
    found = fit(config(normalize="pretrained", resize="pad"), dataset(IMAGES), 0, pretrained=other)
    assert (found.resize, found.mean, found.std) == ("pad", (1.0, 2.0, 6.0), (3.0, 4.0, 5.0))
    assert found.mean_image is image
    smaller = fit(config(normalize="pretrained", image_size=6), dataset(IMAGES), 0, pretrained=other)
    assert (smaller.mean, smaller.mean_image) == ((1.0, 2.0, 6.0), None)
    grey = fit(config(normalize="pretrained", channels=1), dataset(IMAGES), 0, pretrained=other)
    assert (grey.mean, grey.std, grey.mean_image) == ((3.0,), (4.0,), None)
    back = fit(config(normalize="pretrained"), dataset(IMAGES), 0, pretrained=grey)
    assert (back.mean, back.std) == ((3.0, 3.0, 3.0), (4.0, 4.0, 4.0))


def test_fit_of_images_of_one_colour() -> None:
    assert fit(config(), dataset(np.full((4, 2, 2, 1), 7, np.uint8)), 0).std == (1.0,)


def test_fit_samples_large_sets_by_seed() -> None:
    images = np.random.default_rng(0).integers(0, 256, (SAMPLE + 500, 1, 1, 1), np.uint8)
    first, again, other = (fit(config(), dataset(images), seed).mean for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert first == pytest.approx((images.mean(),), abs=3)


def folder_of(tmp_path: Path) -> Dataset:
    for i, image in enumerate(IMAGES[:6]):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    paths = tuple(tmp_path / f"{i}.png" for i in range(6))
    split = Split(np.zeros(6, np.int32), None, Files.of(paths), tuple(path.name for path in paths))
    return Dataset(("a", "b"), split, split)


def test_statistics_of_files_are_kept_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = folder_of(tmp_path)
    wanted = config(image_size=(12, 10))
    first = fit(wanted, found, 0)
    np.testing.assert_allclose(first.mean, IMAGES[:6].mean(axis=(0, 1, 2)), rtol=1e-6)
    with monkeypatch.context() as patch:
        patch.setattr("kerasnets.data.statistics.raw_images", lambda *_: pytest.fail("decoded again"))
        assert fit(wanted, found, 0) == first
    Image.fromarray(IMAGES[7]).save(tmp_path / "0.png", compress_level=0)
    assert fit(wanted, found, 0) != first


@pytest.mark.parametrize("normalize", ["dataset", "mean_image", "unit", "none"])
def test_save_and_load(tmp_path: Path, normalize: str) -> None:
    saved = fit(config(normalize=normalize, resize="pad"), dataset(IMAGES), 0)
    saved.save(tmp_path)
    loaded = Preprocessing.load(tmp_path)
    assert loaded == saved
    pixels = IMAGES.astype(np.float32)
    np.testing.assert_array_equal(loaded.apply(pixels, np), saved.apply(pixels, np))
    assert (tmp_path / "mean.npy").exists() == (normalize == "mean_image")
    assert json.loads((tmp_path / "preprocessing.json").read_text())["schema"] == 1


def test_load_of_nothing_and_of_another_schema(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="preprocessing.json does not exist"):
        Preprocessing.load(tmp_path)
    (tmp_path / "preprocessing.json").write_text('{"schema": 2}')
    with pytest.raises(UserError, match="has schema 2; this kerasnets reads 1"):
        Preprocessing.load(tmp_path)


def test_describe() -> None:
    definition = Preprocessing((224, 200), 3, "crop", 0.875, (1.0, 2.0, 3.5), (4.0, 5.0, 6.0))
    assert definition.describe() == (
        "8-bit RGB pixels 0..255; scaled to cover 224 x 200 / 0.875, central crop (antialiased); "
        "minus (1, 2, 3.5); divided by (4, 5, 6)."
    )
