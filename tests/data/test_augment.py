"""Each change against a slow or independent version of itself."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps
from scipy import stats

from kerasnets.config.data import Augment, ColorJitter, RandomResizedCrop
from kerasnets.data import colour, mix, rand_augment
from kerasnets.data.augment import Augmenter, erase
from kerasnets.data.draws import Draws, shuffled
from kerasnets.data.geometry import pad_crop_flip, windows
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.data.resample import axis_weights, resample

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (6, 16, 18, 3)).astype(np.float32)


def numbers(count: int, draws: int, seed: int = 0) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).random((count, draws), np.float32))


def pictures(pixels: np.ndarray) -> list[Image.Image]:
    return [Image.fromarray(image.astype(np.uint8)) for image in pixels]


class TestDraws:
    def test_a_position_has_its_numbers_in_any_batch(self) -> None:
        draws = Draws(seed=5, stream=1, count=7)
        whole = draws(2, 0, 12).numpy()
        assert whole.shape == (12, 7)
        parts = [draws(2, first, count).numpy() for first, count in ((0, 5), (5, 1), (6, 6))]
        np.testing.assert_array_equal(np.concatenate(parts), whole)

    def test_many_numbers_in_one_operation_are_those_of_small_ones(self) -> None:
        """Large enough for several threads."""
        draws = Draws(seed=5, stream=1, count=64)
        whole = draws(0, 0, 20_000).numpy()
        np.testing.assert_array_equal(draws(0, 19_990, 10).numpy(), whole[19_990:])

    def test_seed_stream_and_epoch_matter(self) -> None:
        found = {
            float(Draws(seed, stream, 1)(epoch, 0, 1)[0, 0]) for seed in (0, 1) for stream in (0, 1) for epoch in (0, 1)
        }
        assert len(found) == 8

    def test_uniform(self) -> None:
        values = Draws(0, 0, 4)(0, 0, 5000).numpy().ravel()
        assert stats.kstest(values, "uniform").pvalue > 0.01


class TestOrder:
    @pytest.mark.parametrize("count", [1, 2, 3, 22, 1000])
    def test_a_permutation_of_its_own_in_every_epoch(self, count: int) -> None:
        positions = tf.range(count, dtype=tf.int64)
        epochs = [shuffled(positions, tf.constant(epoch, tf.int64), count, 0, 1).numpy() for epoch in range(40)]
        assert all(sorted(epoch) == list(range(count)) for epoch in epochs)
        assert len({epoch.tobytes() for epoch in epochs}) >= {1: 1, 2: 2, 3: 4}.get(count, 40)
        assert shuffled(positions[count // 2], tf.constant(7, tf.int64), count, 0, 1) == epochs[7][count // 2]

    def test_seeds_that_are_near_give_other_orders(self) -> None:
        positions, epoch = tf.range(1000, dtype=tf.int64), tf.constant(0, tf.int64)
        assert len({shuffled(positions, epoch, 1000, seed, 1).numpy().tobytes() for seed in range(50)}) == 50

    def test_no_pattern_shows(self) -> None:
        order = shuffled(tf.range(48_000, dtype=tf.int64), tf.constant(0, tf.int64), 48_000, 0, 1).numpy()
        steps = np.diff(order) % 48_000
        assert stats.chisquare(np.bincount(steps * 20 // 48_000, minlength=20)).pvalue > 0.001
        assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.02


class TestGeometry:
    def test_pad_crop_flip(self) -> None:
        draws = numbers(6, 3)
        found = pad_crop_flip(tf.constant(PIXELS), draws, 4, flip=True).numpy()
        for image, (down, right, mirrored), moved in zip(PIXELS, draws.numpy(), found, strict=True):
            image = image[:, ::-1] if mirrored < 0.5 else image
            padded = np.pad(image, ((4, 4), (4, 4), (0, 0)))
            top = int(down * 9)
            left = int(right * 9)
            # A mirrored image moves the other way: its columns are counted from the right.
            left = 8 - left if mirrored < 0.5 else left
            np.testing.assert_array_equal(moved, padded[top : top + 16, left : left + 18])

    def test_every_place_is_as_likely(self) -> None:
        dot = np.zeros((4000, 5, 5, 1), np.float32)
        dot[:, 2, 2] = 1
        found = pad_crop_flip(tf.constant(dot), numbers(4000, 3), 2, flip=True).numpy().sum(axis=0)[..., 0]
        assert stats.chisquare(found.ravel()).pvalue > 0.01

    def test_flip_alone_and_none(self) -> None:
        draws = numbers(6, 3)
        flipped = pad_crop_flip(tf.constant(PIXELS), draws, 0, flip=True).numpy()
        expected = np.where(draws.numpy()[:, 2, None, None, None] < 0.5, PIXELS[:, :, ::-1], PIXELS)
        np.testing.assert_array_equal(flipped, expected)
        np.testing.assert_array_equal(pad_crop_flip(tf.constant(PIXELS), draws, 0, flip=False), PIXELS)

    def test_windows(self) -> None:
        wanted = RandomResizedCrop(scale=(0.2, 0.6), ratio=(0.8, 1.25))
        top, left, tall, wide = (x.numpy() for x in windows(numbers(3000, 4), (100, 120), wanted))
        assert top.min() >= 0 and left.min() >= 0
        assert (top + tall).max() <= 100 + 1e-3 and (left + wide).max() <= 120 + 1e-3
        area = tall * wide / 12000
        assert area.min() == pytest.approx(0.2, abs=0.01) and area.max() == pytest.approx(0.6, abs=0.01)
        ratio = wide / tall
        assert ratio.min() == pytest.approx(0.8, abs=0.01) and ratio.max() == pytest.approx(1.25, abs=0.01)

    def test_a_window_is_the_cut_resized(self) -> None:
        """In its middle, where pixels beside the window have no weight."""
        images = tf.constant(PIXELS[:1])
        rows = axis_weights(16, 4, 8.0, 4.0, tf, tf.reshape(tf.constant(8.0), (1, 1, 1)))
        columns = axis_weights(18, 3, 9.0, 3.0, tf, tf.reshape(tf.constant(10.5), (1, 1, 1)))
        found = resample(images, rows, columns, tf).numpy()
        cut = tf.image.resize(PIXELS[:1, 4:12, 6:15], (4, 3), antialias=True).numpy()
        np.testing.assert_allclose(found[:, 1:3, 1:2], cut[:, 1:3, 1:2], atol=1e-3)


class TestColour:
    @pytest.mark.parametrize("factor", [0.3, 1.0, 1.7])
    def test_blends_are_pillows(self, factor: float) -> None:
        pixels = tf.constant(PIXELS)
        black = tf.zeros_like(pixels)
        pairs = [
            (colour.blend(pixels, black, factor), ImageEnhance.Brightness),
            (colour.blend(pixels, colour.mean_grey(pixels), factor), ImageEnhance.Contrast),
            (colour.blend(pixels, colour.grey(pixels), factor), ImageEnhance.Color),
        ]
        for found, enhancer in pairs:
            expected = np.stack([np.asarray(enhancer(image).enhance(factor)) for image in pictures(PIXELS)])
            assert np.abs(found.numpy() - expected).max() <= 2

    def test_sharpness_is_pillows_inside(self) -> None:
        found = colour.sharpen(tf.constant(PIXELS), 1.5).numpy()
        expected = np.stack([np.asarray(ImageEnhance.Sharpness(image).enhance(1.5)) for image in pictures(PIXELS)])
        assert np.abs(found - expected)[:, 1:-1, 1:-1].max() <= 2

    @pytest.mark.parametrize("high", [256, 60, 1])
    def test_equalize_is_pillows(self, high: int) -> None:
        pixels = RNG.integers(0, high, (4, 40, 30, 3)).astype(np.float32)
        expected = np.stack([np.asarray(ImageOps.equalize(image)) for image in pictures(pixels)])
        np.testing.assert_array_equal(colour.equalize(tf.constant(pixels)).numpy(), expected)

    @pytest.mark.parametrize("high", [256, 60, 1])
    def test_autocontrast_is_pillows(self, high: int) -> None:
        pixels = RNG.integers(0, high, (4, 40, 30, 3)).astype(np.float32)
        expected = np.stack([np.asarray(ImageOps.autocontrast(image)) for image in pictures(pixels)])
        assert np.abs(colour.autocontrast(tf.constant(pixels)).numpy() - expected).max() <= 1

    def test_hue_is_tensorflows(self) -> None:
        found = colour.turn_hue(tf.constant(PIXELS), tf.fill((6, 1, 1, 1), 0.2)).numpy()
        np.testing.assert_allclose(found, tf.image.adjust_hue(PIXELS / 255, 0.2).numpy() * 255, atol=0.1)

    def test_jitter_of_nothing_and_its_range(self) -> None:
        pixels, draws = tf.constant(PIXELS), numbers(6, 4)
        np.testing.assert_array_equal(colour.jitter(pixels, draws, ColorJitter()), PIXELS)
        strong = ColorJitter(brightness=3, contrast=3, saturation=3, hue=0.5)
        found = colour.jitter(pixels, draws, strong).numpy()
        assert found.min() >= 0 and found.max() <= 255.01
        grey = colour.jitter(pixels[..., :1], draws, ColorJitter(saturation=0.5, hue=0.5))
        np.testing.assert_array_equal(grey, PIXELS[..., :1])


class TestRandAugment:
    def apply(self, name: str, sign: float = 1.0, strength: float = 0.3) -> np.ndarray:
        chosen = tf.fill((6,), rand_augment.OPERATIONS.index(name))
        signed = tf.fill((6,), sign * strength)
        found: np.ndarray = rand_augment.apply(tf.constant(PIXELS), chosen, signed, strength, 128.0).numpy()
        return found

    def test_identity(self) -> None:
        np.testing.assert_allclose(self.apply("identity"), PIXELS, atol=1e-3)

    @pytest.mark.parametrize("name", [name for name in rand_augment.OPERATIONS if name != "identity"])
    def test_every_other_operation_changes_pixels(self, name: str) -> None:
        pixels = self.apply(name, strength=0.9)
        assert pixels.shape == PIXELS.shape
        assert pixels.min() >= 0 and pixels.max() <= 255.01
        if name != "autocontrast":  # these pixels fill 0..255 already
            assert np.abs(pixels - PIXELS).max() > 10

    def test_an_image_does_not_depend_on_its_neighbours(self) -> None:
        chosen = tf.constant([2, 9, 3, 8, 5, 12])
        signed = tf.constant([0.3, -0.3, 0.3, -0.3, 0.3, -0.3])
        together = rand_augment.apply(tf.constant(PIXELS), chosen, signed, 0.3, 128.0).numpy()
        for i in range(6):
            alone = rand_augment.apply(tf.constant(PIXELS[i : i + 1]), chosen[i : i + 1], signed[i : i + 1], 0.3, 128.0)
            np.testing.assert_allclose(alone[0], together[i], atol=1e-3)

    @pytest.mark.parametrize(
        ("name", "function"),
        [
            ("solarize", lambda image: ImageOps.solarize(image, round(255 * 0.7) + 1)),
            ("posterize", lambda image: ImageOps.posterize(image, 8 - round(0.3 * 4))),
            ("equalize", ImageOps.equalize),
            ("brightness", lambda image: ImageEnhance.Brightness(image).enhance(1.27)),
            ("color", lambda image: ImageEnhance.Color(image).enhance(1.27)),
        ],
    )
    def test_as_pillow_does(self, name: str, function: object) -> None:
        expected = np.stack([np.asarray(function(image)) for image in pictures(PIXELS)])  # type: ignore[operator]
        assert np.abs(self.apply(name) - expected).max() <= 2

    def test_translate_moves_and_fills(self) -> None:
        found = self.apply("translate_x", strength=0.3)
        assert (found[:, :, -2:] == 128).all()
        assert not (found[:, :, :10] == 128).all()
        down = self.apply("translate_y", -1.0)
        assert (down[:, :2] == 128).all()
        assert not (down[:, 3:] == 128).all()

    def test_rotation_by_the_angle(self) -> None:
        turned = self.apply("rotate", strength=1.0)
        for image, found in zip(pictures(PIXELS), turned, strict=True):
            expected = np.asarray(image.rotate(-30, Image.Resampling.BILINEAR), np.float32)
            np.testing.assert_allclose(found[6:10, 7:11], expected[6:10, 7:11], atol=2)


class TestErasing:
    def test_a_rectangle_becomes_the_mean_colour(self) -> None:
        images = tf.ones((2000, 20, 24, 3))
        found = erase(images, numbers(2000, 5), 0.3).numpy()
        assert set(np.unique(found)) == {0.0, 1.0}
        share = (found == 0).mean(axis=(1, 2, 3))
        assert (share > 0).mean() == pytest.approx(0.3, abs=0.03)
        assert 0.01 < share[share > 0].min() and share.max() < 0.45
        for image in found[share > 0][:20]:
            rows, columns = (image[..., 0] == 0).any(axis=1), (image[..., 0] == 0).any(axis=0)
            assert (image[np.ix_(rows, columns)] == 0).all()

    def test_never_and_always(self) -> None:
        images = tf.ones((50, 20, 24, 1))
        assert (erase(images, numbers(50, 5), 0.0).numpy() == 1).all()
        assert ((erase(images, numbers(50, 5), 1.0).numpy() == 0).any(axis=(1, 2, 3))).all()


class TestMix:
    IMAGES = tf.reshape(tf.range(1.0, 7.0), (6, 1, 1, 1)) * tf.ones((6, 10, 12, 1))
    LABELS = tf.eye(6)

    @pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0.0), (0.0, 1.0), (0.4, 1.0)])
    def test_images_and_labels_are_mixed_alike(self, mixup: float, cutmix: float) -> None:
        images, labels = mix.mixed(self.IMAGES, self.LABELS, numbers(6, mix.DRAWS), mixup, cutmix)
        np.testing.assert_allclose(tf.reduce_sum(labels, axis=1), 1, atol=1e-6)
        means = tf.reduce_mean(images, axis=(1, 2, 3)).numpy()
        np.testing.assert_allclose(means, labels.numpy() @ np.arange(1.0, 7.0), rtol=1e-5)
        for i in range(6):
            assert set(np.flatnonzero(labels[i])) <= {i, i ^ 1}

    def test_cutmix_cuts_a_box_of_the_partner(self) -> None:
        images, _ = mix.mixed(self.IMAGES, self.LABELS, numbers(6, mix.DRAWS), 0.0, 1.0)
        for i, image in enumerate(images.numpy()[..., 0]):
            assert set(np.unique(image)) <= {i + 1.0, (i ^ 1) + 1.0}

    def test_the_last_of_an_odd_number_is_left_as_it_is(self) -> None:
        images, labels = mix.mixed(self.IMAGES[:5], self.LABELS[:5], numbers(5, mix.DRAWS), 1.0, 0.0)
        np.testing.assert_allclose(images[4], self.IMAGES[4], rtol=1e-6)
        np.testing.assert_allclose(labels[4], self.LABELS[4], rtol=1e-6)
        assert not np.allclose(images[:4], self.IMAGES[:4])

    @pytest.mark.parametrize("alpha", [0.2, 1.0])
    def test_share_is_beta(self, alpha: float) -> None:
        quantiles = mix.beta_quantiles(alpha)
        assert stats.kstest(quantiles, stats.beta(alpha, alpha).cdf).statistic < 0.02


def test_colours_change_before_and_moves_after_normalising() -> None:
    """What is erased or comes in from outside is 0 for the model, whatever the mean."""
    definition = Preprocessing((16, 18), 3, "squash", 1.0, (50.0, 60.0, 70.0), (10.0, 10.0, 10.0))
    wanted = Augment(pad_crop=16, color_jitter={"brightness": 0.5}, random_erasing=1.0)
    pixels = tf.fill((8, 16, 18, 3), 200.0)
    zero = tf.constant(0, tf.int64)
    images = Augmenter(wanted, definition, seed=1).changed(pixels, zero, zero)
    inside = images.numpy()[..., 0] != 0
    assert 0 < inside.mean() < 1
    for image, mask in zip(images.numpy(), inside, strict=True):
        assert (image[~mask] == 0).all()
        levels = np.unique((image[mask] * 10 + [50, 60, 70]).round(2))
        assert len(levels) <= 1 and (not mask.any() or 100 <= levels[0] <= 255)


def test_no_augmentation_is_the_preprocessing() -> None:
    definition = Preprocessing((16, 18), 3, "squash", 1.0, (50.0, 60.0, 70.0), (10.0, 20.0, 30.0))
    augmenter = Augmenter(Augment(), definition, 0)
    images = augmenter.changed(tf.constant(PIXELS), 0, 0)
    np.testing.assert_array_equal(images, definition.normalize(PIXELS))
    assert augmenter.mixed(images, tf.eye(6), 0, 0)[0] is images
