"""The card's section `Use`: for each server and runtime that takes one of a version's formats, a request to copy."""

from collections.abc import Callable, Iterator
from typing import Any

from kerasnets.artifacts.kit.kserve import FILE as KSERVE
from kerasnets.artifacts.kit.kserve import label
from kerasnets.artifacts.kit.markdown import fenced

_AFTER = "after its documentation; not tried on a real server"
_TRITON = "tried on a real one with its python backend, not with the onnxruntime backend"


def static(manifest: dict[str, Any]) -> bool:
    """Say whether the client resizes."""
    return manifest["inputs"]["image"]["image"]["shape"][1] is not None


def section(manifest: dict[str, Any]) -> Iterator[str]:
    """Yield the parts of the section, as Markdown."""
    yield "## Use"
    yield (
        "Where nothing else is said these run in the model store, two folders up, with a `photo.jpg` there. `kerasnets "
        "predict` needs onnxruntime only:"
    )
    yield fenced("sh", f"kerasnets predict {manifest['name']}/{manifest['version']} photo.jpg")
    for form, requests in _REQUESTS.items():
        if form in manifest["formats"]:
            for request in requests:
                yield from request(manifest)


def _kerasnets_serve(manifest: dict[str, Any]) -> Iterator[str]:
    yield "`kerasnets serve`, which speaks TensorFlow Serving's and the Open Inference Protocol:"
    name = manifest["name"]
    request = _encoded_request(name, 8080, '{"instances": [{"b64": "%s"}]}')
    yield fenced("sh", f"kerasnets serve . --model {name} --port 8080 &\n{request}")


def _tensorflow_serving(manifest: dict[str, Any]) -> Iterator[str]:
    name = manifest["name"]
    yield f"TensorFlow Serving ({_AFTER}; `export/tensorflow-serving` in kerasnets has a compose file):"
    request = _encoded_request(name, 8501, '{"signature_name": "bytes", "instances": [{"image_bytes": {"b64": "%s"}}]}')
    image = "tensorflow/serving:2.19.0"
    run = f'docker run -d -p 127.0.0.1:8501:8501 -v "$PWD/{name}:/models/{name}:ro" -e MODEL_NAME={name} {image}'
    yield fenced("sh", f"{run}\n{request}")


def _kserve(manifest: dict[str, Any]) -> Iterator[str]:
    name = manifest["name"]
    yield f"KServe ({_AFTER}): `{name}/{KSERVE}` has an InferenceService for each runtime; `$HOST` is its address:"
    body = '{"signature_name": "bytes", "instances": [{"image_bytes": {"b64": "%s"}}]}'
    url = f"http://$HOST/v1/models/{label(name)}-tensorflow:predict"
    request = f"""printf '{body}' "$(base64 -w0 photo.jpg)" |\n  curl -d @- "{url}\""""
    yield fenced("sh", f"kubectl apply -f {name}/{KSERVE}\n{request}")


def _encoded_request(name: str, port: int, body: str) -> str:
    url = f"http://127.0.0.1:{port}/v1/models/{name}:predict"
    return f"""printf '{body}' "$(base64 -w0 photo.jpg)" |\n  curl -d @- {url}"""


def _triton(manifest: dict[str, Any]) -> Iterator[str]:
    name, dtype = manifest["name"], manifest["inputs"]["image"]["image"]["dtype"]
    kind = {"float32": "FP32", "uint8": "UINT8"}[dtype]
    client = "`pip install 'tritonclient[http]' pillow`"
    yield f"Triton ({_TRITON}; `export/triton` in kerasnets has a compose file), with {client}:"
    yield fenced("sh", "tritonserver --model-repository=$PWD --exit-on-error=false &")
    yield _python(
        manifest,
        "from tritonclient.http import InferenceServerClient, InferInput",
        f"""
image = InferInput("image", pixels.shape, "{kind}")
image.set_data_from_numpy(pixels)
answer = InferenceServerClient("127.0.0.1:8000").infer("{name}", [image])
probabilities = answer.as_numpy("probabilities")[0]
print(open("{name}/labels.txt").read().splitlines()[probabilities.argmax()], probabilities.max())""",
    )


def _onnxruntime(file: str) -> Callable[[dict[str, Any]], Iterator[str]]:
    def request(manifest: dict[str, Any]) -> Iterator[str]:
        yield f"ONNX Runtime, in this folder, with `{file}`:"
        yield _python(
            manifest,
            "import json\nimport onnxruntime",
            f"""
session = onnxruntime.InferenceSession("{file}")
labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
probabilities = session.run(["probabilities"], {{"image": pixels}})[0][0]
print(labels[probabilities.argmax()], probabilities.max())""",
        )

    return request


def _litert(file: str) -> Callable[[dict[str, Any]], Iterator[str]]:
    def request(manifest: dict[str, Any]) -> Iterator[str]:
        yield f"LiteRT, in this folder, with `{file}` (`pip install ai-edge-litert`):"
        yield _python(
            manifest,
            "import json\nfrom ai_edge_litert.interpreter import Interpreter",
            f"""
runner = Interpreter("{file}").get_signature_runner()
labels = json.load(open("manifest.json"))["labels"]
probabilities = runner(image=pixels)["probabilities"][0]
print(labels[probabilities.argmax()], probabilities.max())""",
        )

    return request


def _openvino(manifest: dict[str, Any]) -> Iterator[str]:
    yield "OpenVINO, in this folder (`pip install openvino`; its Model Server: `export/openvino` in kerasnets):"
    yield _python(
        manifest,
        "import json\nimport openvino",
        """
model = openvino.compile_model("openvino/model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})  # else bf16
labels = json.load(open("manifest.json"))["labels"]
probabilities = model({"image": pixels})["probabilities"][0]
print(labels[probabilities.argmax()], probabilities.max())""",
    )


def _web(manifest: dict[str, Any]) -> Iterator[str]:
    yield "In a browser, in this folder, then http://127.0.0.1:8000/ (any static host will do):"
    yield fenced("sh", "python -m http.server --directory web --bind 127.0.0.1 8000")


def _python(manifest: dict[str, Any], imports: str, rest: str) -> str:
    """Return a program that reads `photo.jpg` into `pixels` and goes on with `rest`."""
    spec = manifest["inputs"]["image"]["image"]
    size = f".resize(({spec['shape'][2]}, {spec['shape'][1]}))" if static(manifest) else ""
    mode, axis = ("L", "[None, ..., None]") if spec["shape"][3] == 1 else ("RGB", "[None]")
    return fenced(
        "python",
        f"""{imports}
import numpy as np
from PIL import Image, ImageOps

picture = ImageOps.exif_transpose(Image.open("photo.jpg")).convert("{mode}"){size}
pixels = np.asarray(picture, np.{spec["dtype"]}){axis}
{rest.strip()}""",
    )


_REQUESTS: dict[str, tuple[Callable[[dict[str, Any]], Iterator[str]], ...]] = {
    "onnx": (_kerasnets_serve, _onnxruntime("model.onnx"), _triton),
    "onnx-int8": (_onnxruntime("model.int8.onnx"),),
    "savedmodel": (_tensorflow_serving, _kserve),
    "litert": (_litert("model.tflite"),),
    "litert-int8": (_litert("model.int8.tflite"),),
    "openvino": (_openvino,),
    "web": (_web,),
}
