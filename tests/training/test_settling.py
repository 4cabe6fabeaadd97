"""`auto` and `find`: what is chosen from measurements, and that the run is then as if it had been given the number."""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from small_runs import SMALL

from kerasnets import config as configs
from kerasnets.errors import UserError
from kerasnets.run import Run
from kerasnets.training import batch_size, range_test
from kerasnets.training.settling import check_settled
from kerasnets.training.trials import OutOfMemory

Train = Callable[[Path, list[str]], Run]
QUIET = [
    *("telemetry.every=0", "telemetry.images=false", "telemetry.pr_curves=false", "telemetry.graph=false"),
    *("telemetry.embeddings=0", "telemetry.doctor=false"),
]


class Scripted:
    """Answers as a machine would whose speeds are known; sizes above `most` do not fit."""

    def __init__(self, speeds: dict[int, Sequence[float]], most: int = 1024) -> None:
        self._speeds = {size: list(values) for size, values in speeds.items()}
        self._most = most
        self.asked: list[int] = []

    def ask(self, what: str, *, size: int) -> Iterator[dict[str, Any]]:
        assert what == "batch_size"
        self.asked.append(size)
        if size > self._most:
            raise OutOfMemory
        values = self._speeds[size]
        yield {"images_per_second": values.pop(0) if len(values) > 1 else values[0]}


def found(
    speeds: dict[int, Sequence[float]], images: int = 5000, most: int = 1024
) -> tuple[batch_size.Choice, Scripted]:
    machine = Scripted(speeds, most)
    return batch_size.find(machine, images, 1), machine  # type: ignore[arg-type]


def test_sizes_are_powers_of_two_up_to_what_there_is() -> None:
    assert batch_size.sizes(5000, 1) == [8, 16, 32, 64, 128, 256, 512, 1024]
    assert batch_size.sizes(100, 1) == [8, 16, 32, 64]
    assert batch_size.sizes(100, 20) == [32, 64]
    assert batch_size.sizes(5, 1) == [5]


def test_the_smallest_within_five_percent_of_the_best() -> None:
    assert batch_size.choose({8: 50, 16: 94, 32: 96, 64: 100}) == 32
    assert batch_size.choose({8: 99, 16: 94, 32: 100}) == 8


def test_sizes_rise_until_that_does_not_pay(capsys: pytest.CaptureFixture[str]) -> None:
    choice, machine = found({8: [100], 16: [200], 32: [300], 64: [310], 128: [305]})
    assert machine.asked == [8, 16, 32, 64, 128, 128, 64, 32, 16]
    assert choice.batch_size == 32
    assert choice.document()["trials"][2] == {"batch_size": 32, "images_per_second": 300}
    assert capsys.readouterr().err == (
        "batch size   images/s\n"
        "         8        100\n"
        "        16        200\n"
        "        32        300   <- training.batch_size\n"
        "        64        310\n"
        "       128        305\n"
    )


def test_a_size_that_looked_slow_by_chance_is_measured_again() -> None:
    choice, _ = found({8: [100], 16: [200], 32: [170, 298], 64: [300], 128: [301], 256: [301]})
    assert choice.batch_size == 32


def test_what_does_not_fit_is_tried_twice_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    choice, machine = found({8: [100], 16: [150], 32: [200]}, images=50, most=16)
    assert machine.asked == [8, 16, 32, 32, 16, 8]
    assert choice.batch_size == 16
    assert choice.trials[-1] == batch_size.Trial(32, None)
    said = capsys.readouterr().err
    assert "        32   does not fit\n" in said
    assert said.endswith("only 4 steps an epoch: a smaller training.batch_size may learn better\n")


def test_nothing_fits() -> None:
    with pytest.raises(
        UserError, match=r"^training.batch_size=auto: not even 8 images fit into memory; take a smaller "
    ):
        found({}, most=4)


def test_the_range_test_is_as_long_as_the_data_afford() -> None:
    assert [range_test.steps(epoch) for epoch in (3, 45, 80, 5000)] == [60, 90, 160, 200]
    sgd, adam = range_test.rates("sgd", 61), range_test.rates("adamw", 61)
    assert (sgd[0], sgd[10], sgd[-1]) == pytest.approx((1e-5, 1e-4, 10))
    assert (adam[0], adam[-1]) == pytest.approx((1e-6, 1))


