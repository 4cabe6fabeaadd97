"""PyTorch files for `make proof-parity`: of every shape that people save, and such as nobody should.

Here and not in the suite, which has no torch.
"""

import tempfile
import zipfile
from pathlib import Path
from typing import Any

import parity_torch as real
import torch
from attacks import Payload
from drawn_weights import CLASSES

from kerasnets import models
from kerasnets.errors import UserError
from kerasnets.models import pretrained


def attacks() -> list[str]:
    """See that files which are no plain state dict are read as they should be, or refused without running anything.

    Returns a line for each; raises where one is not so.
    """
    state = real.build("torchvision", "resnet18", CLASSES).state_dict()
    model = models.build("resnet18", (64, 64, 3), CLASSES, stem="imagenet")
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        path, marker = Path(folder) / "file.pth", Path(folder) / "marker"
        for what, content in {
            "a training script's checkpoint": {"state_dict": state, "epoch": 3, "optimizer": {"lr": 0.1}},
            "DataParallel's names": {f"module.{name}": value for name, value in state.items()},
            "half precision": {
                name: value.half() if value.is_floating_point() else value for name, value in state.items()
            },
        }.items():
            torch.save(content, path)
            loaded = pretrained.load(model, path)
            assert {tensor.state for tensor in loaded.tensors} == {"loaded"}
            lines.append(f"{what}: read")
        torch.save(state, path, _use_new_zipfile_serialization=False)
        assert pretrained.load(model, path).family == "torchvision"
        lines.append("the format before torch 1.6: read")
        hostile = {"code in a pickle": {**state, "more": Payload(marker)}, "a whole module": torch.nn.Linear(1, 1)}
        for what, content in hostile.items():
            torch.save(content, path)
            lines.append(f"{what}: {refusal(model, path)}")
        wide = {name: torch.zeros(1).expand(10**12) if name == "fc.bias" else value for name, value in state.items()}
        torch.save(wide, path)
        lines.append(f"a tensor that repeats itself: {refusal(model, path)}")
        torch.save(state, path)
        lines.append(f"compressed: {refusal(model, compressed(path))}")
        path.write_bytes(path.read_bytes()[:100_000])
        lines.append(f"cut off: {refusal(model, path)}")
        path.write_bytes(b"")
        lines.append(f"empty: {refusal(model, path)}")
        assert not marker.exists()
    return lines


def refusal(model: Any, path: Path) -> str:
    try:
        pretrained.load(model, path)
    except UserError as error:
        return f"refused, {str(error).removeprefix(str(path))[1:]}"
    raise AssertionError(f"{path} was read")


def compressed(path: Path) -> Path:
    """Write a zip file's members again, deflated."""
    packed = path.with_name("packed.pth")
    with zipfile.ZipFile(path) as members, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
        for name in members.namelist():
            made.writestr(name, members.read(name))
    return packed
