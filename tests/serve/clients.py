"""Triton's clients and TensorFlow Serving's messages, in a process without kserve: their definitions collide.

    python clients.py HTTP-ADDRESS GRPC-ADDRESS MODEL FOLDER

FOLDER has `image.npy`, float32 `[N, H, W, C]`, and image files. Prints JSON: what each way of asking gave.
"""

import json
import sys
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import tritonclient.grpc as by_grpc
import tritonclient.http as by_http
from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2


def asked(module: Any, client: Any, model: str, folder: Path, *, binary: bool | None) -> dict[str, Any]:
    """Ask by tensor and by files; `binary` is for HTTP alone."""
    how = {} if binary is None else {"binary_data": binary}
    images = np.load(folder / "image.npy")
    tensor = module.InferInput("image", list(images.shape), "FP32")
    tensor.set_data_from_numpy(images, **how)
    files = [path.read_bytes() for path in sorted(folder.glob("*.*")) if path.suffix != ".npy"]
    encoded = module.InferInput("image_bytes", [len(files)], "BYTES")
    encoded.set_data_from_numpy(np.array(files, dtype=object))
    names = ("probabilities", "classes", "scores")
    outputs = [module.InferRequestedOutput(name, **how) for name in names]
    plain = client.infer(model, [tensor], request_id="a-7")
    older = client.infer(model, [tensor], model_version="2")
    of_files = client.infer(model, [encoded], outputs=outputs)
    classes = of_files.as_numpy("classes")
    return {
        "image": plain.as_numpy("probabilities").tolist(),
        "id": plain.get_response()["id"] if binary is not None else plain.get_response().id,
        "older": older.get_response()["model_version"] if binary is not None else older.get_response().model_version,
        "files": of_files.as_numpy("probabilities").tolist(),
        "scores": of_files.as_numpy("scores").tolist(),
        "classes": [[c.decode() if isinstance(c, bytes) else c for c in row] for row in classes],
    }


def error(call: Any) -> str:
    """Return what a client says of a refusal."""
    try:
        call()
    except Exception as found:  # each client has its own
        return str(found)
    return ""


def main() -> None:
    """Ask in every way and print the answers."""
    http_address, grpc_address, model, folder = sys.argv[1:]
    http, grpc = by_http.InferenceServerClient(http_address), by_grpc.InferenceServerClient(grpc_address)
    folder_ = Path(folder)
    wrong = by_grpc.InferInput("image", [1, 2], "FP32")
    wrong.set_data_from_numpy(np.zeros((1, 2), np.float32))
    large = by_grpc.InferInput("image", [1, 2000, 2000, 3], "FP32")
    large.set_data_from_numpy(np.zeros((1, 2000, 2000, 3), np.float32))
    described = grpc.get_model_metadata(model)
    state = urlopen(f"http://{http_address}/v1/models/{model}").read()
    signatures = json.loads(urlopen(f"http://{http_address}/v1/models/{model}/metadata").read())
    message = get_model_metadata_pb2.SignatureDefMap()
    json_format.ParseDict(signatures["metadata"]["signature_def"], message)
    print(
        json.dumps(
            {
                "binary": asked(by_http, http, model, folder_, binary=True),
                "json": asked(by_http, http, model, folder_, binary=False),
                "grpc": asked(by_grpc, grpc, model, folder_, binary=None),
                "alive": [http.is_server_live(), http.is_server_ready(), http.is_model_ready(model)],
                "grpc alive": [grpc.is_server_live(), grpc.is_server_ready(), grpc.is_model_ready(model, "2")],
                "server": [http.get_server_metadata(), grpc.get_server_metadata().name],
                "metadata": http.get_model_metadata(model),
                "grpc metadata": {
                    "versions": list(described.versions),
                    "inputs": [[i.name, i.datatype, list(i.shape)] for i in described.inputs],
                    "outputs": [[o.name, o.datatype, list(o.shape)] for o in described.outputs],
                },
                "status": json_format.MessageToDict(
                    json_format.Parse(state, get_model_status_pb2.GetModelStatusResponse())
                ),
                "signatures": json_format.MessageToDict(message),
                "unknown": [
                    error(lambda: http.get_model_metadata("flower")),
                    error(lambda: grpc.get_model_metadata("flower")),
                ],
                "wrong": error(lambda: grpc.infer(model, [wrong])),
                "large": error(lambda: grpc.infer(model, [large])),
            }
        )
    )


if __name__ == "__main__":
    main()
