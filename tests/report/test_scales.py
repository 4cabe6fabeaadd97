"""Numbers and names beside axes."""

import numpy as np
import pytest

from kerasnets.report import curves, scales
from kerasnets.report.picture import shortened


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.25, "0.25"), (1200, "1,200"), (1e-5, "10⁻⁵"), (2e-5, "2·10⁻⁵"), (-3.5, "−3.5"), (0.001, "0.001")],
)
def test_number(value: float, text: str) -> None:
    assert scales.number(value) == text


@pytest.mark.parametrize(
    ("exponent", "text"), [(-4, "10⁻⁴"), (-3, "0.001"), (-1, "0.1"), (0, "1"), (2, "100"), (12, "10¹²")]
)
def test_power(exponent: float, text: str) -> None:
    assert scales.power(exponent) == text


@pytest.mark.parametrize("count", [1, 2, 21, 22, 23, 57, 161])
def test_names_are_evenly_spaced_with_first_and_last(count: int) -> None:
    places = scales.stride(count, 22)
    assert places[0] == 0 and places[-1] == count - 1
    assert len(places) <= 22
    assert len(set(np.diff(places[:-1]))) <= 1
    assert sorted(set(places)) == places
    assert (len(places) == count) == (count <= 22)


def test_layers_keep_what_tells_them_apart() -> None:
    assert scales.layer("conv2_block1_1_conv/kernel") == "conv2_block1_1"
    assert scales.layer("inception_4a_5x5_reduce/kernel") == "4a_5x5_reduce"
    assert shortened("a_very_long_name_of_a_layer_1", 12) == "a_very…yer_1"
    assert shortened("bell\x07", 12) == "bell\ufffd"


def test_a_long_curve_is_drawn_as_means_and_a_noisy_one_with_its_median() -> None:
    at, values = curves.thinned(np.arange(1, 40_001), np.ones(40_000))
    assert len(at) == len(values) <= 1500
    assert np.all(values == 1) and np.all(np.diff(at) > 0)
    spiky = np.ones(500)
    spiky[::20] = 100
    assert np.all(curves.smooth(spiky) == 1)
    assert np.isnan(curves.smooth(np.full(100, np.nan))).all()
