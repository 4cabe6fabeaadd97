"""Run directories with made-up numbers, such as training would leave behind."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from kerasnets import config as configs
from kerasnets.run import Run
from kerasnets.telemetry.record import Layers, Recorder

DEPTH = 10
KERNELS = tuple(f"conv{i}/kernel" for i in range(DEPTH))
RELUS = {f"relu{i}": "relu" for i in range(DEPTH)}
STEPS_PER_EPOCH = 100
CHANCE = math.log(10)
USUAL = {"mean": 0.0, "std": 0.1, "l2": 1.0, "min": -1.0, "max": 1.0, "zeros": 0.0, "nan": 0.0, "inf": 0.0}
SAMPLED = (1, 50, 100, 200, 300)

Values = Mapping[str, float]
Kinds = Mapping[str, Mapping[str, Values]]


def usual_kinds() -> dict[str, dict[str, Values]]:
    """Return kind -> tensor -> statistics of a healthy network at one step."""
    relu = {**USUAL, "std": 1.0, "dead": 0.05, "dead_epoch": 0.05}
    return {
        "gradient": {name: USUAL for name in KERNELS},
        "weight": {name: USUAL for name in KERNELS},
        "update": {name: {**USUAL, "ratio": 1e-3} for name in KERNELS},
        "activation": {name: relu for name in RELUS} | {"softmax": USUAL},
        "input": {"image": {**USUAL, "std": 1.0}},
    }


def usual_history(epochs: int = 6) -> dict[str, list[float]]:
    """Return a history in which all goes well."""
    falling = [2.0 * 0.5**epoch for epoch in range(epochs)]
    return {
        "loss": falling,
        "accuracy": [1 - loss / 4 for loss in falling],
        "val_loss": [1.1 * loss for loss in falling],
        "val_accuracy": [0.99 - loss / 4 for loss in falling],
        "seconds": [10.0] * epochs,
    }


def falling(steps: int = 600) -> list[float]:
    """Return a training loss that falls from chance to a twentieth of it."""
    return [CHANCE * (0.05 + 0.95 * math.exp(-step / 80)) for step in range(steps)]


def write_run(
    path: Path,
    words: Sequence[str] = (),
    *,
    kinds: Mapping[int, Kinds] | None = None,
    loss: Sequence[float] | None = None,
    rates: Sequence[float] | None = None,
    norms: Sequence[float] | None = None,
    inference: Mapping[int, float] | None = None,
    history: Mapping[str, Sequence[float]] | None = None,
    counts: Sequence[int] = (100,) * 10,
    predictions: Iterable[tuple[str, str]] = (),
    activations: Mapping[str, str] = RELUS,
    telemetry: bool = True,
    finished: bool = True,
) -> Run:
    """Write a run directory; what is not given is healthy. `kinds`: sampled step -> what differs from the usual."""
    config = configs.load("digits-resnet20", ["name=made", "training.epochs=6", "training.batch_size=32", *words])
    run = Run.create(config, path)
    names = [str(k) for k in range(len(counts))]
    run.write_labels(names)
    rows = [("train", name, f"{name}/{i}") for name, count in zip(names, counts, strict=True) for i in range(count)]
    run.write_rows("splits.csv", ("split", "label", "id"), rows)
    table = usual_history() if history is None else history
    epochs = len(next(iter(table.values()), ()))
    run.write_rows("history.csv", ("epoch", *table), ((i + 1, *(v[i] for v in table.values())) for i in range(epochs)))
    told = [("validation", i, label, predicted, 1.0, 1.0) for i, (label, predicted) in enumerate(predictions)]
    run.write_rows("predictions.csv", ("split", "id", "label", "predicted", "confidence", "probability_of_label"), told)
    if finished:
        run.write_json("metrics.json", {"validation": {"accuracy": 1.0, "loss": 0.1}})
    if telemetry:
        _record(path, kinds or {}, activations, falling() if loss is None else loss, rates, norms, inference or {})
    return run


def _record(
    path: Path,
    kinds: Mapping[int, Kinds],
    activations: Mapping[str, str],
    loss: Sequence[float],
    rates: Sequence[float] | None,
    norms: Sequence[float] | None,
    inference: Mapping[int, float],
) -> None:
    watched = {**activations, "softmax": "linear"}
    layers = Layers(KERNELS, watched, ("softmax",), "softmax", 100, STEPS_PER_EPOCH)
    recorder = Recorder(path / "telemetry", layers)
    for step in sorted({*SAMPLED, *kinds}):
        for kind, usual in usual_kinds().items():
            found = {**usual, **kinds.get(step, {}).get(kind, {})}
            recorder.statistics(step, kind, found.items())
    rates = rates or [0.1] * len(loss)
    norms = norms or [1.0] * len(loss)
    curve = zip(loss, norms, rates, strict=True)
    recorder.steps((step, *values, inference.get(step)) for step, values in enumerate(curve, start=1))


def at_all_steps(kinds: Kinds) -> dict[int, Kinds]:
    """Return the same deviation at every sampled step."""
    return {step: kinds for step in SAMPLED}
