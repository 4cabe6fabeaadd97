"""A whole run on real images: what is in its directory, and that it is the same twice."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from small_runs import FLOAT32, QUIET, SMALL
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from kerasnets import config as configs
from kerasnets.data import sources
from kerasnets.errors import UserError
from kerasnets.run import Run
from kerasnets.telemetry.record import Record

Train = Callable[[Path, list[str]], Run]


def rows(run: Run) -> list[dict[str, str]]:
    with (run.path / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def weights(path: Path) -> dict[str, np.ndarray]:
    return {v.path: v.numpy() for v in keras.models.load_model(path).weights}


def tags(directory: Path) -> dict[str, set[str]]:
    events = EventAccumulator(str(directory), size_guidance={"tensors": 0}).Reload()
    found: dict[str, set[str]] = {"graph": {"graph"} if events.Tags()["graph"] else set()}
    for tag in events.Tags()["tensors"]:
        plugin = events.SummaryMetadata(tag).plugin_data.plugin_name
        found.setdefault(plugin, set()).add(tag)
    return found


def test_files_of_a_run(resnet_run: Run) -> None:
    assert sorted(path.name for path in resnet_run.path.iterdir()) == [
        *(
            ".lock",
            "checkpoints",
            "config.yaml",
            "diagnosis.json",
            "environment.json",
            "gradcam",
            "history.csv",
            "labels.txt",
            "last.keras",
        ),
        *("metrics.json", "model.keras", "predictions.csv", "preprocessing.json", "report.html", "splits.csv"),
        *("telemetry", "tensorboard"),
    ]
    assert sorted(path.name for path in resnet_run.telemetry.iterdir()) == [
        *("cost.json", "layers.json", "statistics.csv", "steps.csv")
    ]
    assert {path.name for path in resnet_run.tensorboard.iterdir()} == {"hparams", "train", "validation"}


def test_config_is_dumped_resolved(resnet_run: Run) -> None:
    config = resnet_run.config
    assert config.data.channels == 1
    assert config.data.image_size == (8, 8)
    assert config.training.threads == (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    )


def test_environment_names_what_decides_results(resnet_run: Run) -> None:
    environment = resnet_run.read_json("environment.json")
    assert environment["versions"]["keras"] == keras.__version__
    assert environment["cores"] >= 1
    assert {"cpu", "command", "git_commit", "platform"} <= set(environment)


def test_splits_say_where_each_example_went(resnet_run: Run) -> None:
    with (resnet_run.path / "splits.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert len(found) == len({row["id"] for row in found}) == 1797
    assert {row["split"] for row in found} == {"train", "validation"}
    assert {row["label"] for row in found} == set(resnet_run.labels) == set("0123456789")
    assert sum(row["split"] == "validation" for row in found) == pytest.approx(0.2 * 1797, abs=6)


def test_history_has_timing_last(resnet_run: Run) -> None:
    found = rows(resnet_run)
    assert [row["epoch"] for row in found] == ["1", "2"]
    assert list(found[0]) == [
        *("epoch", "loss", "accuracy", "top5", "gradient_norm", "val_loss", "val_accuracy", "val_top5"),
        *("learning_rate", "images_per_second", "seconds"),
    ]


@pytest.mark.slow
def test_history_of_three_heads(googlenet_run: Run) -> None:
    row = rows(googlenet_run)[0]
    total = sum(weight * float(row[f"softmax{i}_loss"]) for i, weight in enumerate((0.3, 0.3, 1.0)))
    assert float(row["loss"]) == pytest.approx(total, rel=1e-5)
    assert row["accuracy"] == row["softmax2_accuracy"]


def test_metrics_are_those_of_the_saved_weights(resnet_run: Run) -> None:
    metrics = resnet_run.read_json("metrics.json")
    best = rows(resnet_run)[metrics["best_epoch"] - 1]
    assert metrics["validation"]["accuracy"] == pytest.approx(float(best["val_accuracy"]), abs=1e-6)
    assert metrics["validation"]["loss"] == pytest.approx(float(best["val_loss"]), rel=1e-4)
    assert set(metrics["validation"]) == {"accuracy", "loss", "top5"}
    assert metrics["epochs"] == 2


def test_learns(resnet_run: Run) -> None:
    assert resnet_run.read_json("metrics.json")["validation"]["accuracy"] > 0.6


@pytest.mark.slow
def test_model_loads_without_kerasnets(googlenet_run: Run) -> None:
    code = (
        "import sys; sys.modules['kerasnets'] = None; import keras, numpy as np;"
        f"model = keras.models.load_model({str(googlenet_run.model_file)!r});"
        "print({name: list(logits.shape) for name, logits in model(np.zeros((2, 16, 16, 1))).items()})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "{'softmax0': [2, 10], 'softmax1': [2, 10], 'softmax2': [2, 10]}"


EPOCH_TAGS = {"loss/total", "gradient_norm/global", "learning_rate", "images_per_second"}
STEP_TAGS = {"step/loss", "step/gradient_norm", "step/learning_rate", "step/inference_loss"}
PICTURES = {"pictures/gradient_over_depth", "pictures/dead_units"}
VALIDATION_PAGES = {
    **{"graph": set(), "images": {"pictures/confusion", "pictures/worst_mistakes"}},
    "pr_curves": {f"pr_curve/{digit}" for digit in range(10)},
}


def sampled(run: Run) -> tuple[dict[str, set[str]], list[str]]:
    """Return the tags of what is sampled of a run's model, by plugin, and its trainable variables."""
    model = keras.models.load_model(run.model_file)
    variables = [v.path for v in model.trainable_variables]
    relus = [layer.name for layer in model.layers if getattr(layer, "activation", None) is keras.activations.relu]
    histograms = {f"{kind}/{path}" for kind in ("gradients", "weights", "updates") for path in variables}
    histograms |= {f"activations/{name}" for name in (*relus, *model.output_names)} | {"input/image"}
    scalars = {f"{kind}/{path}" for kind in ("gradient_norm", "weight_norm", "update_ratio") for path in variables}
    scalars |= {f"activations_std/{name}" for name in (*relus, *model.output_names)} | {"input_std/image"}
    scalars |= {f"{kind}/{name}" for kind in ("dead_units", "dead_units_epoch") for name in relus}
    return {"histograms": histograms, "scalars": scalars}, variables


