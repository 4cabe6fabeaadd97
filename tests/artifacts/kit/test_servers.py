"""Servers' own schemas read what is written for them, and the SavedModel answers its warm-up requests."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from schemas import read

from kerasnets.artifacts.kit import kserve, tensorflow_serving, triton
from kerasnets.artifacts.manifest import Manifest

FLOAT = {"image": {"dtype": "float32", "shape": [None, None, None, 3]}}
PROBABILITIES = {"probabilities": {"dtype": "float32", "shape": [None, 4]}}


def parsed(tmp_path: Path, text: str) -> Any:
    (tmp_path / "config.pbtxt").write_text(text)
    return read("triton", tmp_path / "config.pbtxt")


def test_triton_s_schema_reads_the_config(tmp_path: Path) -> None:
    assert parsed(tmp_path, triton.config(FLOAT, PROBABILITIES, "model.onnx", (24, 32))) == {
        "backend": "onnxruntime",
        "default_model_filename": "model.onnx",
        "max_batch_size": 64,
        "version_policy": {"latest": {"num_versions": 1}},
        "input": [{"name": "image", "data_type": "TYPE_FP32", "dims": ["-1", "-1", "3"]}],
        "output": [{"name": "probabilities", "data_type": "TYPE_FP32", "dims": ["4"], "label_filename": "labels.txt"}],
        "dynamic_batching": {"max_queue_delay_microseconds": "500"},
        "model_warmup": [
            {
                "name": "a picture of noise",
                "batch_size": 1,
                "inputs": {"image": {"data_type": "TYPE_FP32", "dims": ["24", "32", "3"], "random_data": True}},
            }
        ],
    }


def test_triton_s_config_of_a_fixed_input_and_of_an_output_that_is_one_value_an_image(tmp_path: Path) -> None:
    inputs = {"image": {"dtype": "uint8", "shape": [None, 24, 32, 1]}}
    outputs = {**PROBABILITIES, "unknown": {"dtype": "bool", "shape": [None]}}
    found = parsed(tmp_path, triton.config(inputs, outputs, "model.onnx", (24, 32)))
    assert found["input"] == [{"name": "image", "data_type": "TYPE_UINT8", "dims": ["24", "32", "1"]}]
    assert found["output"][1] == {"name": "unknown", "data_type": "TYPE_BOOL", "dims": ["1"], "reshape": {}}
    assert found["model_warmup"][0]["inputs"]["image"]["dims"] == ["24", "32", "1"]


@pytest.mark.slow
def test_kserve_s_classes_take_the_services(tmp_path: Path) -> None:
    (tmp_path / kserve.FILE).write_text(kserve.text("My.Photos_2", ("savedmodel", "onnx")))
    found = read("kserve", tmp_path / kserve.FILE)
    names = [service["metadata"]["name"] for service in found]
    assert names == [f"my-photos-2-eebd39e4-{kind}" for kind in ("tensorflow", "triton", "kerasnets")]
    models = [service["spec"]["predictor"].get("model", {}) for service in found]
    assert [model.get("modelFormat", {}).get("name") for model in models] == ["tensorflow", "triton", None]
    assert [model.get("storageUri") for model in models] == ["pvc://models/My.Photos_2", "pvc://models", None]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("photos", "photos"),
        ("Fashion.ResNet_20", "fashion-resnet-20-b93c172c"),
        ("9", "model-9-8d076785"),
        ("a" * 80, "a" * 40 + "-1a998d7d"),
    ],
)
def test_names_on_kubernetes(name: str, label: str) -> None:
    assert kserve.label(name) == label


def test_names_that_look_alike_have_services_of_their_own() -> None:
    assert kserve.label("a_b") != kserve.label("a.b")


def test_a_model_in_other_formats_has_no_service() -> None:
    assert list(kserve.services("photos", ("litert",))) == []


def test_tensorflow_serving_reads_the_list_of_models() -> None:
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    text = tensorflow_serving.models_config(["digits", "photos-2"])
    found = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    configs = [(c.name, c.base_path, c.model_platform) for c in found.model_config_list.config]
    assert configs == [("digits", "/models/digits", "tensorflow"), ("photos-2", "/models/photos-2", "tensorflow")]


@pytest.mark.slow
def test_a_savedmodel_answers_its_warm_up_requests(both: Path) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    version = both / "photos" / "1"
    model = tf.saved_model.load(str(version))
    asked = []
    for record in tf.data.TFRecordDataset(str(version / tensorflow_serving.WARMUP)):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
        answer = model.signatures[request.model_spec.signature_name](
            **{name: tf.constant(value) for name, value in inputs.items()}
        )
        batch = len(next(iter(inputs.values())))
        assert answer["probabilities"].shape == (batch, 4) and np.isfinite(answer["probabilities"]).all()
        asked.append((request.model_spec.name, request.model_spec.signature_name, batch))
    assert asked == [("photos", name, batch) for name in ("serving_default", "bytes") for batch in (1, 8)]
    assert tensorflow_serving.WARMUP.as_posix() in Manifest.read(version).document["files"]
    Manifest.read(version).check_files()


@pytest.mark.slow
def test_what_stands_beside_a_version(both: Path) -> None:
    assert sorted(path.name for path in both.iterdir()) == ["models.config", "photos"]
    assert (both / "models.config").read_text() == tensorflow_serving.models_config(["photos"])
    beside = sorted(path.name for path in (both / "photos").iterdir())
    assert beside == ["1", "config.pbtxt", "inferenceservice.yaml", "labels.txt"]
    assert (both / "photos" / "labels.txt").read_text() == "astronaut\nchelsea\ncoffee\nrocket\n"
    found = read("triton", both / "photos" / "config.pbtxt")
    assert [tensor["name"] for tensor in (*found["input"], *found["output"])] == ["image", "probabilities"]
