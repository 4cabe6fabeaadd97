"""`kerasnets benchmark telemetry`: what it reports hangs together; timings themselves are not judged."""

import json

import pytest
from click.testing import CliRunner
from small_runs import FLOAT32

from kerasnets.benchmark.command import benchmark
from kerasnets.benchmark.telemetry import run_size
from kerasnets.errors import UserError

TINY = (
    *("digits-resnet20", "model.blocks=[1, 1, 1]", "data.image_size=8", "data.channels=1", "training.batch_size=8"),
    FLOAT32,
)


def run(*words: str) -> str:
    done = CliRunner().invoke(benchmark, ["telemetry", *words], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


@pytest.mark.slow
def test_one_json_document_whose_share_follows_from_its_ratios() -> None:
    found = json.loads(run(*TINY, "--rounds", "3", "--steps", "5000", "--json"))["telemetry"]
    assert set(found) == {
        *("without", "ordinary", "sampled", "passes", "share", "setup"),
        *("sample_bytes", "samples", "megabytes", "steps"),
    }
    share = ((found["ordinary"] - 1) * 99 + found["sampled"] - 1) / 100 + (found["passes"] - found["sampled"]) / 500
    assert found["share"] == pytest.approx(share)
    assert found["samples"] == 50
    assert found["megabytes"] == pytest.approx(50 * found["sample_bytes"] / 1e6)


def test_nothing_to_measure_is_said() -> None:
    with pytest.raises(UserError, match="telemetry.every is 0"):
        run(*TINY, "telemetry.every=0")


@pytest.mark.parametrize("sample_bytes", [10_000, 165_000, 2_000_000])
@pytest.mark.parametrize("steps", [1_000, 39_100, 1_000_000])
def test_no_run_exceeds_the_limit(sample_bytes: int, steps: int) -> None:
    samples, size = run_size(sample_bytes, steps, 100, 50e6)
    assert size == samples * sample_bytes <= 50e6
    assert samples <= steps // 100
