"""`kerasnets doctor`: text, JSON, files, exit codes."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from doctor_records import CHANCE, KERNELS, USUAL, at_all_steps, usual_history, write_run

from kerasnets import cli
from kerasnets.doctor.command import doctor
from kerasnets.errors import CheckFailed, UserError

IMBALANCED = (500, *[100] * 8, 10)


def run_doctor(*words: object) -> str:
    done = CliRunner().invoke(doctor, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_text_of_a_healthy_run(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", inference={400: 0.2}, predictions=[("1", "1")] * 20)
    assert run_doctor(run.path) == f"{run.path}: finished, 6 of 6 epochs\nno findings\n"
    assert json.loads((run.path / "diagnosis.json").read_text()) == {"schema": 1, "findings": []}
    assert not (run.path / "diagnosis").exists()


def test_text_of_a_finding(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", counts=IMBALANCED, inference={400: 0.2}, predictions=[("1", "1")] * 20)
    assert run_doctor(run.path).splitlines() == [
        f"{run.path}: finished, 6 of 6 epochs",
        "",
        "1. class_imbalance (warning)",
        "   class '0' has 500 training images, '9' 10: 50 times as many",
        "   where:    9",
        "   evidence: most 500, least 10, ratio 50, rare_classes 1",
        "   cause:    The loss is a mean over images, so a class with few of them counts for little and is learnt "
        "last. Accuracy hides it, since validation has the same proportions.",
        "   try:      training.class_weights=balanced",
        f"   plot:     {run.path}/diagnosis/class_imbalance.svg",
    ]


def test_text_says_what_was_left_out_and_what_could_not_be_seen(tmp_path: Path) -> None:
    history = {key: values[:3] for key, values in usual_history().items()}
    flat = {"update": {name: {**USUAL, "ratio": 1.0} for name in KERNELS}}
    loss = [CHANCE] * 5 + [80.0] * 45 + [CHANCE] * 250
    run = write_run(tmp_path / "run", kinds=at_all_steps(flat), loss=loss, history=history, finished=False)
    lines = run_doctor(run.path).splitlines()
    assert lines[0] == f"{run.path}: not finished, 3 of 6 epochs"
    assert "left out, as the findings above explain them: update_ratio_too_large (learning_rate_too_high)" in lines
    assert lines[-1].startswith("only when training has ended: learning_rate_too_low, ")
    assert "not looked at:" in lines


def test_json_is_one_document_and_the_file_is_the_same(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", counts=IMBALANCED)
    document = json.loads(run_doctor(run.path, "--json"))
    assert list(document) == ["schema", "findings"]
    (found,) = document["findings"]
    assert list(found) == ["rule", "severity", "layers", "step", "summary", "evidence", "cause", "remedy", "plot"]
    assert found["plot"] == "diagnosis/class_imbalance.svg"
    assert json.loads((run.path / "diagnosis.json").read_text()) == document


def test_numbers_that_are_not_finite_are_null_in_json(tmp_path: Path) -> None:
    loss = [CHANCE - 2 * i / 300 for i in range(300)] + [float("nan")] * 50
    run = write_run(tmp_path / "run", loss=loss)
    found = {f["rule"]: f for f in json.loads(run_doctor(run.path, "--json"))["findings"]}
    assert found["divergence"]["evidence"]["end"] is None


def test_plots_are_svg_equal_for_equal_findings_and_old_ones_go(tmp_path: Path) -> None:
    sick = at_all_steps({"input": {"image": {**USUAL, "mean": 80.0, "std": 90.0}}})
    run = write_run(tmp_path / "run", counts=IMBALANCED, kinds=sick)
    (run.path / "diagnosis").mkdir()
    (run.path / "diagnosis" / "overfitting.svg").write_text("of an earlier diagnosis")
    run_doctor(run.path)
    plots = {path.name: path.read_bytes() for path in (run.path / "diagnosis").iterdir()}
    assert sorted(plots) == ["class_imbalance.svg", "unnormalized_input.svg"]
    assert all(ElementTree.fromstring(content).tag.endswith("svg") for content in plots.values())
    run_doctor(run.path)
    assert {path.name: path.read_bytes() for path in (run.path / "diagnosis").iterdir()} == plots


def test_a_plot_without_steps_says_so(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", ["telemetry.every=0"])
    for path in (run.path / "telemetry").iterdir():
        path.unlink()
    event = {"step": 1, "kind": "activation", "layer": "relu1", "action": "stop"}
    run.write_json("telemetry/nonfinite.json", {"events": [event]})
    assert "nonfinite_values" in run_doctor(run.path)
    assert "no steps were recorded" in (run.path / "diagnosis" / "nonfinite_values.svg").read_text()


def test_class_names_may_hold_anything(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", counts=IMBALANCED)
    names = ["$100_$", "bell\x07", "\u732b", *map(str, range(3, 10))]
    (run.path / "labels.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    rows = [("train", name, f"{name}-{i}") for name, n in zip(names, IMBALANCED, strict=True) for i in range(n)]
    run.write_rows("splits.csv", ("split", "label", "id"), rows)
    assert "class_imbalance" in run_doctor(run.path)
    ElementTree.fromstring((run.path / "diagnosis" / "class_imbalance.svg").read_text(encoding="utf-8"))


def test_a_run_that_cannot_be_written_to_is_still_diagnosed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "diagnosis.json")

    monkeypatch.setattr("kerasnets.doctor.command.write", refuse)
    run = write_run(tmp_path / "run", counts=IMBALANCED)
    assert json.loads(run_doctor(run.path, "--json"))["findings"][0]["rule"] == "class_imbalance"


def test_strict_exits_with_3_where_there_are_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sick, healthy = write_run(tmp_path / "sick", counts=IMBALANCED), write_run(tmp_path / "healthy")
    with pytest.raises(CheckFailed, match=r"1 finding in .*sick: class_imbalance"):
        CliRunner().invoke(doctor, [str(sick.path), "--strict"], catch_exceptions=False)
    for run, code in ((sick, 3), (healthy, 0)):
        monkeypatch.setattr("sys.argv", ["kerasnets", "doctor", str(run.path), "--strict"])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert stop.value.code == code


def test_two_runs(tmp_path: Path) -> None:
    shallow = write_run(tmp_path / "shallow", ["model.blocks=[1, 1, 1]"])
    history = {**usual_history(), "loss": [2.0, 1.5, 1.0, 0.8, 0.7, 0.7], "accuracy": [0.5] * 6}
    deep = write_run(tmp_path / "deep", ["model.blocks=[9, 9, 9]"], history=history)
    (found,) = json.loads(run_doctor(deep.path, shallow.path, "--json"))["findings"]
    assert found["rule"] == "degradation"
    assert (deep.path / "diagnosis" / "degradation.svg").is_file()


def test_wrong_input(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    for words, message in (
        ((tmp_path / "runn",), r"run .*runn does not exist; did you mean 'run'\?"),
        ((run.path, run.path), "is the same run; name another one to compare it with"),
        ((run.path, tmp_path), "is not a run directory"),
    ):
        with pytest.raises(UserError, match=message):
            CliRunner().invoke(doctor, [str(word) for word in words], catch_exceptions=False)
