import pytest

from kerasnets.telemetry import cost


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        *[(0, 100), (40, 100), (43, 100), (44, 200), (65, 200), (66, 400), (77, 800), (83, 1600)],
        *[(85, None), (87, None), (100, None), (1000, None)],
    ],
)
def test_the_interval_doubles_as_the_limit_nears(used: int, expected: int | None) -> None:
    assert cost.interval(100, used, 100.0) == expected


def test_the_interval_never_shrinks() -> None:
    found = [cost.interval(1, used, 1000.0) for used in range(0, 848)]
    assert None not in found
    assert found == sorted(found, key=lambda steps: steps or 0)


@pytest.mark.parametrize("steps", [1_000, 100_000, 3_000_000])
@pytest.mark.parametrize("sample", [3e4, 4e5])
def test_however_long_the_run_the_limit_holds(steps: int, sample: float) -> None:
    """Simulated: a sample at each interval; without histograms it is a twentieth as large."""
    limit, used, step, every, taken = 50e6, 0.0, 0, 100, 0
    histograms = True
    while step < steps:
        step = (step // every + 1) * every
        size = sample if histograms else sample / 20
        used += size if used + size <= limit * cost.SAMPLES else 0
        taken += 1
        wanted = cost.interval(100, int(used), limit)
        histograms &= wanted is not None
        every = wanted or every
    assert used <= limit * cost.SAMPLES
    assert used >= min(0.4 * limit, steps / 100 * sample * 0.9)
    assert taken >= min(steps / 100, 50)


def clock(plain: list[float], sampled: list[float]) -> cost.Clock:
    found = cost.Clock()
    for seconds in plain:
        found.step(seconds, touched=False)
    for seconds in sampled:
        found.step(seconds, touched=True)
    return found


def test_the_share_is_what_sampled_steps_take_beyond_the_usual() -> None:
    assert clock([0.1] * 98, [0.15, 0.2]).share == pytest.approx(0.15 / (9.8 + 0.35))


def test_a_faster_sample_is_no_gain() -> None:
    assert clock([0.1] * 9, [0.05]).share == 0


@pytest.mark.parametrize(("plain", "sampled"), [([], []), ([0.1], []), ([], [0.1])])
def test_nothing_to_compare_has_no_share(plain: list[float], sampled: list[float]) -> None:
    assert clock(plain, sampled).share is None


def test_setup_is_the_tracing_of_sampled_steps_alone() -> None:
    found = cost.Clock()
    found.first(3.0, sampled=False)
    found.first(2.0, sampled=True)
    found.first(1.0, sampled=True)
    assert found.setup == 3.0
    assert found.share is None
