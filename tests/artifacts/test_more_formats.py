"""Formats besides SavedModel and ONNX: what is in the files, that they need nothing else, and int8's limits."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import keras
import numpy as np
import onnx
import pytest
from untrained import RESNET, make_run

from kerasnets.artifacts import calibration
from kerasnets.artifacts.export import check_formats, export
from kerasnets.artifacts.formats import FORMATS
from kerasnets.artifacts.graph import NETWORK, PREPROCESSING, scope, serving_graph
from kerasnets.artifacts.manifest import Manifest
from kerasnets.artifacts.verify import verify
from kerasnets.config import Config
from kerasnets.errors import CheckFailed, UserError
from kerasnets.inference.evaluate import evaluate
from kerasnets.inference.subject import open_runner, open_subject
from kerasnets.run import Run

LABELS = ("astronaut", "chelsea", "coffee", "rocket")
NEW = ("onnx-int8", "litert", "litert-int8", "openvino")


@pytest.fixture(scope="module")
def version(photo_resnet: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version of the photographs' run in every format but SavedModel."""
    return export(photo_resnet, to=tmp_path_factory.mktemp("store"), formats=["onnx", *NEW], force=True).path


def test_the_config_knows_every_format() -> None:
    annotation = Config.model_fields["export"].annotation.model_fields["formats"].annotation
    assert get_args(get_args(annotation)[0]) == tuple(FORMATS)


@pytest.mark.parametrize("form", ["litert", "litert-int8", "openvino"])
def test_what_is_not_installed_is_named(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package, extra = FORMATS[form].NEEDS or ("", "")
    monkeypatch.setitem(sys.modules, package, None)
    name = package.replace("_", "-")
    message = f"the format {form} needs {name}; install it with: pip install 'kerasnets[{extra}]'"
    with pytest.raises(UserError) as error:
        check_formats(["onnx", form])
    assert str(error.value) == message


def test_calibration_images_are_training_images(photo_resnet: Run) -> None:
    batches = list(calibration.images(photo_resnet, 3))
    assert sum(len(batch) for batch in batches) == 32
    assert {batch.dtype for batch in batches} == {np.dtype("float32")}
    for batch, again in zip(batches, calibration.images(photo_resnet, 3), strict=True):
        np.testing.assert_array_equal(batch, again)


def test_int8_onnx_leaves_the_resize_alone(photo_resnet: Run, tmp_path: Path) -> None:
    FORMATS["onnx-int8"].write(serving_graph(photo_resnet), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["model.int8.onnx"]
    model = onnx.load(tmp_path / "model.int8.onnx")
    made = {output: node for node in model.graph.node for output in node.output}
    weights = {tensor.name: tensor for tensor in model.graph.initializer}

    def quantized(node: onnx.NodeProto) -> bool:
        return all(made[name].op_type == "DequantizeLinear" for name in node.input[:2] if name in made)

    products = [node for node in model.graph.node if node.op_type in ("Conv", "MatMul", "Gemm")]
    inside = [node for node in products if "preprocessing" not in node.name]
    assert len(products) - len(inside) == 2
    assert not any(quantized(node) for node in products if "preprocessing" in node.name)
    assert all(quantized(node) for node in inside)
    for node in inside:
        kernel, scale = made[node.input[1]].input[:2]
        assert weights[kernel].data_type == onnx.TensorProto.INT8
        if node.op_type == "Conv":
            assert weights[scale].dims == [weights[kernel].dims[0]]
        zero = made[node.input[0]].input[2]
        assert weights[zero].data_type == onnx.TensorProto.UINT8
    assert FORMATS["onnx-int8"].open(tmp_path).labels == LABELS


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("preprocessing/MatMul_1", PREPROCESSING),
        ("network/resnet/conv1/convolution", NETWORK),
        ("network/net/preprocessing/MatMul", NETWORK),  # layers that a user called so
        ("network/net/my_preprocessing_block/MatMul", NETWORK),
        ("StatefulPartitionedCall/network/net/dense/MatMul", NETWORK),
        ("my_network/x", None),
        ("truediv", None),
    ],
)
def test_the_outer_scope_of_an_operation_counts(name: str, expected: str | None) -> None:
    assert scope(name) == expected


def test_without_images_nothing_is_quantised(photo_resnet: Run) -> None:
    graph = replace(serving_graph(photo_resnet), calibration=calibration.nothing)
    with pytest.raises(CheckFailed, match="^litert-int8: there are no training images to measure activations on$"):
        next(graph.calibrated("litert-int8"))


def test_an_operation_that_litert_lacks_is_named(photo_resnet: Run, tmp_path: Path) -> None:
    image = keras.Input((24, 24, 3))
    odd = keras.Model(image, keras.ops.arcsinh(keras.ops.mean(image, axis=(1, 2))))
    graph = replace(serving_graph(photo_resnet), model=odd)
    for form in ("litert", "litert-int8"):
        with pytest.raises(CheckFailed) as error:
            FORMATS[form].write(graph, tmp_path)
        assert str(error.value) == f"{form}: the graph cannot be converted: LiteRT has no Asinh"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_figures_of_a_version_in_every_format(version: Path, photo_resnet: Run) -> None:
    manifest = Manifest.read(version)
    assert manifest.formats == ("onnx", *NEW)
    for form, found in manifest.document["parity"].items():
        assert found["images"] == 8
        assert (found["drop"] is not None) == form.endswith("int8")
        assert found["probabilities"] < (0.3 if form.endswith("int8") else 1e-5)
    drop = manifest.document["parity"]["litert-int8"]["drop"]
    assert (drop["images"], drop["splits"], drop["established"], drop["allowed"]) == (8, ["validation"], False, 0.5)
    card = (version / "README.md").read_text()
    assert card.count("**Not established**") == 2
    for form in NEW:
        measured = evaluate(open_subject(version, form))
        assert measured.accuracy == pytest.approx(manifest.document["parity"][form]["accuracy"])
        assert measured.images == 8


