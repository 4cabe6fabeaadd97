"""LiteRT and OpenVINO files from somebody else: no code of others, no other file."""

import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from kerasnets.artifacts.manifest import Manifest
from kerasnets.console import hidden_stderr
from kerasnets.errors import CheckFailed, UserError
from kerasnets.inference.subject import open_runner


def version(path: Path, form: str) -> Manifest:
    """Write the manifest of a version with one format, two classes and grey images of any size."""
    manifest = {
        **{"schema": 1, "name": "n", "version": 1, "formats": [form], "labels": ["a", "b"], "files": {}},
        "inputs": {"image": {"image": {"dtype": "float32", "shape": [None, None, None, 1]}}},
        "run": {"config": {}, "skipped": {}},
    }
    (path / "manifest.json").write_text(json.dumps(manifest))
    return Manifest.read(path)


def lite(function: Callable[[tf.Tensor], tf.Tensor], *, custom: bool = False) -> bytes:
    """Return a .tflite file with our interface and labels that computes a function."""
    spec = tf.TensorSpec([None, None, None, 1], tf.float32, name="image")
    signature = tf.function(lambda image: {"probabilities": function(image)}, input_signature=[spec], autograph=False)
    concrete = signature.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())
    converter.allow_custom_ops = custom
    with hidden_stderr():
        buffer = io.BytesIO(converter.convert())
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("labels.txt", "a\nb\n")
    return buffer.getvalue()


def answer(image: tf.Tensor) -> tf.Tensor:
    return tf.nn.softmax(tf.reduce_mean(image, axis=(1, 2)) * tf.constant([[1.0, 2.0]]))


def test_a_lite_model_that_only_computes_is_opened(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(lite(answer))
    runner = open_runner(version(tmp_path, "litert"), "litert")
    assert runner.labels == ("a", "b")
    assert runner(np.ones((2, 3, 4, 1), np.float32)).shape == (2, 2)


def test_a_lite_model_with_operations_of_others_is_not_opened(tmp_path: Path) -> None:
    def reads(image: tf.Tensor) -> tf.Tensor:
        size = tf.strings.length(tf.io.read_file("/etc/passwd"))
        return answer(image + tf.cast(size, tf.float32))

    (tmp_path / "model.tflite").write_bytes(lite(reads, custom=True))
    message = r"model.tflite holds the custom operation \w+, of which no export is made; it was not opened$"
    with pytest.raises(CheckFailed, match=message):
        open_runner(version(tmp_path, "litert"), "litert")


def test_a_lite_model_whose_weights_are_elsewhere_is_not_opened(tmp_path: Path) -> None:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    content = lite(answer)
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    group, weights = schema.ExternalBufferGroupT(), schema.ExternalBufferT()
    group.name, weights.length = "/etc/passwd", 8
    model.externalBufferGroups, model.externalBuffers = [group], [weights]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    (tmp_path / "model.tflite").write_bytes(bytes(builder.Output()))
    with pytest.raises(CheckFailed, match="model.tflite has weights in other files; it was not opened$"):
        open_runner(version(tmp_path, "litert"), "litert")


@pytest.mark.parametrize("content", [b"", b"TFL3" * 50, b"\xff" * 400], ids=["empty", "words", "ones"])
def test_what_is_no_lite_model_is_not_opened(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(content)
    with pytest.raises((CheckFailed, UserError), match=r"model.tflite .*(was not opened|cannot be opened)"):
        open_runner(version(tmp_path, "litert"), "litert")


def test_labels_in_a_compressed_archive_are_not_read(tmp_path: Path) -> None:
    content = lite(answer)
    buffer = io.BytesIO(content[: content.index(b"PK\x03\x04")])
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.txt", "a\n" * 10_000_000)
    (tmp_path / "model.tflite").write_bytes(buffer.getvalue())
    with pytest.raises(UserError, match="model.tflite cannot be opened: ValueError: labels.txt is compressed$"):
        open_runner(version(tmp_path, "litert"), "litert")


def intermediate(path: Path) -> Path:
    """Write an OpenVINO model with our interface and labels; return its XML file."""
    import openvino
    from openvino import opset13 as ops

    image = ops.parameter([-1, -1, -1, 1], np.float32, name="image")
    mean = ops.reduce_mean(image, ops.constant(np.array([1, 2])), False)
    logits = ops.multiply(mean, ops.constant(np.array([[1.0, 2.0]], np.float32)))
    probabilities = ops.softmax(logits, 1)
    image.output(0).tensor.set_names({"image"})
    probabilities.output(0).tensor.set_names({"probabilities"})
    model = openvino.Model([probabilities], [image], "n")
    model.set_rt_info('["a", "b"]', ["kerasnets", "labels"])
    (path / "openvino").mkdir()
    openvino.save_model(model, str(path / "openvino" / "model.xml"), compress_to_fp16=False)
    return path / "openvino" / "model.xml"


def test_an_openvino_model_reads_no_other_file(tmp_path: Path) -> None:
    xml = intermediate(tmp_path)
    manifest = version(tmp_path, "openvino")
    runner = open_runner(manifest, "openvino")
    assert runner.labels == ("a", "b")
    assert runner(np.ones((2, 3, 4, 1), np.float32)).shape == (2, 2)
    text = xml.read_text()
    xml.with_suffix(".bin").write_bytes(b"")
    with pytest.raises(UserError, match="model.xml cannot be opened: RuntimeError"):
        open_runner(manifest, "openvino")
    xml.with_suffix(".bin").write_bytes(bytes(64))
    xml.write_text(re.sub(r'offset="\d+"', 'offset="99999999"', text))
    with pytest.raises(UserError, match="model.xml cannot be opened: RuntimeError"):
        open_runner(manifest, "openvino")
    xml.write_text(re.sub(r'type="SoftMax"', 'type="ReadFile"', text))
    with pytest.raises(UserError, match="model.xml cannot be opened: RuntimeError"):
        open_runner(manifest, "openvino")


def test_entities_in_an_openvino_model_are_not_read(tmp_path: Path) -> None:
    xml = intermediate(tmp_path)
    (tmp_path / "secret").write_text('["a", "b"]')
    declared = f'<!DOCTYPE net [<!ENTITY secret SYSTEM "file://{tmp_path}/secret">]>\n<net '
    text = xml.read_text().replace("<net ", declared, 1)
    xml.write_text(re.sub(r'value="\[[^"]*"', 'value="&secret;"', text))
    assert "&secret;" in xml.read_text()
    with pytest.raises(UserError, match="model.xml cannot be opened: "):
        open_runner(version(tmp_path, "openvino"), "openvino")