def test_tensorboard_tags_of_one_head(resnet_run: Run) -> None:
    expected, _ = sampled(resnet_run)
    assert len(expected["histograms"]) == 3 * 23 + 8 + 1
    head = {"loss/softmax", "accuracy/softmax", "top5/softmax"}
    assert tags(resnet_run.tensorboard / "train") == {
        **{"graph": {"graph"}, "text": {"config"}, "images": PICTURES, "histograms": expected["histograms"]},
        "scalars": expected["scalars"] | EPOCH_TAGS | STEP_TAGS | head,
    }
    assert tags(resnet_run.tensorboard / "validation") == {**VALIDATION_PAGES, "scalars": head}
    best = {f"validation/{value}" for value in ("accuracy", "accuracy_best", "loss", "loss_best")}
    hparams = tags(resnet_run.tensorboard / "hparams")
    assert hparams["scalars"] == best
    assert hparams["hparams"] == {"_hparams_/session_start_info", "_hparams_/session_end_info"}


@pytest.mark.slow
def test_tensorboard_tags_of_three_heads(googlenet_run: Run) -> None:
    expected, variables = sampled(googlenet_run)
    heads = ("softmax0", "softmax1", "softmax2")
    per_head = {f"{metric}/{head}" for head in heads for metric in ("loss", "accuracy", "top5")}
    found = tags(googlenet_run.tensorboard / "train")
    assert found["histograms"] == expected["histograms"]
    assert found["scalars"] == expected["scalars"] | EPOCH_TAGS | STEP_TAGS | per_head
    assert tags(googlenet_run.tensorboard / "validation")["scalars"] == {
        *("loss/softmax2", "accuracy/softmax2", "top5/softmax2"),
    }


def test_samples_come_at_the_first_steps_and_then_every_so_many(resnet_run: Run) -> None:
    events = EventAccumulator(str(resnet_run.tensorboard / "train"), size_guidance={"tensors": 0}).Reload()
    for tag in ("step/loss", "gradient_norm/conv1_conv/kernel", "gradients/conv1_conv/kernel"):
        assert [event.step for event in events.Tensors(tag)] == [2, 5, 10, 20, 50]
    assert [event.step for event in events.Tensors("loss/total")] == [45, 90]
    record = Record.open(resnet_run.telemetry)
    assert record is not None
    assert record.steps.step.tolist() == list(range(1, 91))
    losses, history = record.steps.loss, rows(resnet_run)
    sizes = np.array([32] * 44 + [1438 - 44 * 32])
    for epoch, row in enumerate(history):
        mean = np.average(losses[45 * epoch : 45 * epoch + 45], weights=sizes)
        assert float(row["loss"]) == pytest.approx(mean, rel=1e-5)
    assert np.mean(record.steps.gradient_norm[45:]) == pytest.approx(float(history[1]["gradient_norm"]), rel=1e-4)


