"""Statistics on the device, against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from kerasnets.telemetry.record import STATISTICS
from kerasnets.telemetry.statistics import (
    BUCKETS,
    SAMPLE,
    SATURATION,
    describe,
    first_images,
    saturated_share,
    silent_channels,
)


def described(x: np.ndarray) -> dict[str, float]:
    moments, _ = describe([tf.constant(x)])
    return dict(zip(STATISTICS, moments.numpy()[0].tolist(), strict=True))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_moments_are_numpys(dtype: str) -> None:
    x = tf.cast(np.random.default_rng(0).normal(3, 2, (7, 5, 4)), dtype)
    x = tf.where(x > 4.5, tf.zeros_like(x), x)
    exact = tf.cast(x, tf.float64).numpy()
    found = dict(zip(STATISTICS, describe([x])[0].numpy()[0].tolist(), strict=True))
    assert found == pytest.approx(
        {
            **{"mean": exact.mean(), "std": exact.std(), "l2": np.linalg.norm(exact), "min": exact.min()},
            **{"max": exact.max(), "zeros": (exact == 0).mean(), "nan": 0, "inf": 0},
        },
        rel=1e-5,
    )


def test_what_is_not_finite_is_counted_and_left_out() -> None:
    x = np.array([1, np.nan, 3, np.inf, -np.inf, 0, np.nan], np.float32)
    assert described(x) == pytest.approx(
        {"mean": 4 / 3, "std": np.std([1, 3, 0]), "l2": 10**0.5, "min": 0, "max": 3, "zeros": 1 / 3, "nan": 2, "inf": 2}
    )


def test_nothing_finite_gives_zeros() -> None:
    found = described(np.array([np.nan, np.inf], np.float32))
    assert found == {name: float(name in ("nan", "inf")) for name in STATISTICS}


@pytest.mark.parametrize("size", [1e30, 3e38, 1e-30, 1e-38])
def test_squares_neither_overflow_nor_vanish(size: float) -> None:
    x = np.array([1, -0.5, 0.25, 0.5], np.float32) * np.float32(size)
    exact = x.astype(np.float64)
    found = described(x)
    assert found["std"] == pytest.approx(exact.std(), rel=1e-4)
    assert found["l2"] == pytest.approx(min(np.linalg.norm(exact), np.inf), rel=1e-4) or size == 3e38
    _, counts = describe([tf.constant(x)])
    assert counts.numpy().sum() == 4


def test_std_of_near_equal_entries_is_not_lost_in_rounding() -> None:
    x = (1 + 1e-4 * np.random.default_rng(0).normal(size=1000)).astype(np.float32)
    assert described(x)["std"] == pytest.approx(x.astype(np.float64).std(), rel=1e-2)


def test_histogram_is_numpys() -> None:
    x = np.random.default_rng(1).normal(size=(40, 30)).astype(np.float32)
    _, counts = describe([tf.constant(x)])
    expected, _ = np.histogram(x, BUCKETS)
    assert np.abs(counts.numpy()[0] - expected).sum() <= 4  # an entry at an edge may fall to either side
    assert counts.numpy().sum() == x.size


def test_histogram_of_equal_entries_is_one_bucket() -> None:
    assert describe([tf.fill([5], 2.0)])[1].numpy()[0].tolist() == [5] + [0] * (BUCKETS - 1)


def test_tensors_longer_than_a_row() -> None:
    rng = np.random.default_rng(3)
    tensors = [rng.normal(place, 1, size).astype(np.float32) for place, size in enumerate((1, 256, 257, 5000))]
    moments, counts = describe([tf.constant(x) for x in tensors])
    assert moments.numpy()[:, 0] == pytest.approx([x.mean() for x in tensors], rel=1e-4)
    assert moments.numpy()[:, 1] == pytest.approx([x.std() for x in tensors], rel=1e-4, abs=1e-6)
    assert counts.numpy().sum(axis=1).tolist() == [1, 256, 257, 5000]
    assert not moments.numpy()[:, 6:].any()


def test_tensors_of_mixed_shapes_keep_their_order() -> None:
    tensors = [tf.fill([3], 1.0), tf.fill([2, 2], 2.0), tf.fill([3], 3.0), tf.fill([], 4.0), tf.fill([2, 2], 5.0)]
    moments, counts = describe(tensors)
    assert moments.numpy()[:, 0].tolist() == [1, 2, 3, 4, 5]
    assert counts.numpy().sum(axis=1).tolist() == [3, 4, 3, 1, 4]


def test_first_images_keeps_four_at_least() -> None:
    large = tf.zeros([9, 1024, 1024, 1])
    assert first_images(large).shape[0] == 4
    assert first_images(tf.zeros([9, 2, 2, 1])).shape[0] == 9
    assert first_images(tf.zeros([128, 32, 32, 16])).shape[0] == SAMPLE // (32 * 32 * 16) == 16


def test_silent_channels_are_zero_over_the_whole_batch() -> None:
    x = np.zeros((3, 2, 2, 4), np.float32)
    x[2, 1, 0, 1] = 0.1
    x[0, 0, 0, 3] = 5
    assert silent_channels(tf.constant(x)).numpy().tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("function", sorted(SATURATION))
def test_saturated_is_a_slope_below_five_percent_of_the_greatest(function: str) -> None:
    x = tf.linspace(-30.0, 30.0, 200_001)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = {"sigmoid": tf.sigmoid, "tanh": tf.tanh, "softsign": tf.nn.softsign}[function](x)
    slope = tape.gradient(y, x).numpy()
    expected = (slope < 0.05 * slope.max()).mean()
    assert float(saturated_share(y, function)) == pytest.approx(expected, abs=1e-3)
