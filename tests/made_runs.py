"""Run directories as training leaves them, written in a moment: nothing is trained, the numbers are made up."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kerasnets import config as configs
from kerasnets import environment
from kerasnets.data import sources
from kerasnets.run import Run
from kerasnets.telemetry.record import ACTIVATION, GRADIENT, HEAD, UPDATE, WEIGHT, Layers, Recorder

EPOCHS, STEPS = 3, 40
FINDING = {
    "rule": "vanishing_gradient",
    "severity": "error",
    "layers": ["conv1_conv/kernel"],
    "step": 20,
    "summary": "the gradient falls by 5 powers of ten",
    "evidence": {"decades": 5.0, "size_first": None},
    "cause": "Every layer shrinks it. The first ones hardly learn.",
    "remedy": ["model.normalization=batch"],
    "plot": "diagnosis/vanishing_gradient.svg",
}


def make_run(
    path: Path,
    labels: Sequence[str],
    *,
    heads: Sequence[str] = (),
    finished: bool = True,
    epochs: int = EPOCHS,
    telemetry: bool = True,
    findings: Sequence[dict[str, object]] | None = (),
    each: int = 10,
    name: str = "made",
) -> Run:
    """Write a run on random pictures of the classes `labels`, `each` of them, with every file that the report reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = _data(path.with_name(f"{path.name}-data.npz"), len(labels), each)
    model = {"name": "googlenet"} if heads else {"name": "resnet20"}
    section = {"source": "npz", "path": str(data), "image_size": 8, "channels": 3, "test_split": 0.2}
    config = configs.check(
        {"name": name, "model": model, "data": section, "training": {"epochs": EPOCHS, "batch_size": 16}}, "test"
    )
    run = Run.create(config, path)
    run.write_json("environment.json", environment.describe())
    run.write_labels(labels)
    _splits(run, labels)
    if epochs:
        _history(run, heads, epochs)
    if telemetry:
        _telemetry(run, heads)
    if findings is not None:
        _diagnosis(run, findings)
    if finished:
        scores = {"accuracy": 0.75, "loss": 0.8, **({"top5": 0.9} if len(labels) > 5 else {})}
        run.write_json(
            "metrics.json", {"validation": scores, "test": scores, "best_epoch": 2, "epochs": epochs, "seconds": 7000.0}
        )
    return run


def _data(path: Path, classes: int, each: int) -> Path:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), each)
    images = rng.integers(0, 256, (len(labels), 8, 8, 3), np.uint8)
    np.savez(path, x_train=images, y_train=labels)
    return path


def _splits(run: Run, labels: Sequence[str]) -> None:
    """Write splits.csv and predictions.csv; one in four is taken for the next class."""
    splits = sources.load(run.config.data, seed=run.config.seed).splits
    rows = [(s, labels[k], i) for s, split in splits.items() for k, i in zip(split.labels, split.ids, strict=True)]
    run.write_rows("splits.csv", ("split", "label", "id"), rows)
    header = ("split", "id", "label", "predicted", "confidence", "probability_of_label")
    predictions = []
    for number, (split, label, example) in enumerate(row for row in rows if row[0] != "train"):
        right = number % 4 > 0
        predicted = label if right else labels[(labels.index(label) + 1) % len(labels)]
        confidence = 0.55 + 0.4 * (number % 11) / 11
        predictions.append((split, example, label, predicted, confidence, confidence if right else 1 - confidence))
    run.write_rows("predictions.csv", header, predictions)


def _history(run: Run, heads: Sequence[str], epochs: int) -> None:
    own = [f"{head}_{value}" for head in heads for value in ("loss", "accuracy")]
    header = ["epoch", "loss", "accuracy", "gradient_norm", *own, "val_loss", "val_accuracy", "learning_rate"]
    rows = []
    for epoch in range(1, epochs + 1):
        values = [1.0 / epoch if "loss" in key else 1 - 0.5 / epoch for key in own]
        rows.append(
            [epoch, 2 / epoch, 1 - 0.6 / epoch, 3 / epoch, *values, 2.5 / epoch, 1 - 0.7 / epoch, 0.1, 900, 1.5]
        )
    run.write_rows("history.csv", [*header, "images_per_second", "seconds"], rows)


def _telemetry(run: Run, heads: Sequence[str]) -> None:
    kernels = [f"conv{stage}_block{block}_1_conv/kernel" for stage in range(1, 5) for block in range(1, 3)]
    kernels.append("softmax/kernel")
    activations = {name.removesuffix("_conv/kernel") + "_relu": "relu" for name in kernels[:-1]}
    layers = Layers(
        tuple(kernels), {**activations, "softmax": "linear"}, tuple(heads or ["softmax"]), "softmax", 20, 20
    )
    recorder = Recorder(run.telemetry, layers)
    for step in (1, 2, 5, 10, 20, 40):
        sizes = [
            (name, {"mean": 0.0, "std": 10.0 ** -(2 + place / 3), "l2": 0.1}) for place, name in enumerate(kernels)
        ]
        recorder.statistics(step, GRADIENT, sizes)
        recorder.statistics(step, WEIGHT, sizes)
        recorder.statistics(step, UPDATE, [(name, {**values, "ratio": 1e-3}) for name, values in sizes])
        seen = [(name, {"mean": 0.1, "std": 1.0, "dead": 0.25, "dead_epoch": 0.125}) for name in activations]
        recorder.statistics(step, ACTIVATION, [*seen, ("softmax", {"mean": 0.0, "std": 2.0})])
        for place, head in enumerate(heads):
            recorder.statistics(step, f"{HEAD}{head}", sizes[: 4 + place])
    recorder.steps((step, 2.0 / step, 5.0 / step, 0.1, 2.0 if step % 20 == 0 else None) for step in range(1, STEPS + 1))
    run.write_json("telemetry/cost.json", {"share": 0.006, "megabytes": 6.1})


def _diagnosis(run: Run, findings: Sequence[dict[str, object]]) -> None:
    run.write_json("diagnosis.json", {"findings": list(findings)})
    for finding in findings:
        plot = run.path / str(json.loads(json.dumps(finding)).get("plot"))
        plot.parent.mkdir(exist_ok=True)
        plot.write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M0 0L9 9"/></svg>')
