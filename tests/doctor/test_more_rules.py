"""What single rules must not be misled by, and rules that need a clock or two runs."""

import math
import os
import time
from pathlib import Path

import doctor_records
import pytest
from doctor_records import CHANCE, KERNELS, RELUS, SAMPLED, USUAL, at_all_steps, falling, usual_history, write_run

from kerasnets.doctor.diagnose import compare, examine
from kerasnets.doctor.finding import Finding
from kerasnets.doctor.reader import read
from kerasnets.run import Run

BARE = "model.normalization=none"


def examined(run: Run) -> dict[str, Finding]:
    return {finding.rule: finding for finding in examine(read(run.path, run.config)).findings}


def idle(run: Run, seconds: float) -> Run:
    then = time.time() - seconds
    for path in run.path.rglob("*"):
        os.utime(path, (then, then))
    return run


def test_a_run_that_stopped_to_write_is_stalled(tmp_path: Path) -> None:
    history = {key: values[:3] for key, values in usual_history().items()}
    run = idle(write_run(tmp_path / "run", finished=False, history=history), 1860)
    found = examined(run)["stalled_training"]
    assert found.summary == (
        "3 of 6 epochs are there, and nothing was written for 31 minutes; the slowest epoch took 10 s"
    )
    assert found.remedy == ("data.workers=1",)


def test_slow_epochs_and_finished_runs_are_not_stalled(tmp_path: Path) -> None:
    short = {key: values[:3] for key, values in usual_history().items()}
    assert "stalled_training" not in examined(idle(write_run(tmp_path / "a", finished=False, history=short), 1740))
    slow = {**short, "seconds": [200.0] * 3}
    assert "stalled_training" not in examined(idle(write_run(tmp_path / "b", finished=False, history=slow), 1860))
    assert "stalled_training" not in examined(idle(write_run(tmp_path / "c"), 10**6))


def test_vanishing_shows_in_biases_where_kernels_hide_it(tmp_path: Path) -> None:
    biases = {f"conv{i}/bias": {**USUAL, "mean": 10.0 ** (i - 9), "std": 0.0} for i in range(len(KERNELS))}
    flat = {name: {**USUAL, "std": 1e-9} for name in KERNELS}
    run = write_run(tmp_path / "run", [BARE], kinds=at_all_steps({"gradient": {**flat, **biases}}))
    found = examined(run)["vanishing_gradient"]
    assert found.evidence["decades"] == pytest.approx(9, abs=0.01)
    assert found.layers == tuple(f"conv{i}/bias" for i in range(7))


def test_a_gradient_that_dead_layers_stop_has_not_vanished(tmp_path: Path) -> None:
    gradients = {name: {**USUAL, "std": 10.0 ** (i - 9)} for i, name in enumerate(KERNELS)}
    dead = {"relu8": {**USUAL, "dead": 1.0, "dead_epoch": 1.0}}
    run = write_run(tmp_path / "run", [BARE], kinds=at_all_steps({"gradient": gradients, "activation": dead}))
    assert "vanishing_gradient" not in examined(run)


def test_an_early_dip_is_not_vanishing(tmp_path: Path) -> None:
    gradients = {name: {**USUAL, "std": 10.0 ** ((i - 9) / 3)} for i, name in enumerate(KERNELS)}
    run = write_run(tmp_path / "run", [BARE], kinds={step: {"gradient": gradients} for step in SAMPLED[:2]})
    assert "vanishing_gradient" not in examined(run)


def test_units_dead_from_the_start_are_blamed_on_the_bias(tmp_path: Path) -> None:
    dead = {name: {**USUAL, "std": 1.0, "dead": 0.6, "dead_epoch": 0.6} for name in RELUS}
    run = write_run(tmp_path / "run", [BARE, "model.bias=-1"], kinds=at_all_steps({"activation": dead}))
    found = examined(run)["dead_relu"]
    assert found.cause.startswith("They are dead from the first step")
    assert found.remedy == ("model.bias=0", "model.normalization=batch", "model.activation=leaky_relu")


def test_units_dead_at_a_first_sample_of_a_later_step_may_have_been_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_records, "SAMPLED", (2, *SAMPLED[1:]))
    dead = {name: {**USUAL, "std": 1.0, "dead": 0.6, "dead_epoch": 0.6} for name in RELUS}
    run = write_run(tmp_path / "run", [BARE, "model.bias=-1"], kinds=at_all_steps({"activation": dead}))
    found = examined(run)["dead_relu"]
    assert found.cause.startswith("They are dead at step 2, so the biases, the input or the updates before it hold")
    assert found.remedy[:2] == ("model.bias=0", "training.learning_rate=0.01")


