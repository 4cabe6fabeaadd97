"""The server through the clients that people use, against `predict` on the same files."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from serving import Server

from kerasnets.artifacts.golden import pictures
from kerasnets.data import decode
from kerasnets.inference.predict import Prediction, Predictor

pytestmark = pytest.mark.slow
WITHIN = 1e-3
LABELS = ("astronaut", "chelsea", "coffee", "rocket")


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the golden images, with a batch of pixels."""
    folder = tmp_path_factory.mktemp("golden")
    for name, content in pictures().items():
        (folder / name).write_bytes(content)
    images = np.random.default_rng(0).integers(0, 256, (5, 31, 40, 3)).astype(np.float32)
    np.save(folder / "image.npy", images)
    return folder


@pytest.fixture(scope="module")
def expected(version: Path, golden: Path) -> dict[str, dict[str, float]]:
    """File name -> class -> probability, as `predict` has them."""
    paths = [str(golden / name) for name in pictures()]
    found = {}
    for prediction in Predictor(version)(paths, top=len(LABELS), batch_size=32):
        assert isinstance(prediction, Prediction)
        found[Path(prediction.path).name] = dict(prediction.classes)
    return found


@pytest.fixture(scope="module")
def answers(server: Server, golden: Path) -> dict[str, Any]:
    """What Triton's clients were answered."""
    line = [sys.executable, str(Path(__file__).parent / "clients.py"), "{}:{}".format(*server.address), server.grpc]
    done = subprocess.run([*line, "flowers", str(golden)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def agree(rows: list[list[float]], expected: dict[str, dict[str, float]]) -> None:
    """Check probabilities, in the order of sorted file names, against `predict`'s."""
    wanted = np.array([[expected[name][label] for label in LABELS] for name in sorted(expected)])
    assert np.abs(np.array(rows) - wanted).max() <= WITHIN
    assert (np.array(rows).argmax(axis=1) == wanted.argmax(axis=1)).all()


@pytest.mark.parametrize("way", ["binary", "json", "grpc"])
def test_golden_images_by_tritonclient_are_answered_as_predict_does(
    way: str, answers: dict[str, Any], expected: dict[str, dict[str, float]]
) -> None:
    found = answers[way]
    agree(found["files"], expected)
    assert [row[0] for row in found["classes"]] == [LABELS[i] for i in np.array(found["files"]).argmax(axis=1)]
    assert np.allclose(found["scores"], np.sort(np.array(found["files"]))[:, ::-1])
    assert (found["id"], found["older"]) == ("a-7", "2")


def test_golden_images_by_base64_are_answered_as_predict_does(
    server: Server, golden: Path, expected: dict[str, dict[str, float]]
) -> None:
    files = [{"b64": base64.b64encode((golden / name).read_bytes()).decode()} for name in sorted(expected)]
    url = f"{server.url}/v1/models/flowers:predict"
    for body in (
        {"signature_name": "bytes", "instances": files},
        {"instances": files},
        {"instances": [{"image_bytes": file} for file in files]},
    ):
        found = requests.post(url, json=body, timeout=60).json()["predictions"]
        agree([row["probabilities"] for row in found], expected)
    columns = requests.post(url, json={"inputs": {"image_bytes": files}}, timeout=60).json()["outputs"]
    agree(columns["probabilities"], expected)
    assert columns["classes"] == [row["classes"] for row in found]


def test_pixels_are_answered_alike_by_every_protocol(server: Server, golden: Path, answers: dict[str, Any]) -> None:
    images = np.load(golden / "image.npy")
    url = f"{server.url}/v1/models/flowers/versions/3:predict"
    rows = requests.post(url, json={"instances": images.tolist()}, timeout=60).json()["predictions"]
    columns = requests.post(url, json={"signature_name": "serving_default", "inputs": images.tolist()}, timeout=60)
    for found in (columns.json()["outputs"], *(answers[way]["image"] for way in ("binary", "json", "grpc"))):
        assert np.abs(np.array(found) - rows).max() < 1e-6


def test_pixels_of_a_decoded_file_are_answered_as_the_file_is(server: Server, golden: Path) -> None:
    name = "mode-rgb.png" if (golden / "mode-rgb.png").exists() else next(iter(pictures()))
    content = (golden / name).read_bytes()
    url = f"{server.url}/v1/models/flowers:predict"
    by_pixels = requests.post(url, json={"instances": [decode.pillow(content, 3).tolist()]}, timeout=60).json()
    file = {"b64": base64.b64encode(content).decode()}
    by_file = requests.post(url, json={"signature_name": "bytes", "instances": [file]}, timeout=60).json()
    assert np.abs(np.array(by_pixels["predictions"][0]) - by_file["predictions"][0]["probabilities"]).max() < 1e-6


def test_states_are_told(answers: dict[str, Any]) -> None:
    assert answers["alive"] == answers["grpc alive"] == [True, True, True]
    assert answers["server"][0]["name"] == answers["server"][1] == "kerasnets"


def test_metadata_has_names_shapes_and_labels(answers: dict[str, Any]) -> None:
    found = answers["metadata"]
    assert (found["name"], found["versions"], found["platform"]) == ("flowers", ["2", "3"], "onnxruntime_onnx")
    inputs = [["image", "FP32", [-1, -1, -1, 3]], ["image_bytes", "BYTES", [-1]]]
    outputs = [["probabilities", "FP32", [-1, 4]], ["classes", "BYTES", [-1, 4]], ["scores", "FP32", [-1, 4]]]
    for kind, wanted in (("inputs", inputs), ("outputs", outputs)):
        assert [[t["name"], t["datatype"], t["shape"]] for t in found[kind]] == wanted
        assert answers["grpc metadata"][kind] == wanted
    assert found["outputs"][0]["parameters"] == {"labels": list(LABELS)}


def test_tensorflow_servings_messages_read_status_and_metadata(answers: dict[str, Any]) -> None:
    states = answers["status"]["model_version_status"]
    assert [(state["version"], state["state"]) for state in states] == [("2", "AVAILABLE"), ("3", "AVAILABLE")]
    signatures = answers["signatures"]["signatureDef"]
    assert set(signatures) == {"serving_default", "bytes"}
    image = signatures["serving_default"]["inputs"]["image"]
    assert (image["dtype"], [d["size"] for d in image["tensorShape"]["dim"]]) == ("DT_FLOAT", ["-1", "-1", "-1", "3"])
    assert set(signatures["bytes"]["outputs"]) == {"probabilities", "classes", "scores"}


def test_refusals_reach_clients_as_one_sentence(answers: dict[str, Any]) -> None:
    for said in answers["unknown"]:
        assert "there is no model 'flower' here; did you mean 'flowers'?" in said
    assert "StatusCode.INVALID_ARGUMENT" in answers["wrong"]
    assert "image has the shape [1, 2]; flowers takes [N, H, W, 3]" in answers["wrong"]
    assert "RESOURCE_EXHAUSTED" in answers["large"]


def test_curl_is_answered(server: Server, golden: Path) -> None:
    file = base64.b64encode((golden / sorted(pictures())[0]).read_bytes()).decode()
    body = json.dumps({"signature_name": "bytes", "instances": [{"b64": file}]})
    url = f"{server.url}/v1/models/birds/versions/7:predict"
    line = ["curl", "--silent", "--fail", "--data-binary", "@-", url]
    done = subprocess.run(line, input=body, capture_output=True, text=True, timeout=60, check=True)
    assert sorted(json.loads(done.stdout)["predictions"][0]["classes"]) == sorted(LABELS)


def test_the_process_has_no_tensorflow(server: Server, answers: dict[str, Any]) -> None:
    maps = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "onnxruntime" in maps
    assert "tensorflow" not in maps and "/keras/" not in maps
