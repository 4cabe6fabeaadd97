import io

import numpy as np
import pytest
from PIL import Image

from kerasnets.telemetry import pictures
from kerasnets.telemetry.pictures.classes import most_confused
from kerasnets.telemetry.record import STATISTICS, Series

RED, GREY = (214, 37, 47), (228, 231, 235)


def pixels(picture: bytes) -> np.ndarray:
    """Return uint8 `[H, W, 3]`, having checked that it is a small picture of a size that reads well."""
    image = Image.open(io.BytesIO(picture))
    assert 400 <= image.width <= 900 and 100 <= image.height <= 850
    assert len(picture) < 75_000
    return np.asarray(image.convert("RGB"))


def share(found: np.ndarray, colour: tuple[int, int, int]) -> float:
    """Return the share of a picture's pixels that are nearly of one colour."""
    return float((np.abs(found.astype(int) - colour).max(axis=-1) <= 4).mean())


def gradients(std: np.ndarray) -> Series:
    """Return a series of `[T, L]`; NaN in `std` is not measured."""
    values = {name: np.zeros(std.shape, np.float32) for name in STATISTICS} | {"std": std.astype(np.float32)}
    names = tuple(f"conv{place}/kernel" for place in range(std.shape[1]))
    return Series(np.arange(1, len(std) + 1) * 100, names, values)


def luminance(found: np.ndarray) -> np.ndarray:
    return found @ np.array([0.2126, 0.7152, 0.0722])


def test_vanishing_gradients_fade_towards_the_input() -> None:
    depth = np.arange(30)
    vanishing = pixels(pictures.depth_profile(gradients(np.tile(1e-2 * 2.0 ** (depth - 29), (20, 1)))))
    column = luminance(vanishing)[70:470, 300]  # viridis: the smaller, the darker
    rows = column[:: len(column) // 30]
    assert np.all(np.diff(rows) > -12) and rows[-1] - rows[0] > 100
    even = pixels(pictures.depth_profile(gradients(np.full((20, 30), 1e-3))))
    assert np.ptp(luminance(even)[70:470, 300]) < 5


def test_many_layers_and_samples_stay_small() -> None:
    std = np.exp(np.random.default_rng(0).normal(-7, 0.2, (3000, 155)))
    assert pixels(pictures.depth_profile(gradients(std))).shape[1] == 680


def test_one_sample_of_one_layer() -> None:
    assert share(pixels(pictures.depth_profile(gradients(np.array([[1e-3]])))), (255, 255, 255)) < 0.95


def test_nonfinite_gradients_are_red() -> None:
    series = gradients(np.full((10, 8), 1e-3))
    assert share(pixels(pictures.depth_profile(series)), RED) < 0.001
    series["nan"][5:] = 3
    series["std"][5:, 2:] = np.nan
    assert share(pixels(pictures.depth_profile(series)), RED) > 0.1
    series["std"][:] = np.nan
    assert share(pixels(pictures.depth_profile(series)), RED) > 0.1


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_no_gradient_to_draw(value: float) -> None:
    found = pixels(pictures.depth_profile(gradients(np.full((5, 6), value))))
    assert 0.9 < share(found, (255, 255, 255)) < 0.999  # title and a remark


def test_gradients_of_a_huge_range() -> None:
    pixels(pictures.depth_profile(gradients(np.array([[1e-38, 1e-3, 1e38]]))))


def test_dead_units_are_red() -> None:
    alive, dead = np.linspace(0, 0.9, 64), np.linspace(0.5, 2, 64).clip(max=1)
    assert share(pixels(pictures.dead_units({"a_relu": alive, "b_relu": alive})), RED) < 0.01
    third = share(pixels(pictures.dead_units({"a_relu": alive, "b_relu": dead})), RED)
    all_of_it = share(pixels(pictures.dead_units({"a_relu": alive, "b_relu": np.ones(3)})), RED)
    assert third == pytest.approx(all_of_it * 43 / 64, rel=0.15)


def test_dead_units_that_were_not_measured_are_grey() -> None:
    assert share(pixels(pictures.dead_units({"a_relu": np.full(16, np.nan), "b_relu": np.zeros(3)})), GREY) > 0.1


@pytest.mark.parametrize("layers", [0, 1, 150])
def test_dead_units_of_any_depth(layers: int) -> None:
    pixels(
        pictures.dead_units({f"conv{place}_relu": np.random.default_rng(place).random(64) for place in range(layers)})
    )


def test_confusion_is_normalised_by_rows() -> None:
    few = pixels(pictures.confusion(np.array([[9, 1], [0, 10]]), ["cat", "dog"]))
    many = pixels(pictures.confusion(np.array([[900, 100], [0, 10]]), ["cat", "dog"]))
    assert few.shape == many.shape
    top = slice(62, 430)
    assert (few[top] == many[top]).all(axis=-1).mean() > 0.97  # all but the numbers


def test_confusion_of_no_images() -> None:
    pixels(pictures.confusion(np.zeros((3, 3), int), ["a", "b", "c"]))


def test_confusion_of_many_classes_shows_the_most_confused() -> None:
    counts = np.diag(np.full(100, 50))
    counts[3, 90] = counts[40, 7] = 5
    assert set(most_confused(counts, 4)) == {3, 7, 40, 90}
    assert most_confused(counts[:20, :20], 25).tolist() == list(range(20))
    assert pixels(pictures.confusion(counts, [f"class {place}" for place in range(100)])).shape[1] > 640


def test_names_that_could_trip_the_drawing() -> None:
    names = ["$x^2", "tab\tand\nbreak", "猫", "a very long class name that goes on, Felis catus domestica", ""]
    pixels(pictures.confusion(np.eye(5, dtype=int), names))
    images = np.zeros((5, 8, 8, 1), np.uint8)
    pixels(pictures.mistakes(images, range(5), [1, 2, 3, 4, 0], [0.5] * 5, names))


def test_mistakes_show_the_images() -> None:
    images = np.zeros((25, 8, 8, 3), np.uint8)
    images[:, :, 4:] = (255, 128, 0)
    found = pixels(pictures.mistakes(images, [0] * 25, [1] * 25, [0.9] * 25, ["cat", "dog"]))
    half = 25 * 96 * 48 / found[..., 0].size
    assert share(found, (255, 128, 0)) == pytest.approx(half, rel=0.03)
    assert share(found, (0, 0, 0)) == pytest.approx(half, rel=0.03)


def test_mistakes_of_photographs_stay_small() -> None:
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (25, 14, 14, 3), np.uint8)
    photographs = [np.asarray(Image.fromarray(x).resize((320, 200), Image.Resampling.BICUBIC)) for x in coarse]
    picture = pictures.mistakes(photographs, [0] * 25, [1] * 25, [0.9] * 25, ["cat", "dog"])
    assert Image.open(io.BytesIO(picture)).format == "JPEG"
    pixels(picture)


def test_no_mistakes_and_no_probability() -> None:
    pixels(pictures.mistakes([], [], [], [], ["cat", "dog"]))
    pixels(pictures.mistakes([np.zeros((8, 8, 1), np.uint8)], [0], [1], [float("nan")], ["cat", "dog"]))


def test_pyplot_is_untouched() -> None:
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    pictures.confusion(np.eye(2, dtype=int), ["cat", "dog"])
    assert pyplot.get_fignums() == before