def test_a_run_without_telemetry_has_the_epochs_scalars_alone(quiet_run: Run) -> None:
    assert not quiet_run.telemetry.exists() and not (quiet_run.path / "report.html").exists()
    assert quiet_run.read_json("diagnosis.json")["schema"] == 1
    head = {"loss/softmax", "accuracy/softmax", "top5/softmax"}
    assert tags(quiet_run.tensorboard / "train") == {"graph": set(), "text": {"config"}, "scalars": EPOCH_TAGS | head}
    assert tags(quiet_run.tensorboard / "validation") == {"graph": set(), "scalars": head}
    assert [path.name[:6] for path in (quiet_run.tensorboard / "validation").iterdir()] == ["events"]


def assert_same_bits(one: Run, two: Run) -> None:
    for name in ("model.keras", "last.keras"):
        first, second = weights(one.path / name), weights(two.path / name)
        assert first.keys() == second.keys()
        for path, value in first.items():
            np.testing.assert_array_equal(second[path], value, err_msg=path)
    assert without_timing(one) == without_timing(two)


def without_timing(run: Run) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if k not in ("images_per_second", "seconds")} for row in rows(run)]


@pytest.mark.slow
def test_weights_are_bit_identical_with_telemetry_and_without(
    tmp_path: Path, quiet_run: Run, train_small: Train
) -> None:
    """Of a whole run; `test_probe.py` holds the probe to it in bfloat16 and with three heads too."""
    full = train_small(tmp_path / "full", [*SMALL, "telemetry.every=1", "telemetry.passes_every=1"])
    assert_same_bits(full, quiet_run)


@pytest.mark.slow
def test_histograms_and_pictures_can_be_turned_off(tmp_path: Path, train_small: Train) -> None:
    off = [
        *("telemetry.histograms=false", "telemetry.images=false", "telemetry.activations=false"),
        "telemetry.report=false",
    ]
    run = train_small(tmp_path / "run", [*SMALL, *off, "telemetry.every=20", "training.epochs=1"])
    variables = sampled(run)[1]
    scalars = {f"{kind}/{path}" for kind in ("gradient_norm", "weight_norm", "update_ratio") for path in variables}
    found = tags(run.tensorboard / "train")
    assert found.keys() == {"graph", "text", "scalars"}
    head = {"loss/softmax", "accuracy/softmax", "top5/softmax"}
    assert found["scalars"] == scalars | EPOCH_TAGS | STEP_TAGS | head | {"input_std/image"}
    validation = tags(run.tensorboard / "validation")
    assert validation == {"graph": set(), "scalars": head, "pr_curves": VALIDATION_PAGES["pr_curves"]}
    events = EventAccumulator(str(run.tensorboard / "train"), size_guidance={"tensors": 0}).Reload()
    assert [event.step for event in events.Tensors("step/loss")] == [2, 5, 10, 20, 40]


@pytest.mark.slow
def test_event_files_stay_below_their_limit(tmp_path: Path, train_small: Train) -> None:
    words = ["telemetry.every=5", "telemetry.max_megabytes=0.5", "training.epochs=8"]
    run = train_small(tmp_path / "run", [*SMALL, *words])
    size = sum(path.stat().st_size for path in run.tensorboard.rglob("events*"))
    assert 0.25e6 < size <= 0.5e6
    assert json.loads((run.telemetry / "layers.json").read_text())["every"] == 5
    assert json.loads((run.telemetry / "cost.json").read_text())["every"] > 5
    record = Record.open(run.telemetry)
    assert record is not None and len(record.steps.step) == 360
    gaps = np.diff(record.kinds["weight"].steps)
    assert gaps.max() > 5


