"""Every rule: a record that triggers it, with its exact sentence, and one just below."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from doctor_records import (
    CHANCE,
    DEPTH,
    KERNELS,
    RELUS,
    SAMPLED,
    STEPS_PER_EPOCH,
    USUAL,
    at_all_steps,
    falling,
    usual_history,
    write_run,
)

from kerasnets import config as configs
from kerasnets.doctor.diagnose import examine
from kerasnets.doctor.finding import Finding
from kerasnets.doctor.reader import read
from kerasnets.doctor.rules import RULES

BARE = "model.normalization=none"
EPOCHS = 6
STEPS = EPOCHS * STEPS_PER_EPOCH


def sloped(decades: float, low: float = 0.1, **more: float) -> dict[str, dict[str, float]]:
    """Return gradients whose std falls by so many powers of ten from the last kernel to the first."""
    exponents = -decades * (1 - np.arange(DEPTH) / (DEPTH - 1))
    return {k: {**USUAL, "std": low * 10.0**e, **more} for k, e in zip(KERNELS, exponents, strict=True)}


def activations(decades: float) -> dict[str, dict[str, float]]:
    """Return activations whose std grows by so many powers of ten from the first to the last."""
    exponents = decades * np.arange(DEPTH) / (DEPTH - 1)
    return {r: {**USUAL, "std": 10.0**e, "dead": 0, "dead_epoch": 0} for r, e in zip(RELUS, exponents, strict=True)}


def every(names: Any, **values: float) -> dict[str, dict[str, float]]:
    return {name: {**USUAL, **values} for name in names}


def history(**columns: list[float]) -> dict[str, list[float]]:
    return {**usual_history(), **columns}


def gap(difference: float) -> dict[str, list[float]]:
    accuracy = [0.5, 0.7, 0.9, 0.99, 1.0, 1.0]
    held_out = [a - difference for a in accuracy]
    return history(accuracy=accuracy, val_accuracy=held_out, val_loss=[2.0, 1.5, 1.0, 0.9, 0.9, 0.9])


def confusion(right: int) -> list[tuple[str, str]]:
    """Return predictions of 40 images of each class: all right but those of class 3, some of which are taken for 5."""
    known = [(str(k), str(k)) for k in range(10) if k != 3] * 40
    return known + [("3", "3")] * right + [("3", "5")] * (40 - right)


def climbing(peak: float) -> list[float]:
    return [CHANCE] * 5 + [peak] * 100 + [CHANCE] * (STEPS - 105)


def plateau(steps: int) -> list[float]:
    return [CHANCE] * steps + [0.3] * (STEPS - steps)


def straight(end: float) -> list[float]:
    return [CHANCE - (CHANCE - end) * i / STEPS for i in range(STEPS)]


def diverging(end: float) -> list[float]:
    return [*np.linspace(CHANCE, 0.5, 300), *np.linspace(0.5, end, 50), *[end] * 250]


@dataclass(frozen=True)
class Record:
    """A record that triggers a rule, one just below its threshold, the layers concerned, and the run's own words."""

    rule: str
    sick: Mapping[str, Any]
    below: Mapping[str, Any]
    layers: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Said:
    """What must be said of a record that triggers a rule."""

    step: int | None
    severity: str
    remedy: tuple[str, ...]
    summary: str


def updates(ratio: float) -> dict[str, Any]:
    return {"kinds": at_all_steps({"update": every(KERNELS, ratio=ratio)})}


def gradients(decades: float, **more: float) -> dict[str, Any]:
    return {"kinds": at_all_steps({"gradient": sloped(decades, **more)})}


def first_activations(decades: float) -> dict[str, Any]:
    return {"kinds": {1: {"activation": activations(decades)}}}


def dead(share: float) -> dict[str, Any]:
    names = ("relu2", "relu7")
    return {"kinds": {s: {"activation": every(names, std=1.0, dead=share, dead_epoch=share)} for s in SAMPLED[2:]}}


def saturated(share: float) -> dict[str, Any]:
    return {
        "kinds": at_all_steps({"activation": every(("relu1", "relu2", "relu3"), std=1.0, saturated=share)}),
        "activations": dict.fromkeys(RELUS, "tanh"),
    }


def unlearnt(loss: float) -> dict[str, Any]:
    losses, accuracy = [2.0, 1.5, *[loss] * 4], [0.2, 0.4, *[0.6] * 4]
    return {"history": history(loss=losses, val_loss=losses, accuracy=accuracy, val_accuracy=accuracy)}


def at_chance(best: float) -> dict[str, Any]:
    return {"history": history(val_accuracy=[0.1, best, 0.1, 0.1, 0.1, 0.1])}


