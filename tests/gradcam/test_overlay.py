"""Heat goes back to where in the image it came from, whatever the resize did."""

import numpy as np
import pytest

from kerasnets.data.preprocessing import Preprocessing, Resize
from kerasnets.gradcam import overlay


def preprocessing(resize: Resize, ratio: float = 1.0) -> Preprocessing:
    return Preprocessing((32, 24), 1, resize, ratio, (0.0,), (1.0,))


@pytest.mark.parametrize("size", [(90, 160), (160, 90), (64, 48), (20, 11)])
@pytest.mark.parametrize("how", [preprocessing("squash"), preprocessing("pad"), preprocessing("crop", 0.8)])
def test_a_mark_is_found_where_it_was(how: Preprocessing, size: tuple[int, int]) -> None:
    image = np.zeros((*size, 1), np.float32)
    rows, columns = (slice(round(side * 0.35), round(side * 0.45) + 1) for side in size)
    image[rows, columns] = 255.0
    heat = overlay.on_image(how.resized(image[None], np)[0, ..., 0] / 255.0, how, size)
    assert heat.shape == size and heat.dtype == np.float32
    places = np.argwhere(heat > 0.75 * np.nanmax(heat))
    centre = np.array([(side.start + side.stop - 1) / 2 for side in (rows, columns)])
    steps = np.array(how.steps(size))
    assert (np.abs(places.mean(axis=0) - centre) <= np.maximum(1.0, 0.6 * steps)).all()


def test_what_a_crop_cuts_off_has_no_heat() -> None:
    found = overlay.on_image(np.ones((2, 2), np.float32), preprocessing("crop", 0.5), (64, 48))
    expected = np.full((64, 48), np.nan, np.float32)
    expected[16:48, 12:36] = 1.0
    np.testing.assert_array_equal(found, expected)


def test_colours_get_lighter_and_hide_more_as_the_heat_grows() -> None:
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[None]
    found = overlay.lay_over(np.full((1, 256, 3), 128, np.uint8), ramp)
    luma = found[0] @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(luma) > -1.0).all() and luma[-1] - luma[0] > 100
    unseen = overlay.lay_over(np.full((1, 1, 1), 200, np.uint8), np.full((1, 1), np.nan))
    assert unseen.tolist() == [[[70, 70, 70]]]