def trained_by_command(out: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kerasnets", "train", "digits-resnet20", *SMALL, *QUIET, *words]
    return subprocess.run([*command, "--out", str(out)], check=True, timeout=300, capture_output=True, text=True)


@pytest.mark.slow
def test_same_seed_and_config_give_the_same_bits_in_two_processes(tmp_path: Path, train_small: Train) -> None:
    words = ["data.augment.flip=true", "data.augment.mixup=0.2", "training.ema=0.9"]
    trained_by_command(tmp_path / "a", *words)
    assert_same_bits(Run.open(tmp_path / "a"), train_small(tmp_path / "b", [*SMALL, *QUIET, *words]))


@pytest.mark.slow
def test_command_gives_the_same_bits_and_all_of_stdout_is_json(quiet_run: Run, tmp_path: Path) -> None:
    done = trained_by_command(tmp_path / "run", "--json")
    document = json.loads(done.stdout)
    assert document["run"] == str(tmp_path / "run")
    assert set(document["metrics"]["validation"]) == {"accuracy", "loss", "top5"}
    assert "oneDNN" not in done.stderr
    assert_same_bits(Run.open(tmp_path / "run"), quiet_run)


@pytest.mark.slow
def test_another_seed_gives_other_weights(quiet_run: Run, tmp_path: Path, train_small: Train) -> None:
    other = train_small(tmp_path / "run", [*SMALL, *QUIET, "seed=1"])
    one, two = weights(quiet_run.last_model_file), weights(other.last_model_file)
    assert any(not np.array_equal(one[path], two[path]) for path in one)


@pytest.mark.slow
def test_moving_average_is_what_is_validated_and_saved(quiet_run: Run, tmp_path: Path, train_small: Train) -> None:
    run = train_small(tmp_path / "run", [*SMALL, *QUIET, "training.ema=0.9"])
    metrics = run.read_json("metrics.json")
    best = rows(run)[metrics["best_epoch"] - 1]
    assert metrics["validation"]["loss"] == pytest.approx(float(best["val_loss"]), rel=1e-4)
    averaged, plain = weights(run.path / "model.keras"), weights(quiet_run.path / "model.keras")
    assert not np.array_equal(averaged["conv1_conv/kernel"], plain["conv1_conv/kernel"])


@pytest.mark.slow
def test_early_stopping(tmp_path: Path, train_small: Train) -> None:
    words = [
        *SMALL,
        *QUIET,
        "training.epochs=30",
        "training.early_stopping=1",
        "training.learning_rate=1e-9",
        "training.schedule=constant",
    ]
    run = train_small(tmp_path / "run", words)
    assert 2 <= run.read_json("metrics.json")["epochs"] < 30


def test_unknown_class_in_class_weights(tmp_path: Path, train_small: Train) -> None:
    with pytest.raises(UserError, match="training.class_weights names '11', which is no class"):
        train_small(tmp_path / "run", [*SMALL, "training.class_weights={11: 2.0}"])
    assert not (tmp_path / "run").exists()


def test_balanced_class_weights_are_inverse_to_frequency() -> None:
    from kerasnets.training.job import class_weights

    config = configs.load("digits-resnet20", ["training.class_weights=balanced"])
    dataset = sources.load(config.data, seed=0)
    found = class_weights(config, dataset)
    assert found is not None
    counts = np.bincount(dataset.train.labels)
    np.testing.assert_allclose(np.array(found) * counts, len(dataset.train) / 10)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupt_saves_the_last_weights(number: int, code: int, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = [*SMALL, "telemetry.images=false", "training.epochs=500", "--out", str(out)]
    command = [sys.executable, "-m", "kerasnets", "train", "digits-resnet20", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (out / "history.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    last = stderr.splitlines()[-1]
    assert re.fullmatch(rf"Interrupted: stopped after step \d+; to go on: kerasnets train --resume {out}", last)
    assert weights(out / "last.keras")
    for name in ("statistics.csv", "steps.csv", "layers.json", "cost.json"):
        assert (out / "telemetry" / name).read_bytes().endswith(b"\n")
    record = Record.open(out / "telemetry")
    assert record is not None and record.steps.step.tolist() == list(range(1, len(record.steps.step) + 1))
    assert {"step/loss", "weight_norm/conv1_conv/kernel"} <= tags(out / "tensorboard" / "train")["scalars"]
    ended = EventAccumulator(str(out / "tensorboard" / "hparams")).Reload()
    content = ended.SummaryMetadata("_hparams_/session_end_info").plugin_data.content
    assert HParamsPluginData.FromString(content).session_end_info.status == api_pb2.STATUS_FAILURE


@pytest.mark.slow
def test_dry_run_writes_nothing_and_says_what_a_run_would_be(tmp_path: Path) -> None:
    words = ["digits-resnet20", FLOAT32, "training.batch_size=32", "training.learning_rate=find", "--dry-run", "--json"]
    command = [sys.executable, "-m", "kerasnets", "train", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True, cwd=tmp_path)
    plan = json.loads(done.stdout)["plan"]
    assert (plan["batch_size"], plan["range_test_steps"]) == (32, 90)
    assert plan["images"]["train"] + plan["images"]["validation"] == 1797
    assert plan["parameters"] == 269_434
    assert 1e8 < plan["predicted_bytes"] < plan["memory_bytes"]["process"]
    assert plan["seconds"] == pytest.approx(plan["seconds_per_step"] * plan["steps_per_epoch"] * plan["epochs"])
    assert list(tmp_path.iterdir()) == []


def test_threads_that_cannot_be_had_in_this_process_are_refused() -> None:
    from kerasnets.training import runtime

    runtime.prepare(0, runtime.threads(0))
    keras.ops.zeros(1)
    with pytest.raises(
        UserError, match=r"TensorFlow already runs in this process with \d+ threads, not 77; train in a"
    ):
        runtime.prepare(0, 77)
