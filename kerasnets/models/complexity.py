"""What a model costs: parameters, multiply-accumulates, activations; as a whole and by stage.

From `complexity.json` `kerasnets models` lists every model without building it; `make goldens` writes it, and a test
compares it with what is built.
"""

import json
import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("complexity.json")


@dataclass(frozen=True)
class Complexity:
    """Costs of one image. MACs and activations (output elements) are those of convolutions and dense layers alone."""

    parameters: int
    trainable: int
    macs: int
    activations: int


@dataclass(frozen=True)
class Stage:
    """A stage of a model: its name, its output's shape without the batch, and its costs."""

    name: str
    output_shape: tuple[int, ...]
    cost: Complexity


def outline(name: str, *arguments: Any, **options: Any) -> Any:
    """Build a model as `models.build` does, but allocate no weights: enough to count, in a tenth of the time."""
    from kerasnets.models import build
    from kerasnets.models.shapes import shapes_only

    with shapes_only():
        return build(name, *arguments, **options)


def count(model: Any) -> Complexity:
    """Count a `keras.Model` with all its heads; `models.main(model)` is what is served."""
    return _count(model.layers)


def stages(model: Any) -> list[Stage]:
    """Return the costs of each stage, in the order of `layers_of_stages`."""
    stages = layers_of_stages(model)
    return [Stage(name, tuple(layers[-1].output.shape[1:]), _count(layers)) for name, layers in stages.items()]


def layers_of_stages(model: Any) -> dict[str, list[Any]]:
    """Return the layers of each stage, what their names begin with, in the order of the graph; heads come last."""
    groups: dict[str, list[Any]] = {}
    for layer in model.layers:
        groups.setdefault(_stage(layer.name), []).append(layer)
    del groups["image"]
    return dict(sorted(groups.items(), key=lambda group: group[0].startswith("softmax")))


def _stage(layer: str) -> str:
    """Return the stage of a layer: `conv2` of conv2_block1_1_bn, `inception_4a` of inception_4a_3x3_conv."""
    match = re.match(r"inception_\d[a-z]|avg_pool|[a-z]+\d*", layer)
    return match[0] if match else layer


def _count(layers: Iterable[Any]) -> Complexity:
    parameters = trainable = macs = activations = 0
    for layer in layers:
        parameters += sum(math.prod(variable.shape) for variable in layer.weights)
        trainable += sum(math.prod(variable.shape) for variable in layer.trainable_weights)
        if hasattr(layer, "kernel"):
            positions = math.prod(layer.output.shape[1:-1])  # each uses the whole kernel once
            macs += positions * math.prod(layer.kernel.shape)
            activations += positions * layer.output.shape[-1]
    return Complexity(parameters, trainable, macs, activations)


def published() -> dict[str, Complexity]:
    """Return the costs of every row of `MODELS` as it is served, without auxiliary heads, from the shipped table."""
    costs = json.loads(TABLE.read_text(encoding="utf-8"))["models"]
    return {name: Complexity(**cost) for name, cost in costs.items()}


def write_table() -> None:
    """Build every row of `MODELS` and write the shipped table."""
    from kerasnets.models import MODELS, main

    costs = {name: asdict(count(main(outline(name)))) for name in MODELS}
    TABLE.write_text(json.dumps({"schema": 1, "models": costs}, indent=1) + "\n", encoding="utf-8")
