"""Our models with drawn weights compute what the real torchvision and timm models with them computed.

recorded.json is external: `make proof-parity` writes it from the real models alone, and checks it.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import recorded_outputs
from drawn_weights import CLASSES, differs, digest, images, labels, state
from one_step import training_pass
from safetensors.numpy import save_file

from kerasnets import models
from kerasnets.models import pretrained

MODELS = recorded_outputs.read()


@pytest.mark.slow
@pytest.mark.parametrize("recorded", MODELS, ids=[f"{entry['library']}-{entry['name']}" for entry in MODELS])
def test_same_numbers(recorded: dict[str, Any], tmp_path: Path) -> None:
    size = recorded["size"]
    model = models.build(recorded["ours"], (size, size, 3), CLASSES, stem="imagenet", **recorded["options"])
    shapes = {name: value.shape for name, value in pretrained.export(model, recorded["library"]).items()}
    assert digest(shapes) == recorded["tensors"]  # the names and shapes of the real model's state dict
    save_file(state(shapes), tmp_path / "weights.safetensors")
    loaded = pretrained.load(model, tmp_path / "weights.safetensors")
    assert (loaded.unused, {tensor.state for tensor in loaded.tensors}) == ((), {"loaded"})

    ours = np.asarray(models.main(model)(images(size), training=False))[: recorded_outputs.IMAGES]
    assert differs(ours, recorded["inference"]) < 1e-4
    step = training_pass(model, images(size), labels())
    for head, expected in zip(step.outputs.values(), recorded["training"], strict=True):
        assert differs(head[: recorded_outputs.IMAGES], expected) < 1e-4
    assert abs(step.loss - recorded["loss"]) < 1e-4 * recorded["loss"]
    moving = {name: recorded_outputs.gist(step.moving[name]) for name in recorded["moving"]}
    assert {name: differs(moving[name], one) < 1e-4 for name, one in recorded["moving"].items()} == dict.fromkeys(
        moving, True
    )
