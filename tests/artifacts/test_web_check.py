"""What of a web folder is refused besides its network: the resize and the page."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from kerasnets.artifacts.feed import Feed
from kerasnets.artifacts.formats import web
from kerasnets.artifacts.web import check, page
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.errors import CheckFailed

PREPROCESSING = Preprocessing((4, 4), 1, "squash", 1.0, (0.0,), (1.0,))
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 1)).astype(np.float32)
REFERENCE = SimpleNamespace(preprocessing=PREPROCESSING, labels=("a", "b"))


def write_resize(path: Path, grey_levels: float) -> None:
    """Write a resize for images that have the right size: all that it does is to add to the pixels."""
    off = onnx.numpy_helper.from_array(np.float32(grey_levels), "off")
    nodes = [
        onnx.helper.make_node("Cast", ["image"], ["cast"], to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node("Add", ["cast", "off"], ["pixels"]),
    ]
    image = onnx.helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, ["N", 4, 4, 1])
    pixels = onnx.helper.make_tensor_value_info("pixels", onnx.TensorProto.FLOAT, ["N", 4, 4, 1])
    graph = onnx.helper.make_graph(nodes, "resize", [image], [pixels], [off])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())


def refusal(directory: Path) -> str:
    with pytest.raises(CheckFailed) as error:
        check.check(web, None, REFERENCE, Feed(), directory, IMAGES)  # type: ignore[arg-type]
    return str(error.value)


def test_another_resize_or_other_classes_are_refused(tmp_path: Path) -> None:
    known = {"name": "n", "model": "m", "labels": ["b", "a"], "size": [4, 4], "temperature": 1.0}
    (tmp_path / "web").mkdir()
    (tmp_path / web.PAGE).write_text(page.html(known, eight_bits=False), encoding="utf-8")
    write_resize(tmp_path / web.RESIZE, 0.02)
    assert refusal(tmp_path) == "web: resize: its pixels are not those of training; at most 0.01 grey levels apart"
    write_resize(tmp_path / web.RESIZE, 0.0)
    assert refusal(tmp_path) == "web: page: it shows other classes than the run has; it must show those"
