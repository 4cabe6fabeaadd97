"""Order and suppression of findings, what is skipped, runs that are damaged or still training, speed and imports."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from doctor_records import CHANCE, KERNELS, RELUS, USUAL, falling, usual_history, write_run

import kerasnets
from kerasnets.doctor import reader
from kerasnets.doctor.diagnose import examine
from kerasnets.doctor.reader import KEPT, Reader, read
from kerasnets.doctor.rules import RULES
from kerasnets.errors import UserError
from kerasnets.telemetry.record import Recorder

NAMES = [rule.name for rule in RULES]


def test_names_are_unique_and_rules_say_why() -> None:
    assert len(set(NAMES)) == len(NAMES)
    for rule in RULES:
        assert rule.why.endswith(".")
        assert rule.looks_at


def test_a_rule_explains_only_what_comes_after_it() -> None:
    for place, rule in enumerate(RULES):
        assert set(rule.explains) <= set(NAMES[place + 1 :]), rule.name


def test_the_root_is_first_and_consequences_are_left_out(tmp_path: Path) -> None:
    loss = [CHANCE] * 5 + [80.0] * 45 + [CHANCE] * 550
    sick = {"update": {name: {**USUAL, "ratio": 2.0} for name in KERNELS}}
    dead = {"activation": {name: {**USUAL, "dead": 0.9, "dead_epoch": 0.9} for name in RELUS}}
    run = write_run(tmp_path / "run", ["model.normalization=none"], loss=loss, kinds={50: sick, 100: {**sick, **dead},
                    200: {**sick, **dead}, 300: {**sick, **dead}})  # fmt: skip
    diagnosis = examine(read(run.path, run.config))
    assert [finding.rule for finding in diagnosis.findings] == ["learning_rate_too_high", "dead_relu"]
    assert diagnosis.explained == {
        "update_ratio_too_large": "learning_rate_too_high",
        "loss_not_decreasing": "learning_rate_too_high",
    }


def test_without_telemetry_rules_are_skipped_with_a_reason(tmp_path: Path) -> None:
    history = {**usual_history(), "val_accuracy": [0.4] * 6, "val_loss": [2.5] * 6}
    run = write_run(tmp_path / "run", telemetry=False, history=history)
    diagnosis = examine(read(run.path, run.config))
    assert [finding.rule for finding in diagnosis.findings] == ["overfitting"]
    assert diagnosis.findings[0].step is None
    assert diagnosis.skipped["vanishing_gradient"] == "sampled gradients"
    assert diagnosis.skipped["dead_relu"] == "sampled activations (telemetry.activations)"
    assert diagnosis.skipped["learning_rate_too_high"] == "telemetry/steps.csv"
    assert len(diagnosis.skipped) == 18


def test_a_run_that_has_just_begun(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", telemetry=False, finished=False, history={})
    (run.path / "history.csv").unlink()
    diagnosis = examine(read(run.path, run.config))
    assert diagnosis.findings == ()
    assert set(diagnosis.waiting) == {rule.name for rule in RULES if rule.at_end}


def test_rules_on_the_end_wait_for_it(tmp_path: Path) -> None:
    short = {key: values[:3] for key, values in usual_history().items()}
    loss = [CHANCE] * 300
    unfinished = write_run(tmp_path / "a", finished=False, history=short, loss=loss)
    assert examine(read(unfinished.path, unfinished.config)).findings == ()
    stopped_early = write_run(tmp_path / "b", history=short, loss=loss)
    found = examine(read(stopped_early.path, stopped_early.config)).findings
    assert [finding.rule for finding in found] == ["loss_not_decreasing"]


def test_lines_that_a_kill_cut_off_are_left_out(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    before = read(run.path, run.config)
    for name, cut in (
        ("statistics.csv", "400,gradient,conv0/ke"),
        ("steps.csv", "601,0.1"),
        ("../history.csv", "7,0.0"),
    ):
        with (run.path / "telemetry" / name).open("a") as file:
            file.write(cut)
    after = read(run.path, run.config)
    assert after.damaged == before.damaged == 0
    assert after.epochs == 6
    assert after.steps is not None
    assert after.steps.step[-1] == 600


def test_lines_damaged_in_the_middle_are_counted(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    with (run.path / "telemetry" / "statistics.csv").open("a") as file:
        file.write("400,gradient,conv0/ke400,gradient,conv0/kernel,0,0,0,0,0,0,0,0,,,,\nwhat,is,this\n")
    with (run.path / "telemetry" / "steps.csv").open("a") as file:
        file.write("601,0.1x,1,0.1,\n")
    assert read(run.path, run.config).damaged == 3


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("telemetry/layers.json", '{"schema": 1, "vari', "layers.json is damaged: EOF while parsing a string"),
        ("telemetry/layers.json", '{"schema": 1}', "layers.json is damaged: variables: field required"),
        ("history.csv", "epoch,loss\n1,what\n", "history.csv is damaged: could not convert string to float: 'what'"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    run = write_run(tmp_path / "run")
    (run.path / name).write_text(content)
    with pytest.raises(UserError, match=message):
        kerasnets.diagnose(run)


def test_diagnose_takes_runs_and_paths(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", counts=(500, *[100] * 8, 10))
    for given in (run, run.path, str(run.path)):
        (found,) = kerasnets.diagnose(given)
        assert found.rule == "class_imbalance"
    with pytest.raises(UserError, match="does not exist"):
        kerasnets.diagnose(tmp_path / "nothing")


def test_the_json_form(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", counts=(500, *[100] * 8, 10))
    (found,) = kerasnets.diagnose(run)
    assert found.document() == {
        "rule": "class_imbalance",
        "severity": "warning",
        "layers": ["9"],
        "step": None,
        "summary": "class '0' has 500 training images, '9' 10: 50 times as many",
        "evidence": {"most": 500.0, "least": 10.0, "ratio": 50.0, "rare_classes": 1.0},
        "cause": "The loss is a mean over images, so a class with few of them counts for little and is learnt last. "
        "Accuracy hides it, since validation has the same proportions.",
        "remedy": ["training.class_weights=balanced"],
        "plot": None,
    }
    json.dumps(found.document(), allow_nan=False)


def test_a_step_that_a_resumed_run_wrote_twice_counts_once(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    with (run.path / "telemetry" / "steps.csv").open("a") as file:
        file.write("599,0.5,1,0.1,\n600,0.4,1,0.1,\n")
    steps = read(run.path, run.config).steps
    assert steps is not None
    assert len(steps.step) == 600
    assert steps.loss[-2:].tolist() == [0.5, 0.4]


def test_long_runs_are_thinned(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    recorder = Recorder(run.path / "telemetry", read(run.path, run.config).layers)  # type: ignore[arg-type]
    for step in range(400, 400 + 100 * 1000, 100):
        recorder.statistics(step, "gradient", [(name, {**USUAL, "std": step}) for name in KERNELS])
    series = read(run.path, run.config).kinds["gradient"]
    assert KEPT / 2 <= len(series.steps) <= 2 * KEPT
    assert series.steps[-1] > 400 + 100 * 950
    assert (np.diff(series.steps) > 0).all()
    np.testing.assert_array_equal(series["std"][-1], series.steps[-1])


def test_reading_on_equals_reading_anew(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", loss=falling(600))
    growing = Reader(run.path, run.config)
    growing.read()
    Recorder(run.path / "telemetry", read(run.path, run.config).layers).statistics(  # type: ignore[arg-type]
        400, "gradient", [(name, USUAL) for name in KERNELS]
    )
    with (run.path / "telemetry" / "steps.csv").open("a") as file:
        file.write("601,0.1,1,0.1,0.2\n")
    after, anew = growing.read(), read(run.path, run.config)
    assert after.steps is not None
    assert anew.steps is not None
    np.testing.assert_array_equal(after.steps.loss, anew.steps.loss)
    assert after.kinds.keys() == anew.kinds.keys()
    for kind, series in anew.kinds.items():
        np.testing.assert_array_equal(after.kinds[kind].steps, series.steps)
        np.testing.assert_array_equal(after.kinds[kind]["std"], series["std"])


def test_no_heavy_import() -> None:
    code = (
        "import sys; import kerasnets.doctor.command, kerasnets.doctor.live, kerasnets.doctor.plots; "
        "print([name for name in ('tensorflow', 'keras', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_diagnosis_takes_no_time(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    evidence = reader.read(run.path, run.config)
    began = time.perf_counter()
    examine(evidence)
    assert time.perf_counter() - began < 0.5
