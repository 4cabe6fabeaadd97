"""A whole run on real images: what is in its directory, and that it is the same twice."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from small_runs import SMALL
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from kerasnets import config as configs
from kerasnets.data import sources
from kerasnets.errors import CheckFailed, UserError
from kerasnets.run import Run

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
        *("config.yaml", "environment.json", "history.csv", "labels.txt", "last.keras", "metrics.json"),
        *("model.keras", "predictions.csv", "preprocessing.json", "splits.csv", "tensorboard"),
    ]


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


def test_tensorboard_tags_of_one_head(resnet_run: Run) -> None:
    trainable = [v.path for v in keras.models.load_model(resnet_run.model_file).trainable_variables]
    assert tags(resnet_run.tensorboard / "train") == {
        "graph": {"graph"},
        "text": {"config"},
        "histograms": {f"weights/{path}" for path in trainable},
        "scalars": {
            *("loss/total", "loss/softmax", "accuracy/softmax", "top5/softmax", "learning_rate", "images_per_second"),
            "gradient_norm/global",
        },
    }
    validation = tags(resnet_run.tensorboard / "validation")
    assert validation == {"graph": set(), "scalars": {"loss/softmax", "accuracy/softmax", "top5/softmax"}}


@pytest.mark.slow
def test_tensorboard_tags_of_three_heads(googlenet_run: Run) -> None:
    heads = ("softmax0", "softmax1", "softmax2")
    per_head = {f"{metric}/{head}" for head in heads for metric in ("loss", "accuracy", "top5")}
    others = {"loss/total", "learning_rate", "images_per_second", "gradient_norm/global"}
    assert tags(googlenet_run.tensorboard / "train")["scalars"] == per_head | others
    assert tags(googlenet_run.tensorboard / "validation")["scalars"] == {
        *("loss/softmax2", "accuracy/softmax2", "top5/softmax2"),
    }


def test_step_scalars_come_every_so_many_steps(tmp_path: Path, train_small: Train) -> None:
    run = train_small(tmp_path / "run", [*SMALL, "training.epochs=1", "telemetry.every=20", "telemetry.graph=false"])
    events = EventAccumulator(str(run.tensorboard / "train"), size_guidance={"tensors": 0}).Reload()
    for tag in ("step/loss", "step/gradient_norm", "step/learning_rate"):
        assert [event.step for event in events.Tensors(tag)] == [20, 40]
    assert [event.step for event in events.Tensors("loss/total")] == [45]
    assert not events.Tags()["graph"]


@pytest.mark.slow
@pytest.mark.parametrize("words", [[], ["data.augment.flip=true", "data.augment.mixup=0.2", "training.ema=0.9"]])
def test_same_seed_and_config_give_the_same_bits_in_two_processes(words: list[str], tmp_path: Path) -> None:
    for name in ("a", "b"):
        command = ["train", "digits-resnet20", *SMALL, *words, "--out", str(tmp_path / name)]
        subprocess.run([sys.executable, "-m", "kerasnets", *command], check=True, timeout=300, capture_output=True)
    one, two = (weights(tmp_path / name / "last.keras") for name in ("a", "b"))
    assert one.keys() == two.keys()
    for path, value in one.items():
        np.testing.assert_array_equal(two[path], value, err_msg=path)
    timing = ("images_per_second", "seconds")
    histories = [rows(Run.open(tmp_path / name)) for name in ("a", "b")]
    without = [[{k: v for k, v in row.items() if k not in timing} for row in history] for history in histories]
    assert without[0] == without[1]


@pytest.mark.slow
def test_another_seed_gives_other_weights(resnet_run: Run, tmp_path: Path, train_small: Train) -> None:
    other = train_small(tmp_path / "run", [*SMALL, "seed=1"])
    one, two = weights(resnet_run.last_model_file), weights(other.last_model_file)
    assert any(not np.array_equal(one[path], two[path]) for path in one)


@pytest.mark.slow
def test_moving_average_is_what_is_validated_and_saved(tmp_path: Path, train_small: Train) -> None:
    run = train_small(tmp_path / "run", [*SMALL, "training.ema=0.9"])
    metrics = run.read_json("metrics.json")
    best = rows(run)[metrics["best_epoch"] - 1]
    assert metrics["validation"]["loss"] == pytest.approx(float(best["val_loss"]), rel=1e-4)
    averaged, plain = weights(run.path / "model.keras"), train_small(tmp_path / "plain", SMALL)
    assert not np.array_equal(averaged["conv1_conv/kernel"], weights(plain.path / "model.keras")["conv1_conv/kernel"])


def test_early_stopping(tmp_path: Path, train_small: Train) -> None:
    words = [
        *SMALL,
        "training.epochs=30",
        "training.early_stopping=1",
        "training.learning_rate=1e-9",
        "training.schedule=constant",
    ]
    run = train_small(tmp_path / "run", words)
    assert 2 <= run.read_json("metrics.json")["epochs"] < 30


def test_loss_that_is_not_finite_stops_the_run(tmp_path: Path, train_small: Train) -> None:
    with pytest.raises(
        CheckFailed, match=r"the training loss is (nan|inf) after epoch 1; try a lower training.learning_rate"
    ):
        train_small(
            tmp_path / "run",
            [*SMALL, "model.normalization=none", "training.learning_rate=1e6", "training.schedule=constant"],
        )


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
    command = [sys.executable, "-m", "kerasnets", "train", "digits-resnet20", "training.epochs=500", "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (out / "history.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert stderr.splitlines()[-1] == f"Interrupted: stopped; the last weights are in {out / 'last.keras'}"
    assert weights(out / "last.keras")


@pytest.mark.slow
def test_json_is_all_of_stdout(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kerasnets", "train", "digits-resnet20", *SMALL, "training.epochs=1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True, cwd=tmp_path)
    document = json.loads(done.stdout)
    assert document["run"] == "runs/digits-resnet20-1"
    assert set(document["metrics"]["validation"]) == {"accuracy", "loss", "top5"}
    assert "oneDNN" not in done.stderr


@pytest.mark.slow
def test_dry_run_writes_nothing_and_says_what_a_run_would_be(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kerasnets", "train", "digits-resnet20", "--dry-run", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True, cwd=tmp_path)
    plan = json.loads(done.stdout)["plan"]
    assert plan["images"]["train"] + plan["images"]["validation"] == 1797
    assert plan["parameters"] == 269_434
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