def test_float16_overflows_in_gradients_are_expected(tmp_path: Path) -> None:
    norms = [1.0] * 600
    norms[40] = math.inf
    kinds = {50: {"gradient": {KERNELS[3]: {**USUAL, "inf": 2.0}}}}
    scaled = write_run(tmp_path / "a", ["training.precision=float16"], norms=norms, kinds=kinds)
    assert "nonfinite_values" not in examined(scaled)
    plain = examined(write_run(tmp_path / "b", norms=norms, kinds=kinds))["nonfinite_values"]
    assert plain.summary == (
        "the norm of the gradient is the first value that is not finite, at step 41; "
        "1 sampled tensors have NaN or Inf at step 50"
    )


def test_what_training_noted_of_nan_is_believed(tmp_path: Path) -> None:
    loss = falling(600)
    loss[80] = loss[200] = math.nan
    run = write_run(tmp_path / "run", loss=loss)
    noted = {"kind": "activation", "layer": "relu3", "action": "rollback"}
    run.write_json("telemetry/nonfinite.json", {"events": [{"step": 81, **noted}, {"step": 201, **noted}]})
    found = examined(run)
    assert list(found) == ["nonfinite_values"]
    assert found["nonfinite_values"].summary == (
        "the activation of relu3 is the first value that is not finite, at step 81; "
        "training went back to earlier weights 2 times"
    )
    assert (found["nonfinite_values"].step, found["nonfinite_values"].layers) == (81, ("relu3",))


def test_warm_up_is_no_plateau(tmp_path: Path) -> None:
    rates = [0.1 * min(1, ((step + 1) / 200) ** 2) for step in range(600)]
    loss = [CHANCE] * 100 + falling(500)
    assert "plateau_then_fall" not in examined(write_run(tmp_path / "run", loss=loss, rates=rates))


def test_class_weights_answer_imbalance(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", ["training.class_weights=balanced"], counts=(500, *[100] * 8, 10))
    assert examined(run) == {}


def test_small_updates_at_the_end_of_a_schedule_are_none(tmp_path: Path) -> None:
    small = {"update": {name: {**USUAL, "ratio": 1e-6} for name in KERNELS}}
    rates = [0.1] * 60 + [1e-4] * 540
    run = write_run(tmp_path / "run", kinds={step: small for step in SAMPLED[2:]}, rates=rates)
    assert examined(run) == {}


def pair(tmp_path: Path, deep_loss: float, *words: str) -> list[Finding]:
    shallow = write_run(tmp_path / "a", ["model.blocks=[1, 1, 1]", "model.residual=false", *words])
    usual = usual_history()
    history = {**usual, "loss": [*usual["loss"][:-2], deep_loss, deep_loss], "accuracy": [0.5] * 6}
    deep = write_run(tmp_path / "b", ["model.blocks=[9, 9, 9]", "model.residual=false"], history=history)
    return list(compare(*(read(run.path, run.config) for run in (shallow, deep))))


@pytest.mark.parametrize("word", ["training.learning_rate=0.02", "model.activation=tanh", "data.validation_split=0.3"])
def test_runs_that_differ_in_more_than_depth_are_not_compared(tmp_path: Path, word: str) -> None:
    assert pair(tmp_path, 0.5, word) == []


def test_workers_and_seed_do_not_keep_runs_from_being_compared(tmp_path: Path) -> None:
    assert len(pair(tmp_path, 0.5, "data.workers=3", "seed=7")) == 1


def test_a_deeper_sibling_with_higher_training_error_is_degraded(tmp_path: Path) -> None:
    (found,) = pair(tmp_path, 0.5)
    assert found.rule == "degradation"
    assert found.summary == (
        "of the second run, the deeper one: after 6 epochs the training error is 50.0% with 56 layers and 2.3% with 8; "
        "the training loss 0.500 and 0.094"
    )
    assert found.remedy == ("model.residual=true", "training.learning_rate=0.03")


def test_what_is_no_degradation(tmp_path: Path) -> None:
    assert pair(tmp_path / "equal", 0.1) == []
    assert pair(tmp_path / "other data", 0.5, "data.image_size=8") == []
    assert pair(tmp_path / "other width", 0.5, "model.widths=[8, 16, 32]") == []


def test_two_runs_that_are_one(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, [f"name={name}"]) for name in ("a", "b")]
    (found,) = compare(*(read(run.path, run.config) for run in runs))
    assert found.rule == "identical_runs"
    assert found.summary == "both runs have exactly the same training loss in each of 6 epochs"
    assert found.remedy == ("seed=1",)
