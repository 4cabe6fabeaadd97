"""Published versions from somebody else: no operation reads or writes files, no tensor lies elsewhere."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tensorflow as tf

from kerasnets import models
from kerasnets.artifacts.feed import Feed
from kerasnets.artifacts.graph import Graph
from kerasnets.artifacts.manifest import Manifest
from kerasnets.artifacts.safety import COMPUTING, check_saved_model
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.errors import CheckFailed, UserError
from kerasnets.inference.subject import open_runner


def manifest(**changes: Any) -> dict[str, Any]:
    return {
        **{"schema": 1, "name": "n", "version": 1, "formats": ["savedmodel"], "labels": ["a", "b"], "files": {}},
        "inputs": {"image": {"image": {"dtype": "float32", "shape": [None, None, None, 1]}}},
        "run": {"config": {}, "skipped": {}},
        **changes,
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../../outside"},
        {"labels": 3},
        {"formats": []},
        {"files": [1]},
        {"inputs": {}},
        {"run": None},
        {"inputs": {"image": {"image": {"dtype": 3, "shape": []}}}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_manifests_of_others(changes: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(manifest(**changes)))
    with pytest.raises(UserError, match="manifest.json is damaged: "):
        Manifest.read(tmp_path)


def save(module: tf.Module, path: Path, function: Callable[[tf.Tensor], Any]) -> Path:
    spec = tf.TensorSpec([None, None, None, 1], tf.float32, name="image")
    signature = tf.function(lambda image: {"probabilities": function(image)}, input_signature=[spec], autograph=False)
    tf.saved_model.save(module, str(path), signatures={"serving_default": signature})
    return path


def opened(path: Path) -> str:
    (path / "manifest.json").write_text(json.dumps(manifest()))
    with pytest.raises(CheckFailed) as error:
        open_runner(Manifest.read(path), "savedmodel")
    return str(error.value)


def answer(image: tf.Tensor) -> tf.Tensor:
    return tf.nn.softmax(tf.zeros([tf.shape(image)[0], 2]))


def after(operation: Callable[[], Any]) -> Callable[[tf.Tensor], tf.Tensor]:
    def function(image: tf.Tensor) -> tf.Tensor:
        with tf.control_dependencies([operation()]):
            return answer(image)

    return function


@pytest.mark.parametrize(("channels", "resize", "feed"), [(1, "pad", Feed()), (3, "crop", Feed("uint8", static=True))])
def test_what_exports_are_made_of_is_allowed(channels: int, resize: str, feed: Feed) -> None:
    zero, one = (0.0,) * channels, (1.0,) * channels
    preprocessing = Preprocessing((28, 28), channels, resize, 0.9, zero, one)  # type: ignore[arg-type]
    graph = Graph(models.build("lenet5", (28, 28, channels), 2), preprocessing, ("a", "b"), feed, {})
    used = set()
    for function in (graph.image_function(), graph.bytes_function()):
        found = function.get_concrete_function().graph.as_graph_def()
        used |= {node.op for node in found.node}
        used |= {node.op for function in found.library.function for node in function.node_def}
    assert used - COMPUTING == set()


@pytest.mark.slow
def test_a_saved_model_that_writes_or_reads_is_not_opened(tmp_path: Path, marker: Path) -> None:
    name = str(marker)
    attacks = {
        "WriteFile": lambda: tf.io.write_file(name, "x"),
        "ReadFile": lambda: tf.io.read_file("/etc/passwd"),
        "EagerPyFunc": lambda: tf.py_function(lambda: marker.touch() or 0, [], tf.int32),
        "SaveV2": lambda: tf.raw_ops.SaveV2(
            prefix=name, tensor_names=["a"], shape_and_slices=[""], tensors=[tf.zeros(1)]
        ),
        "PrintV2": lambda: tf.raw_ops.PrintV2(input="x", output_stream=f"file://{name}"),
    }
    for operation, attack in attacks.items():
        path = save(tf.Module(), tmp_path / operation, after(attack))
        assert (
            opened(path)
            == f"{path}/saved_model.pb holds the operation {operation}, of which no export is made; it was not opened"
        )
    assert not marker.exists()


@pytest.mark.slow
def test_a_saved_model_that_writes_as_soon_as_it_is_loaded(tmp_path: Path, marker: Path) -> None:
    class Harmful(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            initializer = tf.lookup.KeyValueTensorInitializer(["a"], [1])
            self.table = tf.lookup.StaticHashTable(initializer, -1)

    path = save(Harmful(), tmp_path / "table", answer)
    assert "was not opened" in opened(path)
    assert not marker.exists()


@pytest.mark.slow
def test_a_saved_model_whose_signature_calls_its_saver(tmp_path: Path) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    module = tf.Module()
    module.weight = tf.Variable(1.0)
    path = save(module, tmp_path / "saver", lambda image: answer(image) * module.weight)
    check_saved_model(path)
    file = path / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    functions = saved.meta_graphs[0].graph_def.library.function
    saver = next(f.signature.name for f in functions if "traced_save" in f.signature.name)
    other = next(f for f in functions if "traced" not in f.signature.name)
    node = other.node_def.add(name="attack", op="StatefulPartitionedCall")
    node.attr["f"].func.name = saver
    file.write_bytes(saved.SerializeToString())
    assert f"calls {saver}, which writes or reads files" in opened(path)
    saved.meta_graphs[0].ClearField("object_graph_def")
    file.write_bytes(saved.SerializeToString())
    assert "is not a SavedModel of TensorFlow 2" in opened(path)
    file.write_bytes(b"\xff" * 100)
    assert "was not opened" in opened(path)


@pytest.mark.slow
def test_a_saved_model_whose_signature_is_a_saver(tmp_path: Path, marker: Path) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    def attack() -> Any:
        return tf.raw_ops.SaveV2(prefix=str(marker), tensor_names=["a"], shape_and_slices=[""], tensors=[tf.zeros(1)])

    path = save(tf.Module(), tmp_path / "saver", after(attack))
    file = path / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    functions, objects = saved.meta_graphs[0].graph_def.library.function, saved.meta_graphs[0].object_graph_def
    signature = next(node.bare_concrete_function for node in objects.nodes if node.HasField("bare_concrete_function"))
    wrapper, saver = signature.concrete_function_name, "__inference__traced_save_99"
    objects.concrete_functions[saver].CopyFrom(objects.concrete_functions[wrapper])
    del objects.concrete_functions[wrapper]
    signature.concrete_function_name = saver
    for function in list(functions):
        if function.signature.name == wrapper:
            functions.remove(function)
        elif "traced" not in function.signature.name:  # what the wrapper calls
            function.signature.name = saver
    file.write_bytes(saved.SerializeToString())
    assert opened(path) == f"{file} answers by {saver}, which writes or reads files; it was not opened"
    assert list(tmp_path.glob("marker*")) == []
    tf.saved_model.load(str(path)).signatures["serving_default"](image=tf.zeros([1, 2, 2, 1]))
    assert list(tmp_path.glob("marker*"))  # it would have


@pytest.mark.parametrize("place", ["../secret", "inside", "/etc/hostname"])
def test_an_onnx_file_holds_its_tensors_itself(place: str, tmp_path: Path) -> None:
    version = tmp_path / "version"
    version.mkdir()
    for path in (tmp_path / "secret", version / "inside"):
        path.write_bytes(np.zeros(2, np.float32).tobytes())
    weight = onnx.TensorProto(name="weight", data_type=1, dims=[1, 2], data_location=onnx.TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value=place)
    value = onnx.helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, [1, 2])
    node = onnx.helper.make_node("Identity", ["weight"], ["probabilities"])
    opset = onnx.helper.make_opsetid("", 17)
    graph = onnx.helper.make_graph([node], "g", [], [value], [weight])
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    onnx.helper.set_model_props(model, {"labels": '["a", "b"]'})
    (version / "model.onnx").write_bytes(model.SerializeToString())
    (version / "manifest.json").write_text(json.dumps(manifest(formats=["onnx"])))
    with pytest.raises(UserError, match=r"model.onnx cannot be opened: "):
        open_runner(Manifest.read(version), "onnx")
    weight.ClearField("external_data")
    weight.data_location = onnx.TensorProto.DEFAULT
    weight.raw_data = bytes(8)
    model.graph.initializer[0].CopyFrom(weight)
    (version / "model.onnx").write_bytes(model.SerializeToString())
    assert open_runner(Manifest.read(version), "onnx").labels == ("a", "b")
