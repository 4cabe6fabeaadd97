"""What `Recorder` writes is what `Record` reads, also when the run was killed in between."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from kerasnets.errors import UserError
from kerasnets.telemetry.record import ACTIVATION, EXTRAS, GRADIENT, STATISTICS, UPDATE, Layers, Record, Recorder

LAYERS = Layers(
    variables=("conv/kernel", "conv/bias", "logits/kernel"),
    activations={"relu": "relu", "logits": "linear"},
    heads=("low", "logits"),
    main_head="logits",
    every=100,
    steps_per_epoch=45,
    clipping=True,
)


def row(value: float, **extras: float) -> dict[str, float]:
    return {name: value + place for place, name in enumerate(STATISTICS)} | extras


def recorded(directory: Path) -> Recorder:
    recorder = Recorder(directory, LAYERS)
    for step in (1, 20):
        recorder.statistics(step, GRADIENT, [(name, row(step / 8)) for name in LAYERS.variables])
        recorder.statistics(step, UPDATE, [("conv/kernel", row(0.5, ratio=1e-3)), ("conv/bias", row(0.5))])
    recorder.statistics(20, ACTIVATION, [("relu", row(0.0, dead=0.25, dead_epoch=0.0)), ("logits", row(1.0))])
    recorder.steps([(1, 2.5, 0.5, 0.1, 2.0), (2, 2.25, float("nan"), 0.1, None)])
    return recorder


def test_round_trip(tmp_path: Path) -> None:
    recorded(tmp_path / "telemetry")
    record = Record.open(tmp_path / "telemetry")
    assert record is not None
    assert record.layers == LAYERS
    assert set(record.kinds) == {GRADIENT, UPDATE, ACTIVATION}
    gradient = record.kinds[GRADIENT]
    assert gradient.steps.tolist() == [1, 20]
    assert gradient.names == LAYERS.variables
    assert gradient["mean"].tolist() == [[0.125] * 3, [2.5] * 3]
    assert gradient["inf"].tolist() == [[7.125] * 3, [9.5] * 3]
    assert np.isnan(gradient["ratio"]).all()
    np.testing.assert_allclose(record.kinds[UPDATE]["ratio"], [[1e-3, np.nan]] * 2)
    np.testing.assert_array_equal(record.kinds[ACTIVATION]["dead"], np.array([[0.25, np.nan]], np.float32))
    steps = record.steps
    assert steps.step.tolist() == [1, 2]
    assert steps.loss.tolist() == [2.5, 2.25]
    np.testing.assert_array_equal(steps.gradient_norm, [0.5, np.nan])
    np.testing.assert_array_equal(steps.inference_loss, [2.0, np.nan])


def test_the_tables_have_these_columns(tmp_path: Path) -> None:
    recorded(tmp_path)
    assert json.loads((tmp_path / "layers.json").read_text())["schema"] == 1
    with (tmp_path / "statistics.csv").open(newline="") as file:
        assert next(csv.reader(file)) == ["step", "kind", "name", *STATISTICS, *EXTRAS]
    with (tmp_path / "steps.csv").open(newline="") as file:
        assert next(csv.reader(file)) == ["step", "loss", "gradient_norm", "learning_rate", "inference_loss"]


def test_only_keeps_the_names_that_end_so(tmp_path: Path) -> None:
    recorded(tmp_path)
    record = Record.open(tmp_path)
    assert record is not None
    kernels = record.kinds[GRADIENT].only("/kernel")
    assert kernels.names == ("conv/kernel", "logits/kernel")
    assert kernels["std"].shape == (2, 2)


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_last_line_that_a_kill_cut_off_is_left_out(cut: int, tmp_path: Path) -> None:
    recorded(tmp_path)
    for name in ("statistics.csv", "steps.csv"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[: -min(cut, 10 if name == "steps.csv" else cut)])
    record = Record.open(tmp_path)
    assert record is not None
    assert record.kinds[ACTIVATION].names == ("relu",)
    assert record.steps.step.tolist() == [1]


def test_a_run_that_was_stopped_before_its_first_sample(tmp_path: Path) -> None:
    assert Record.open(tmp_path) is None
    Recorder(tmp_path, LAYERS)
    record = Record.open(tmp_path)
    assert record is not None
    assert record.kinds == {}
    assert len(record.steps.loss) == 0


def test_tables_that_are_not_there_yet(tmp_path: Path) -> None:
    Recorder(tmp_path, LAYERS)
    for name in ("statistics.csv", "steps.csv"):
        (tmp_path / name).unlink()
    record = Record.open(tmp_path)
    assert record is not None and record.kinds == {} and record.steps.step.tolist() == []


def test_opened_again_it_goes_on_under_one_header_or_begins_anew(tmp_path: Path) -> None:
    recorded(tmp_path)
    Recorder(tmp_path, LAYERS).steps([(3, 2.0, 0.5, 0.1, None)])
    record = Record.open(tmp_path)
    assert record is not None
    assert record.steps.step.tolist() == [1, 2, 3]
    Recorder(tmp_path, LAYERS, anew=True).steps([(1, 2.0, 0.5, 0.1, None)])
    record = Record.open(tmp_path)
    assert record is not None
    assert record.steps.step.tolist() == [1]
    assert record.kinds == {}


def test_names_with_commas_quotes_and_other_letters(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, LAYERS)
    name = 'block "a", b/猫/kernel'
    recorder.statistics(1, "head:a,b", [(name, row(1.0))])
    record = Record.open(tmp_path)
    assert record is not None
    assert record.kinds["head:a,b"].names == (name,)


def test_damaged_lines_are_left_out_and_the_later_of_two_holds(tmp_path: Path) -> None:
    recorder = recorded(tmp_path)
    recorder.statistics(20, GRADIENT, [("conv/kernel", row(9.0))])
    recorder.steps([(2, 1.5, 0.5, 0.1, None)])
    with (tmp_path / "statistics.csv").open("a") as file:
        file.write(f"{'9' * 5000},gradient,conv/kernel,{','.join(['0'] * 12)}\n20,gradient,conv/kernel,1\n")
        file.write(f"20,gradient,{'x' * 200_000},{','.join(['0'] * 12)}\n")
    with (tmp_path / "steps.csv").open("a") as file:
        file.write("nan,1,1,1,1\n3,x,1,1,1\n")
    record = Record.open(tmp_path)
    assert record is not None
    gradient = record.kinds[GRADIENT]
    assert gradient.names == LAYERS.variables
    assert gradient["mean"].tolist() == [[0.125] * 3, [9.0, 2.5, 2.5]]
    assert record.steps.step.tolist() == [1, 2]
    assert record.steps.loss.tolist() == [2.5, 1.5]


def test_a_table_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    recorder = recorded(tmp_path)
    for step in range(1000):
        recorder.statistics(step, GRADIENT, [(f"tensor{step}", row(1.0))])
    record = Record.open(tmp_path)
    assert record is not None
    with pytest.raises(UserError, match=r"statistics.csv is damaged: its rows of kind 'gradient' name 1,003 tensors$"):
        _ = record.kinds


def test_lines_end_where_the_recorder_ends_them(tmp_path: Path) -> None:
    Recorder(tmp_path, LAYERS).statistics(1, GRADIENT, [("a\u2028b\x0bc/kernel", row(1.0))])
    record = Record.open(tmp_path)
    assert record is not None and record.kinds[GRADIENT].names == ("a\u2028b\x0bc/kernel",)
