"""`make proof-parity`: our models with the weights of the real torchvision and timm models compute what those compute.

Each real model gets random weights, which follow from its tensors' names and shapes; it saves them as .pth and
.safetensors; our loader reads both. Compared are the logits in inference, and of one step of training the logits of
every head, the loss, the gradient of every variable and the moving statistics, each relative to the largest value of
its tensor. Gradients are compared in float64: in float32 a ReLU's input that is 0 but for rounding is now and then on
the other side, and a whole gradient goes another way. Fails unless all differ by less than 1e-4, both files come back
from our model bit for bit, files that hold more than tensors are refused, and the recorded outputs that the fast tests
use are those of the real models.

    python tests/proofs/parity.py [NAME ...] [--record]

Runs in an environment with torch, torchvision and timm, which `make proof-parity` makes.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "proofs")]
import keras  # noqa: E402
import numpy as np  # noqa: E402
import parity_torch as real  # noqa: E402
import torch  # noqa: E402
from drawn_weights import CLASSES, COUNT, differs, digest, images, labels  # noqa: E402
from one_step import one_step  # noqa: E402
from parity_files import attacks  # noqa: E402
from recorded_outputs import RECORDED, gist, logits, read, some  # noqa: E402

from kerasnets import models  # noqa: E402
from kerasnets.models import pretrained  # noqa: E402
from kerasnets.models.pretrained import families  # noqa: E402

TOLERANCE = 1e-4
RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
GOOGLENET = {"dropout": 0.0, "auxiliary_dropout": 0.0}


class Case(NamedTuple):
    """A real model, and ours that takes its weights."""

    library: str
    name: str
    ours: str
    options: dict[str, Any]
    size: int

    @property
    def label(self) -> str:
        return f"{self.library} {self.name}"


CASES = (
    *(Case("torchvision", name, name, {}, 64) for name in RESNETS),
    Case("torchvision", "googlenet", "googlenet_torchvision", GOOGLENET, 224),
    *(Case("timm", name, name, {}, 64) for name in RESNETS),
    Case("timm", "resnet26", "resnet50", {"blocks": [2, 2, 2, 2]}, 64),
)


class Result(NamedTuple):
    """Largest relative differences, and whether the weights came back bit for bit."""

    inference: float
    outputs: float
    loss: float
    gradients: float
    moving: float
    round_trip: bool

    @property
    def holds(self) -> bool:
        return self.round_trip and max(self[:5]) < TOLERANCE


def compare(case: Case, folder: Path) -> Result:
    """Build both, carry the weights over by files, and compare what they compute."""
    theirs = real.build(case.library, case.name, CLASSES)
    state = {key: value.numpy().copy() for key, value in theirs.state_dict().items()}
    paths = save(theirs, folder)
    batch = images(case.size)
    expected = real.compute(theirs, real.inputs(batch, case.name == "googlenet"), labels())
    model = build(case)
    round_trip = all(comes_back(model, path, state, case.library) for path in paths)
    ours = np.asarray(models.main(model)(batch, training=False))
    step = one_step(model, batch, labels())
    family = families.GOOGLENET if case.name == "googlenet" else families.RESNET
    return Result(
        differs(ours, expected.inference),
        max(differs(one, other) for one, other in zip(step.outputs.values(), expected.outputs, strict=True)),
        differs(step.loss, expected.loss),
        max(gradients(case, family, paths[1]).values()),
        max(moving(family, model, step.moving, expected.moving, state)),
        round_trip,
    )


def build(case: Case) -> Any:
    """Return our model."""
    return models.build(case.ours, (case.size, case.size, 3), CLASSES, stem="imagenet", **case.options)


def save(model: torch.nn.Module, folder: Path) -> tuple[Path, Path]:
    """Save a model's weights as PyTorch and as safetensors do."""
    from safetensors.torch import save_file

    paths = folder / "model.pth", folder / "model.safetensors"
    torch.save(model.state_dict(), paths[0])
    save_file(model.state_dict(), paths[1])
    return paths


def comes_back(model: Any, path: Path, state: dict[str, np.ndarray], library: str) -> bool:
    """Load a file into the model after it was emptied; return whether it gives the very tensors of the file again."""
    for variable in model.weights:
        variable.assign(np.zeros(variable.shape))
    loaded = pretrained.load(model, path)
    assert {tensor.state for tensor in loaded.tensors} == {"loaded"} and not loaded.unused
    back = pretrained.export(model, library if library == "timm" else loaded.family)
    return set(back) == set(state) and all(np.array_equal(back[k], state[k]) for k in state)


def gradients(case: Case, family: Any, weights: Path) -> dict[str, float]:
    """Return our name -> difference of the gradient, all in float64."""
    theirs = real.build(case.library, case.name, CLASSES).double()
    batch = images(case.size).astype(np.float64)
    batch_there = real.inputs(batch, case.name == "googlenet", "float64")
    gradient = real.compute(theirs, batch_there, labels()).gradients
    expected = {family.plain(name): family.to_ours(family.plain(name), value) for name, value in gradient.items()}
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        model = build(case)
        pretrained.load(model, weights)
        ours = one_step(model, batch, labels()).gradients
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
    found = {families.neutral(path): value for path, value in ours.items()}
    assert set(found) == set(expected)
    return {plain: differs(found[plain], expected[plain]) for plain in found}


