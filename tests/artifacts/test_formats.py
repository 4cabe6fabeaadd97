"""What is in the files: names, shapes, labels, and nothing that should not be."""

import json
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
from untrained import GOOGLENET, RESNET, SIZE, make_run

from kerasnets import models
from kerasnets.artifacts import tf2onnx_strict
from kerasnets.artifacts.formats import FORMATS
from kerasnets.artifacts.graph import in_float32, serving_graph
from kerasnets.artifacts.verify import verify
from kerasnets.errors import CheckFailed
from kerasnets.run import Run


@pytest.fixture(scope="module")
def onnx_file(photo_resnet: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("onnx")
    FORMATS["onnx"].write(serving_graph(photo_resnet), directory)
    return directory / "model.onnx"


def test_onnx_names_shapes_and_opset(onnx_file: Path) -> None:
    model = onnx.load(onnx_file)

    def shapes(values: list[onnx.ValueInfoProto]) -> dict[str, list[str | int]]:
        dims = {value.name: value.type.tensor_type.shape.dim for value in values}
        return {name: [d.dim_param or d.dim_value for d in shape] for name, shape in dims.items()}

    assert shapes(list(model.graph.input)) == {"image": ["N", "H", "W", 3]}
    assert shapes(list(model.graph.output)) == {"probabilities": ["N", 4]}
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == 17
    assert {node.domain for node in model.graph.node} == {""}
    onnx.checker.check_model(model, full_check=True)


def test_onnx_carries_its_labels(onnx_file: Path) -> None:
    properties = {entry.key: entry.value for entry in onnx.load(onnx_file).metadata_props}
    assert json.loads(properties["labels"]) == ["astronaut", "chelsea", "coffee", "rocket"]
    assert properties["task"] == "image-classification"
    assert FORMATS["onnx"].open(onnx_file.parent).labels == ("astronaut", "chelsea", "coffee", "rocket")


@pytest.mark.slow
def test_savedmodel_signatures_labels_and_variables(photo_googlenet: Run, tmp_path: Path) -> None:
    graph = serving_graph(photo_googlenet)
    FORMATS["savedmodel"].write(graph, tmp_path)
    assert (tmp_path / "assets" / "labels.txt").read_text() == "astronaut\nchelsea\ncoffee\nrocket\n"
    kept = {v.path for v in models.main(models.load(photo_googlenet.model_file)).weights}
    stored = {
        name.removeprefix("parameters/").removesuffix("/.ATTRIBUTES/VARIABLE_VALUE").replace(".S", "/")
        for name, _ in tf.train.list_variables(str(tmp_path / "variables" / "variables"))
        if name.startswith("parameters/")
    }
    assert stored == kept
    loaded = tf.saved_model.load(str(tmp_path))
    assert set(loaded.signatures) == {"serving_default", "bytes", "explain"}
    runner = FORMATS["savedmodel"].open(tmp_path)
    assert runner.signatures == {name: graph.interface[name] for name in FORMATS["savedmodel"].ENDPOINTS}
    assert runner.signatures["bytes"]["inputs"] == {"image_bytes": {"dtype": "string", "shape": [None]}}


def test_an_error_that_tf2onnx_only_logs_is_a_failure() -> None:
    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32, name="image")])
    def shrink(image: tf.Tensor) -> tf.Tensor:
        return tf.image.resize(image, (8, 8), antialias=True)

    with pytest.raises(CheckFailed, match="^onnx: the graph cannot be converted: .*ScaleAndTranslate"):
        tf2onnx_strict.convert(shrink, opset=17)


def test_a_mixed_precision_model_is_rebuilt_in_float32() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = models.main(models.build("googlenet", (SIZE, SIZE, 3), 4, width=0.1))
    finally:
        keras.config.set_dtype_policy("float32")
    plain = in_float32(mixed)
    assert {layer.compute_dtype for layer in mixed.layers if layer.weights} == {"bfloat16"}
    assert {layer.compute_dtype for layer in plain.layers} == {"float32"}
    for found, expected in zip(plain.get_weights(), mixed.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    images = np.random.default_rng(0).normal(size=(2, SIZE, SIZE, 3)).astype(np.float32)
    fresh = models.main(models.build("googlenet", (SIZE, SIZE, 3), 4, width=0.1))
    fresh.set_weights(mixed.get_weights())
    np.testing.assert_allclose(plain(images), fresh(images), rtol=1e-5, atol=1e-6)
    assert in_float32(fresh) is fresh


@pytest.mark.slow
@pytest.mark.parametrize(
    ("export", "shape"),
    [
        ({"static_shape": True}, ["N", 24, 24, 3]),
        ({"input_dtype": "uint8"}, ["N", "H", "W", 3]),
        ({"static_shape": True, "input_dtype": "uint8"}, ["N", 24, 24, 3]),
    ],
)
@pytest.mark.parametrize("resize", ["crop", "squash", "pad"])
def test_other_inputs_pass_verification(
    photos: Path, tmp_path: Path, export: dict[str, object], shape: list[str | int], resize: str
) -> None:
    data = {"resize": resize, "crop_ratio": 0.875 if resize == "crop" else 1.0}
    run = make_run(tmp_path / "run", photos, RESNET, export=export, data=data)
    graph = serving_graph(run)
    FORMATS["onnx"].write(graph, tmp_path)
    dims = onnx.load(tmp_path / "model.onnx").graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in dims] == shape
    assert verify(run, tmp_path, ["onnx"], graph.interface)["onnx"].probabilities < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    "normalize",
    ["mean_image", *(pytest.param(name, marks=pytest.mark.variant) for name in ("imagenet", "unit", "none"))],
)
def test_other_normalisations_pass_verification(photos: Path, tmp_path: Path, normalize: str) -> None:
    run = make_run(tmp_path / "run", photos, GOOGLENET, data={"normalize": normalize})
    graph = serving_graph(run)
    for form in ("savedmodel", "onnx"):
        FORMATS[form].write(graph, tmp_path)
    found = verify(run, tmp_path, ["savedmodel", "onnx"], graph.interface)
    assert max(parity.probabilities for parity in found.values()) < 1e-5