def curve(lowest: float = 0.5, plateau: float = 0.0) -> tuple[list[float], np.ndarray]:
    """Return rates, and losses that fall from 2.5 between 1e-3 and 1e-1 and explode beyond 1."""
    rates = range_test.rates("sgd", 121)
    places = np.log10(rates)
    fall = np.clip((places + 3) / 2, 0, 1)
    losses = 2.5 * (lowest / 2.5) ** fall
    losses[places > plateau] = 50.0
    return rates, losses + np.random.default_rng(0).normal(0, 0.05, len(rates)) * losses


def test_the_rate_by_which_most_of_the_fall_is_done() -> None:
    rates, losses = curve()
    assert 0.03 < range_test.choose(rates, losses.tolist()) < 0.12


def test_a_plateau_does_not_draw_the_rate_up() -> None:
    assert 0.03 < range_test.choose(*map(list, curve(plateau=0.9))) < 0.2


def test_nan_and_infinity_are_no_fall() -> None:
    rates, losses = curve()
    losses[-10:] = [np.nan, np.inf] * 5
    assert 0.03 < range_test.choose(rates, losses.tolist()) < 0.12
    assert np.isfinite(range_test.smooth(losses.tolist())).all()


@pytest.mark.parametrize(
    "losses",
    [[2.3] * 60, [2.3, 8.0, 40.0, float("nan")], np.linspace(2.3, 9, 20).tolist()],
    ids=["flat", "at once", "rising"],
)
def test_no_rate_can_be_found(losses: list[float]) -> None:
    with pytest.raises(
        UserError, match=r"^training.learning_rate=find: the loss does not fall at any rate from 1e-05 to "
    ):
        range_test.choose(range_test.rates("sgd", 60)[: len(losses)], losses)


@pytest.mark.parametrize(("key", "word"), [("batch_size", "auto"), ("learning_rate", "find")])
def test_several_workers_need_numbers(key: str, word: str) -> None:
    with pytest.raises(
        UserError, match=rf"^training.{key}={word} is for one machine: with several workers give the numb"
    ):
        check_settled(configs.load("digits-resnet20", [f"training.{key}={word}"]))


def weights(run: Run) -> dict[str, np.ndarray]:
    return {v.path: v.numpy() for v in keras.models.load_model(run.last_model_file).weights}


def history(run: Run) -> list[dict[str, str]]:
    with (run.path / "history.csv").open(newline="") as file:
        return [
            {k: v for k, v in row.items() if k not in ("images_per_second", "seconds")} for row in csv.DictReader(file)
        ]


@pytest.mark.slow
def test_a_run_that_finds_its_numbers_is_the_run_that_is_given_them(tmp_path: Path, train_small: Train) -> None:
    few = [*SMALL, *QUIET, "data.validation_split=0.9", "data.augment.flip=true"]  # 180 images to train on
    run = train_small(tmp_path / "found", [*few, "training.batch_size=auto", "training.learning_rate=find"])
    size, rate = run.config.training.batch_size, run.config.training.learning_rate
    document = json.loads((run.path / "batch_size.json").read_text())
    assert document["schema"] == 1 and document["batch_size"] == size
    assert [trial["batch_size"] for trial in document["trials"]][:3] == [8, 16, 32]
    rows = run.read_rows("learning_rate.csv")
    assert 20 < len(rows) <= 60 and float(rows[0]["learning_rate"]) == pytest.approx(1e-5)
    assert 1e-4 < float(rate) < 1 and float(rows[0]["loss"]) > 2
    assert f"chosen: {rate:g}" in (run.path / "report.html").read_text()
    given = [*few, f"training.batch_size={size}", f"training.learning_rate={rate}"]
    other = train_small(tmp_path / "given", given)
    assert run.config == other.config
    for path, value in weights(run).items():
        np.testing.assert_array_equal(weights(other)[path], value, err_msg=path)
    assert history(run) == history(other)


@pytest.mark.slow
def test_a_process_of_trials_that_runs_out_of_memory(tmp_path: Path, train_small: Train) -> None:
    words = [*SMALL, "data.image_size=96", "training.epochs=1", "training.batch_size=1024", "training.max_memory=1"]
    with pytest.raises(UserError, match=r"^training.learning_rate=find: 1024 images do not fit into memory; try train"):
        train_small(tmp_path / "run", [*words, "training.learning_rate=find"])
    assert not (tmp_path / "run").exists()