@pytest.mark.slow
def test_files_of_a_version_in_every_format(version: Path) -> None:
    with zipfile.ZipFile(version / "model.tflite") as archive:
        assert archive.read("labels.txt").decode() == "".join(f"{label}\n" for label in LABELS)
    sizes = {form: (version / FORMATS[form].FILE).stat().st_size for form in ("litert", "litert-int8")}
    assert sizes["litert-int8"] < 0.5 * sizes["litert"]
    from ai_edge_litert.interpreter import Interpreter

    details = Interpreter(model_path=str(version / "model.int8.tflite")).get_tensor_details()
    dtypes = {detail["name"]: np.dtype(detail["dtype"]).name for detail in details}
    products = {name: dtype for name, dtype in dtypes.items() if name.startswith("preprocessing/MatMul")}
    assert products
    assert set(products.values()) == {"float32"}
    assert any(dtype == "int8" and name.startswith("network/") for name, dtype in dtypes.items())
    assert (version / "openvino" / "model.bin").stat().st_size > 0


@pytest.mark.slow
def test_the_python_of_the_page_runs(version: Path, photos: Path, tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "formats.md"
    photo, *uses = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
    place = shutil.copytree(version, tmp_path / "1")
    shutil.copy(next((photos / "coffee").iterdir()), place / "photo.jpg")
    found = []
    for use in uses:
        line = [sys.executable, "-I", "-c", photo + use]
        done = subprocess.run(line, cwd=place, capture_output=True, text=True, check=True, timeout=60)
        label, probability = done.stdout.split()
        assert label in LABELS
        found.append(float(probability))
    assert len(found) == 3
    np.testing.assert_allclose(found, found[1], atol=0.2)


@pytest.fixture
def without_extras(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for package in ("ai_edge_litert", "openvino"):
        monkeypatch.setitem(sys.modules, package, None)
    yield


@pytest.mark.slow
def test_a_version_is_usable_without_the_extras(version: Path, tmp_path: Path, without_extras: None) -> None:
    assert evaluate(open_subject(version)).images == 8
    with pytest.raises(UserError, match="^the format openvino needs openvino; install it with: pip install 'kerasnets"):
        open_runner(Manifest.read(version), "openvino")
    copy = shutil.copytree(version, tmp_path / "1")
    document = json.loads((copy / "manifest.json").read_text())
    (copy / "model.onnx").unlink()
    document["formats"].remove("onnx")
    del document["files"]["model.onnx"]
    document["formats"].sort(reverse=True)  # openvino and litert before onnx-int8
    (copy / "manifest.json").write_text(json.dumps(document))
    assert evaluate(open_subject(copy)).images == 8


@pytest.mark.slow
def test_a_lossy_format_that_resizes_with_8_bits_is_refused(photo_resnet: Run, tmp_path: Path) -> None:
    from onnxruntime import quantization

    from kerasnets.artifacts.formats import onnx_int8

    graph = serving_graph(photo_resnet)
    FORMATS["onnx"].write(graph, tmp_path)
    quantization.quantize_static(
        tmp_path / "model.onnx",
        tmp_path / "model.int8.onnx",
        onnx_int8._Calibration(graph),
        op_types_to_quantize=["Div", "Mul", "Sub", "Add", "MatMul", "Conv"],
        activation_type=quantization.QuantType.QUInt8,
    )
    with pytest.raises(CheckFailed, match="^onnx-int8: sizes: answers differ from Keras' by "):
        verify(photo_resnet, tmp_path, ["onnx-int8"], graph.interface, force=True)


@pytest.mark.slow
def test_few_validation_images_are_joined_by_test_images(photos: Path, tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        shutil.copytree(photos, tmp_path / "photos" / split)
    run = make_run(tmp_path / "run", tmp_path / "photos", RESNET)
    with pytest.raises(
        CheckFailed, match="^onnx-int8: accuracy: not established: .* on 80 images of validation and test"
    ):
        export(run, to=tmp_path / "store", formats=["onnx-int8"])
    assert list((tmp_path / "store").iterdir()) == []


@pytest.mark.slow
def test_other_inputs_in_every_new_format(photos: Path, tmp_path: Path) -> None:
    settings = {"static_shape": True, "input_dtype": "uint8", "unknown_below": 0.5}
    run = make_run(tmp_path / "run", photos, RESNET, export=settings)
    graph = serving_graph(run)
    for form in NEW:
        FORMATS[form].write(graph, tmp_path)
    assert graph.interface["image"]["inputs"]["image"] == {"dtype": "uint8", "shape": [None, 24, 24, 3]}
    assert graph.interface["image"]["outputs"]["unknown"] == {"dtype": "bool", "shape": [None]}
    found = verify(run, tmp_path, NEW, graph.interface, force=True)
    assert found["openvino"].probabilities < 1e-5