def moving(family: Any, model: Any, ours: Any, theirs: Any, before: dict[str, np.ndarray]) -> Iterator[float]:
    """Yield differences of the moving statistics after the step.

    PyTorch moves towards the variance of the batch with n - 1, Keras towards that with n; the rest is the same.
    """
    layers = {layer.name: layer for layer in model.layers}
    for name, value in theirs.items():
        plain = family.plain(name)
        if name.endswith("running_var"):
            n = COUNT * int(np.prod(layers[plain.rpartition("/")[0]].output.shape[1:3]))
            step = value - 0.9 * before[name]
            value = 0.9 * before[name] + step * (n - 1) / n
        yield differs(ours[plain], value)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these, such as resnet18")
    parser.add_argument("--record", action="store_true", help="write the recorded outputs anew")
    arguments = parser.parse_args()
    real.import_torchvision()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; {versions()}\n")
    chosen = [case for case in CASES if not arguments.names or case.name in arguments.names]
    holds = table(chosen)
    print("\nfiles:", *(f"\n  {line}" for line in attacks()))
    if arguments.record:
        RECORDED.write_text(shown(record()), encoding="utf-8")
        print(f"\nwritten: {RECORDED.relative_to(ROOT)}")
    else:
        holds &= check_recorded()
    print("\nholds" if holds else "\ndoes not hold")
    return 0 if holds else 1


def versions() -> str:
    from importlib.metadata import version

    return ", ".join(f"{name} {version(name)}" for name in ("torch", "torchvision", "timm", "tensorflow", "keras"))


def table(cases: list[Case]) -> bool:
    """Print a row for each case, and return whether all hold."""
    columns = ("inference", "training: logits", "loss", "gradients (float64)", "moving statistics")
    print("|", " | ".join(("real model", "px", *columns, "files", "seconds")), "|")
    print("|---|---|---|---|---|---|---|---|---|")
    holds = True
    for case in cases:
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            result = compare(case, Path(folder))
        figures = " | ".join(f"{figure:.1e}" for figure in result[:5])
        back = "bit for bit" if result.round_trip else "differ"
        seconds = time.perf_counter() - began
        print(f"| {case.label} | {case.size} | {figures} | {back} | {seconds:.0f} |", flush=True)
        holds &= result.holds
    return holds


SMALL = (
    *(Case("torchvision", name, name, {}, 64) for name in ("resnet18", "resnet50")),
    Case("torchvision", "googlenet", "googlenet_torchvision", GOOGLENET, 96),
    Case("timm", "resnet26", "resnet50", {"blocks": [2, 2, 2, 2]}, 64),
)
"""What is recorded for the fast tests."""


def record() -> dict[str, Any]:
    """Return what the recorded file holds: names, outputs and moving means of real models alone."""
    found = []
    for case in SMALL:
        theirs = real.build(case.library, case.name, CLASSES)
        shapes = {key: tuple(value.shape) for key, value in theirs.state_dict().items()}
        expected = real.compute(theirs, real.inputs(images(case.size), case.name == "googlenet"), labels())
        family = families.GOOGLENET if case.name == "googlenet" else families.RESNET
        means = {name: value for name, value in expected.moving.items() if name.endswith("running_mean")}
        entry = case._asdict() | {"tensors": digest(shapes), "inference": logits(expected.inference)}
        entry |= {"training": [logits(head) for head in expected.outputs], "loss": expected.loss}
        entry["moving"] = {family.plain(name): gist(means[name]) for name in some(list(means))}
        found.append(entry)
    source = f"{versions()}, by `make proof-parity`"
    return {"schema": 1, "mark": "external", "source": source, "models": found}


def shown(document: dict[str, Any]) -> str:
    """Return a document as JSON, a line for each model."""
    rest = json.dumps({key: value for key, value in document.items() if key != "models"})
    lines = ",\n".join(f"  {json.dumps(entry)}" for entry in document["models"])
    return f'{rest[:-1]}, "models": [\n{lines}\n]}}\n'


def check_recorded() -> bool:
    """Compare what is recorded with what the real models give now."""
    worst = 0.0
    for now, then in zip(record()["models"], read(), strict=True):
        assert {key: now[key] for key in ("library", "name", "ours", "options", "size", "tensors")} == {
            key: then[key] for key in ("library", "name", "ours", "options", "size", "tensors")
        }
        worst = max(worst, *(differs(one, other) for one, other in zip(numbers(now), numbers(then), strict=True)))
    print(f"\nrecorded outputs: {worst:.1e} off the real models'")
    return worst < TOLERANCE


def numbers(entry: dict[str, Any]) -> list[Any]:
    """Return every number that an entry records, tensor for tensor."""
    return [entry["inference"], *entry["training"], entry["loss"], *entry["moving"].values()]


if __name__ == "__main__":
    sys.exit(main())