def inputs(mean: float, std: float) -> dict[str, Any]:
    return {"kinds": at_all_steps({"input": every(["image"], mean=mean, std=std)})}


def broken() -> dict[str, Any]:
    found = {"activation": every(["relu4", "relu5"], nan=7)}
    return {"loss": [*falling(150), math.nan], "kinds": {151: found}}


def largest(value: float) -> dict[str, Any]:
    return {"kinds": {200: {"activation": every(["relu4"], std=1.0, max=value, dead=0)}}}


def zeros(share: float) -> dict[str, Any]:
    std = 0.0 if share == 1 else 0.1
    return {"kinds": at_all_steps({"gradient": every(KERNELS[3:5], std=std, zeros=share)})}


def still(ratio: float) -> dict[str, Any]:
    return {"kinds": at_all_steps({"update": every(KERNELS[:2], ratio=ratio)})}


def creeping(end: float) -> dict[str, Any]:
    return {"loss": straight(end), **updates(1e-4)}


def inference(loss: float) -> dict[str, Any]:
    return {"inference": {400: loss, 500: loss + 0.1}}


def overtrained(end: float) -> dict[str, Any]:
    return {"history": history(val_loss=[0.9, 0.6, 0.7, end, end, end])}


RECORDS = (
    Record("unnormalized_input", inputs(78, 96), inputs(2.2, 1.3), words=("data.normalize=none",)),
    Record("learning_rate_too_high", {"loss": climbing(6.0)}, {"loss": climbing(4.0)}),
    Record("saturated_activation", saturated(0.6), saturated(0.4), tuple(RELUS)[1:4], ("model.activation=tanh",)),
    Record("vanishing_gradient", gradients(2.5), gradients(1.5), KERNELS[:2], (BARE,)),
    Record("poor_initialization", first_activations(-2.5), first_activations(-1.5), tuple(RELUS)[4:], (BARE,)),
    Record("exploding_gradient", gradients(-3.5, l2=100.0), gradients(-2.5, l2=100.0), KERNELS[:3], (BARE,)),
    Record("divergence", {"loss": diverging(1.5)}, {"loss": diverging(0.8)}),
    Record("dead_relu", dead(0.6), dead(0.4), ("relu2", "relu7"), (BARE,)),
    Record("nonfinite_values", broken(), {"loss": falling(151)}, ("relu4",)),
    Record("exploding_tensor", largest(2e4), largest(9e3), ("relu4",), (BARE,)),
    Record("learning_rate_too_low", creeping(1.5), creeping(1.0)),
    Record("update_ratio_too_large", updates(0.2), updates(0.1)),
    Record("update_ratio_too_small", updates(4e-5), updates(6e-5)),
    Record("all_zero", zeros(1.0), zeros(0.99), KERNELS[3:5]),
    Record("unchanged_weights", still(0.0), still(1e-8), KERNELS[:2]),
    Record("batch_normalization_gap", inference(2.0), inference(0.25), words=("model.bn_momentum=0.999",)),
    Record("uninformative_labels", at_chance(0.12), at_chance(0.3)),
    Record("plateau_then_fall", {"loss": plateau(150)}, {"loss": plateau(50)}),
    Record("loss_not_decreasing", {"loss": [CHANCE * 0.96] * STEPS}, {"loss": [CHANCE * 0.94] * STEPS}),
    Record("overfitting", {"history": gap(0.16)}, {"history": gap(0.14)}),
    Record("overtraining", overtrained(0.85), overtrained(0.75)),
    Record("underfitting", unlearnt(1.0), unlearnt(0.9)),
    Record("class_imbalance", {"counts": (300, *[100] * 8, 30)}, {"counts": (299, *[100] * 8, 30)}, ("9",)),
    Record("confused_classes", {"predictions": confusion(5)}, {"predictions": confusion(10)}, ("3",)),
)
SAID: dict[str, Said] = {
    "unnormalized_input": Said(
        1,
        "warning",
        ("data.normalize=dataset", "data.normalize=unit"),
        "the network's input has mean 78 and std 96; it should be near 0 and 1",
    ),
    "learning_rate_too_high": Said(
        6,
        "error",
        ("training.learning_rate=0.01", "training.warmup_epochs=1", "training.clip_global_norm=1"),
        "the training loss climbs from 2.3 to 6 before it ever falls below 70% of chance (2.3), and ends "
        "at 2.3; an update changes a kernel by 1.0e-03 of its size",
    ),
    "saturated_activation": Said(
        1,
        "error",
        ("model.initializer=glorot_uniform", "training.learning_rate=0.01", "model.activation=relu"),
        "3 of 3 tanh layers have 50% or more of their outputs where the slope is below 5 % of its "
        "greatest: relu1, relu2, relu3; at most 60%",
    ),
    "vanishing_gradient": Said(
        1,
        "error",
        ("model.normalization=batch",),
        "the gradient falls by 2.5 powers of ten over 10 layers on its way back to the first: at step 1 "
        "its std is 3.2e-04 at conv0/kernel and 1.0e-01 at conv9/kernel",
    ),
    "poor_initialization": Said(
        1,
        "warning",
        ("model.normalization=batch",),
        "at step 1 the std of the activations shrinks by 2.5 powers of ten over 10 layers, from 1 to 0.0032",
    ),
    "exploding_gradient": Said(
        1,
        "error",
        ("model.normalization=batch", "training.clip_global_norm=1", "training.learning_rate=0.01"),
        "the norm of the gradient is 316 at step 1 (at most 316), and its std grows by 3.5 powers of ten "
        "on its way back to the first of 10 kernels",
    ),
    "divergence": Said(
        296,
        "error",
        ("training.learning_rate=0.03", "training.clip_global_norm=1"),
        "the training loss falls to 0.527 by step 296 and then climbs to 1.5",
    ),
    "dead_relu": Said(
        100,
        "warning",
        ("training.learning_rate=0.01", "model.normalization=batch", "model.activation=leaky_relu"),
        "2 of 10 ReLU layers have 50% or more of their channels at zero on every image: relu2, relu7; "
        "16% of all layers' channels on average, 5% at step 1",
    ),
    "nonfinite_values": Said(
        151,
        "error",
        ("training.learning_rate=0.01", "training.clip_global_norm=1"),
        "the activation of relu4 is the first value that is not finite, at step 151; 2 sampled tensors "
        "have NaN or Inf at step 151",
    ),
    "exploding_tensor": Said(
        200,
        "warning",
        ("model.normalization=batch", "training.clip_global_norm=1", "training.learning_rate=0.01"),
        "activations reach 2e+04 at relu4; above 10000 in 1 tensor from step 200 on",
    ),
    "learning_rate_too_low": Said(
        596,
        "error",
        ("training.learning_rate=1", "training.epochs=12"),
        "the training loss creeps from 2.290 to 1.521 (chance: 2.303) and falls in the second half of "
        "the run at 100% of the pace of the first; an update changes a kernel by 1.0e-04 of its size, "
        "1e-3 is usual",
    ),
    "update_ratio_too_large": Said(
        1,
        "warning",
        ("training.learning_rate=0.01", "training.clip_global_norm=1"),
        "an update changes a kernel by 2.0e-01 of its size (median of all kernels in 5 samples); about 1e-3 is usual",
    ),
    "update_ratio_too_small": Said(
        1,
        "warning",
        ("training.learning_rate=2.5",),
        "an update changes a kernel by 4.0e-05 of its size (median of all kernels in 5 samples); about 1e-3 is usual",
    ),
    "all_zero": Said(
        100,
        "error",
        ("training.learning_rate=0.01", "model.activation=leaky_relu"),
        "the gradient of 2 of 10 kernels is exactly zero in each of the last 3 samples: conv3/kernel, conv4/kernel",
    ),
    "unchanged_weights": Said(
        100,
        "warning",
        ("training.learning_rate=1",),
        "2 of 10 kernels do not move: their updates are below 1e-09 of the weights in all of 3 samples: "
        "conv0/kernel, conv1/kernel",
    ),
    "batch_normalization_gap": Said(
        400,
        "error",
        ("model.bn_momentum=0.9",),
        "the same batches have a loss 1.93 higher in inference mode than in training (16.5 times; median "
        "of 2 samples); the moving statistics have momentum 0.999, the batches 32 images",
    ),
    "uninformative_labels": Said(
        600,
        "error",
        ("training.learning_rate=0.01",),
        "validation accuracy never exceeds 12.0%, and always naming the most frequent class gives 10.0%; "
        "the training loss is learnt by heart (2.000 to 0.062)",
    ),
    "plateau_then_fall": Said(
        156,
        "warning",
        ("training.learning_rate=0.3",),
        "the training loss stays at chance (2.303) for 150 steps, then falls below 70% of it by step 156",
    ),
    "loss_not_decreasing": Said(
        596,
        "error",
        ("training.learning_rate=0.01",),
        "the training loss is at best 2.210 in 600 steps; 2.303 is what a network has that knows how "
        "frequent each class is and nothing of images",
    ),
    "overfitting": Said(
        100,
        "warning",
        ("model.dropout=0.3", "training.label_smoothing=0.1"),
        "accuracy is 100.0% in training and 84.0% in validation, the loss 0.094 and 0.900; there are "
        "1,000 training images",
    ),
    "overtraining": Said(
        200,
        "warning",
        ("training.early_stopping=3", "training.monitor=loss", "model.dropout=0.3", "training.label_smoothing=0.1"),
        "the validation loss was 0.600 after epoch 2 and is 0.850 after epoch 6, while the training loss "
        "fell from 1.000 to 0.062",
    ),
    "underfitting": Said(
        600,
        "warning",
        ("model.widths=[32, 64, 128]", "training.epochs=12", "training.weight_decay=5e-05"),
        "after 6 epochs the training loss is 1.000, 43% of what it is at chance (2.303); accuracy is "
        "60.0% in training and 60.0% in validation",
    ),
    "class_imbalance": Said(
        None,
        "warning",
        ("training.class_weights=balanced",),
        "class '0' has 300 training images, '9' 30: 10 times as many",
    ),
    "confused_classes": Said(
        None,
        "warning",
        ("training.class_weights=balanced", "data.image_size=[32, 32]"),
        "5 of 40 validation images of '3' are recognised, while 91.2% of all are; 35 are taken for '5'",
    ),
}
NAMED = {record.rule: record for record in RECORDS}


def findings(path: Path, record: Record, what: Mapping[str, Any]) -> dict[str, Finding]:
    run = write_run(path, record.words, **what)
    rules = [rule for rule in RULES if rule.name == record.rule]
    return {finding.rule: finding for finding in examine(read(run.path, run.config), rules).findings}


def test_every_rule_has_a_record() -> None:
    assert list(NAMED) == sorted(NAMED, key=[rule.name for rule in RULES].index)
    assert {rule.name for rule in RULES} - set(NAMED) == {"stalled_training"}  # it has tests of its own, with a clock


@pytest.mark.parametrize("record", RECORDS, ids=list(NAMED))
def test_a_sick_record_is_found(tmp_path: Path, record: Record) -> None:
    found = findings(tmp_path / "run", record, record.sick)[record.rule]
    assert Said(found.step, found.severity, found.remedy, found.summary) == SAID[record.rule]
    assert found.layers == record.layers
    assert len([sentence for sentence in found.cause.split(". ") if sentence]) >= 2


@pytest.mark.parametrize("record", RECORDS, ids=list(NAMED))
def test_a_record_just_below_the_threshold_is_not(tmp_path: Path, record: Record) -> None:
    assert findings(tmp_path / "run", record, record.below) == {}


@pytest.mark.parametrize("record", RECORDS, ids=list(NAMED))
def test_it_comes_first_or_second_of_all(tmp_path: Path, record: Record) -> None:
    run = write_run(tmp_path / "run", record.words, **record.sick)
    rules = [finding.rule for finding in examine(read(run.path, run.config)).findings]
    assert record.rule in rules[:2]


@pytest.mark.parametrize("record", RECORDS, ids=list(NAMED))
def test_remedies_load_together_and_change_the_config(tmp_path: Path, record: Record) -> None:
    run = write_run(tmp_path / "run", record.words, **record.sick)
    found = findings(tmp_path / "again", record, record.sick)[record.rule]
    assert found.remedy
    loaded = configs.load(run.path / "config.yaml", found.remedy)
    for word in found.remedy:
        assert configs.load(run.path / "config.yaml", [word]) != run.config
    assert loaded != run.config


def test_a_healthy_record_has_no_findings(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", ["model.bn_momentum=0.9"], inference={400: 0.2})
    diagnosis = examine(read(run.path, run.config))
    assert diagnosis.findings == ()
    assert diagnosis.skipped == {"confused_classes": "predictions.csv, which is written when training ends"}


@pytest.mark.parametrize(("rule", "normalize"), [("poor_initialization", "imagenet"), ("unnormalized_input", "caffe")])
def test_what_pretrained_weights_were_made_for_is_not_found(rule: str, normalize: str, tmp_path: Path) -> None:
    record = NAMED[rule]
    tuned = replace(record, words=(*record.words, "model.pretrained=w.h5", f"data.normalize={normalize}"))
    assert findings(tmp_path / "run", tuned, record.sick) == {}


def test_raw_pixels_are_found_with_pretrained_weights_too(tmp_path: Path) -> None:
    record = NAMED["unnormalized_input"]
    tuned = replace(record, words=(*record.words, "model.pretrained=w.h5"))
    assert list(findings(tmp_path / "run", tuned, record.sick)) == ["unnormalized_input"]
