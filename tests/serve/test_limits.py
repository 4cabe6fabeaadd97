"""What a server refuses, in words, and what it survives."""

import base64
import io
import json
import random
import socket
import time
from contextlib import ExitStack
from typing import Any

import grpc
import numpy as np
import pytest
import requests
from bombs import png
from PIL import Image
from serving import Connection, Load, Server, tensor_request

pytestmark = pytest.mark.slow
V1, V2 = "/v1/models/flowers:predict", "/v2/models/flowers/infer"
PIXEL = [[[[1, 2, 3]]]]
TENSOR = {"name": "image", "shape": [1, 1, 1, 3], "datatype": "FP32", "data": [1, 2, 3]}


def file(content: bytes) -> dict[str, str]:
    """Return a file as JSON has it."""
    return {"b64": base64.b64encode(content).decode()}


def asked(server: Server, path: str, body: Any, **headers: str) -> tuple[int, str]:
    """Post a body and return the status and the sentence."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = requests.post(server.url + path, data=data, headers=headers, timeout=60)
    return response.status_code, response.json().get("error", "")


def gif() -> bytes:
    """Return a broken GIF."""
    content = io.BytesIO()
    Image.new("RGB", (5, 4)).save(content, "GIF")
    return content.getvalue()[:-6]


REFUSED = {
    "no JSON": (V1, b"{", "the body is not JSON: unexpected end of data at line 1, column 2"),
    "no object": (V1, [1], "the body is not a JSON object with instances or inputs"),
    "misspelt": (
        V1,
        {"instance": PIXEL},
        "there is no key 'instance', only instances, inputs, signature_name; did you mean 'instances'?",
    ),
    "both": (V1, {"instances": PIXEL, "inputs": PIXEL}, "a request has either instances (rows) or inputs (columns)"),
    "none": (V1, {"instances": []}, "instances is not a list of images, or is empty"),
    "signature": (
        V1,
        {"signature_name": "byte", "instances": PIXEL},
        "signature_name: there is no 'byte', only serving_default, bytes; did you mean 'bytes'?",
    ),
    "other input": (
        V1,
        {"signature_name": "bytes", "instances": [{"image": 1}]},
        "signature bytes has the input image_bytes, not 'image'",
    ),
    "ragged": (
        V1,
        {"instances": [[[[1, 2, 3]], [[1]]]]},
        "image is not a regular array: its images, rows or pixels differ in length",
    ),
    "text": (V1, {"instances": [[[["1", 2, 3]]]]}, "image holds something other than numbers"),
    "huge text": (V1, {"instances": [["a" * 3_000_000, *"b" * 100_000]]}, "image holds something other than numbers"),
    "many texts": (V1, {"instances": [*"b" * 100_000]}, "100,000 images; a request may hold 60"),
    "truth": (V1, {"instances": [[[[True, 2, 3]]]]}, "image holds something other than numbers"),
    "too large a number": (V1, {"instances": [[[[10**400, 2, 3]]]]}, None),
    "infinite": (V1, {"instances": [[[[1e39, 2, 3]]]]}, "image holds NaN or infinite values"),
    "too large to compute": (V1, {"instances": [[[[3e38, -3e38, 3e38]]]]}, None),
    "shape": (V1, {"instances": [[1, 2, 3]]}, "image has the shape [1, 3]; flowers takes [N, H, W, 3]"),
    "no file": (V1, {"signature_name": "bytes", "instances": ["abc"]}, 'an image file is written {"b64": "…"}'),
    "base64": (V1, {"instances": [{"b64": "ab!"}]}, "an image file is not valid base64"),
    "not an image": (
        V1,
        {"instances": [file(b"text")]},
        "an image cannot be read: not a JPEG, PNG, GIF, BMP or WebP image",
    ),
    "broken": (V1, {"instances": [file(gif())]}, None),
    "many": (V1, {"instances": [file(b"")] * 61}, "61 images; a request may hold 60"),
    "bomb": (V1, {"instances": [file(png(20_000, 20_000))]}, "an image of more than 1,000,000 pixels"),
    "v2 empty": (V2, {}, "inputs: field required"),
    "v2 type": (V2, {"inputs": [{**TENSOR, "shape": ["1"]}]}, "inputs.0.shape.0: must be a valid integer"),
    "v2 two": (V2, {"inputs": [TENSOR, TENSOR]}, "one input is wanted, image or image_bytes; there are 2"),
    "v2 name": (
        V2,
        {"inputs": [{**TENSOR, "name": "imag"}]},
        "there is no input 'imag', only image and image_bytes; did you mean 'image'?",
    ),
    "v2 datatype": (
        V2,
        {"inputs": [{**TENSOR, "datatype": "INT64"}]},
        "image has the datatype INT64; flowers takes FP32 or UINT8",
    ),
    "v2 values": (
        V2,
        {"inputs": [{**TENSOR, "data": [1, 2]}]},
        "image's data has 2 values, which its shape [1, 1, 1, 3] does not make",
    ),
    "v2 uint8": (
        V2,
        {"inputs": [{**TENSOR, "datatype": "UINT8", "data": [1, 2, 300]}]},
        "image holds something other than whole numbers from 0 to 255",
    ),
    "v2 output": (
        V2,
        {"inputs": [TENSOR], "outputs": [{"name": "score"}]},
        "there is no output 'score', only probabilities, classes, scores; did you mean 'scores'?",
    ),
    "v2 binary": (
        V2,
        {"inputs": [{**TENSOR, "data": None, "parameters": {"binary_data_size": 12}}]},
        "image: binary_data_size does not fit what follows the JSON",
    ),
    "v2 huge shape": (V2, {"inputs": [{**TENSOR, "shape": [2**40, 2**40, 2**40, 3]}]}, None),
    "v2 empty shape": (
        V2,
        {"inputs": [{**TENSOR, "shape": [1, 0, 5, 3], "data": []}]},
        "image has the shape [1, 0, 5, 3]: no pixels",
    ),
    "v2 elements": (
        V2,
        {"inputs": [{"name": "image_bytes", "shape": [2], "datatype": "BYTES", "data": ["QUJD"]}]},
        "image_bytes holds 1 elements; its shape [2] says otherwise",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_request_is_refused_in_one_sentence(server: Server, name: str) -> None:
    path, body, sentence = REFUSED[name]
    status, said = asked(server, path, body)
    assert status == 400
    assert said and "\n" not in said and len(said) < 300
    assert sentence in (None, said)


def test_unknown_names_are_404_with_the_nearest(server: Server) -> None:
    for path in ("/v1/models/flower", "/v1/models/flower/metadata", "/v2/models/flower", "/v2/models/flower/ready"):
        response = requests.get(server.url + path, timeout=30)
        wanted = "there is no model 'flower' here; did you mean 'flowers'?"
        assert (response.status_code, response.json()["error"]) == (404, wanted)
    status, said = asked(server, "/v2/models/flowers/versions/9/infer", {"inputs": [TENSOR]})
    assert (status, said) == (404, "model flowers has no version '9' here; it has 2, 3")
    assert asked(server, "/nothing", {})[0] == 404
    assert asked(server, "/v2/models/flowers", {}) == (405, "/v2/models/flowers does not take POST")


def test_nothing_can_be_unloaded_from_outside(server: Server) -> None:
    assert asked(server, "/v2/repository/models/flowers/unload", {})[0] == 404


def test_large_and_packed_bodies_are_refused(server: Server) -> None:
    assert asked(server, V2, bytes(9 << 20)) == (413, "a body of more than 8,388,608 bytes")
    parts = (bytes(1 << 20) for _ in range(9))  # without a length: sent in chunks
    response = requests.post(server.url + V2, data=parts, timeout=60)
    assert (response.status_code, response.headers["connection"]) == (413, "close")
    assert asked(server, V1, b"[" + b" " * (5 << 20))[1].startswith("more than 4,194,304 bytes of JSON")
    assert asked(server, V1, b"x", **{"Content-Encoding": "gzip"})[0] == 400
    assert asked(server, V2, b"{}", **{"Inference-Header-Content-Length": "7"})[0] == 400


def grpc_infer(server: Server, request: Any, compression: Any = None) -> tuple[str, str]:
    """Ask by gRPC and return the status and the sentence."""
    from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

    with grpc.insecure_channel(server.grpc) as channel:
        try:
            GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=30, compression=compression)
        except grpc.RpcError as error:
            return error.code().name, error.details()
    return "OK", ""


def grpc_request(count: int, datatype: str = "FP32", raw: bytes | None = None, **contents: Any) -> Any:
    """Return a request of `count` images of one pixel, or files."""
    from kserve.protocol.grpc.grpc_predict_v2_pb2 import InferTensorContents, ModelInferRequest

    name, shape = ("image_bytes", [count]) if datatype == "BYTES" else ("image", [count, 1, 1, 3])
    given = ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape)
    given.contents.CopyFrom(InferTensorContents(**contents))
    raws = [] if raw is None else [raw]
    return ModelInferRequest(model_name="flowers", inputs=[given], raw_input_contents=raws)


def test_packed_grpc_messages_are_refused_before_they_are_unpacked(server: Server) -> None:
    bomb, before = grpc_request(1, raw=bytes(100 << 20)), server.memory()
    status, said = grpc_infer(server, bomb, grpc.Compression.Gzip)
    assert (status, "is disabled" in said) == ("UNIMPLEMENTED", True)
    assert server.memory() < before + (50 << 20)
    assert grpc_infer(server, grpc_request(1, raw=bytes(12)))[0] == "OK"


def test_typed_grpc_contents_are_within_the_limit_of_json(server: Server) -> None:
    assert grpc_infer(server, grpc_request(1, fp32_contents=[1, 2, 3]))[0] == "OK"
    assert grpc_infer(server, grpc_request(1, "UINT8", uint_contents=[1, 2, 3]))[0] == "OK"
    assert grpc_infer(server, grpc_request(40_000, fp32_contents=[1, 2, 3] * 40_000)) == (
        "INVALID_ARGUMENT",
        "40,000 images; a request may hold 60",
    )
    for request in (
        grpc_request(60, fp32_contents=[0] * (5 << 18)),
        grpc_request(60, "BYTES", bytes_contents=[b""] * (5 << 19)),
    ):
        status, said = grpc_infer(server, request)
        assert status == "INVALID_ARGUMENT"
        assert said == "more than 4,194,304 bytes of JSON, or of gRPC's typed contents; send raw ones"


def test_no_more_elements_are_read_than_the_shape_says(server: Server) -> None:
    wanted = "image_bytes holds more elements than the 2 of its shape"
    assert grpc_infer(server, grpc_request(2, "BYTES", raw=bytes(7 << 20))) == ("INVALID_ARGUMENT", wanted)


def test_a_gigabyte_is_refused_at_its_header(server: Server) -> None:
    with socket.create_connection(server.address, timeout=30) as client:
        client.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n" % V2.encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_random_bodies_leave_it_serving(server: Server) -> None:
    draw, connection = random.Random(0), Connection(server.address)
    good = json.dumps({"inputs": [TENSOR]}).encode()
    before = server.memory()
    for number in range(600):
        body = draw.randbytes(draw.randrange(300))
        if number % 3 == 1:  # a good request with a few other bytes
            body = bytearray(good)
            for _ in range(draw.randrange(1, 4)):
                body[draw.randrange(len(body))] = draw.randrange(256)
        head = f"POST {draw.choice([V1, V2])} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        head += f"Inference-Header-Content-Length: {draw.randrange(400)}\r\n" * (number % 5 == 0)
        status, said = connection.ask(f"{head}\r\n".encode() + body)
        assert status == 200 or (400 <= status < 500 and "error" in json.loads(said)), (body, status, said)
    connection.close()
    assert asked(server, V1, {"instances": PIXEL})[0] == 200
    assert server.memory() < before + (200 << 20)


def test_connections_that_say_nothing_sensible_are_ended(server: Server) -> None:
    with socket.create_connection(server.address, timeout=30) as client:
        client.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert b'{"error":"this is not HTTP"}' in client.recv(4096)
    with socket.create_connection(server.address, timeout=30) as client:
        client.sendall(b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 15_000)
        assert client.recv(4096).startswith(b"HTTP/1.1 431 ")


def test_slow_clients_are_let_go_and_others_served(server: Server) -> None:
    with ExitStack() as stack:
        silent, headers, body, stray = (
            stack.enter_context(socket.create_connection(server.address, timeout=30)) for _ in range(4)
        )
        stray.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}"):
            answer += stray.recv(4096)
        assert answer.startswith(b"HTTP/1.1 200 ")
        stray.sendall(b"\r")  # begins nothing
        headers.sendall(b"POST / HTTP/1.1\r\nHost:")
        body.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc" % V2.encode())
        began = time.monotonic()
        assert asked(server, V1, {"instances": PIXEL})[0] == 200
        assert body.recv(4096).startswith(b"HTTP/1.1 408 ")
        assert (silent.recv(1), headers.recv(1), stray.recv(1)) == (b"", b"", b"")
        assert 4 < time.monotonic() - began < 20


def test_what_waits_is_bounded(store: Any) -> None:
    few = ["--model", "birds", "--max-queue", "2", "--max-images", "2", "--max-batch", "1", "--max-connections", "20"]
    few += ["--max-memory", "1", "--max-body", "1"]
    with Server(store, *few) as small:
        images = np.zeros((2, 80, 80, 3), np.float32)
        unpacked = {"instances": [file(png(700, 700))]}
        assert asked(small, "/v1/models/birds:predict", unpacked)[0] == 503
        with Load(small.address, tensor_request("birds", images), 8) as load:
            time.sleep(1.0)
        said = {error[:3] for error in load.errors}
        assert said == {"503"} and any("images are waiting" in error for error in load.errors)
        clients = [socket.create_connection(small.address, timeout=30) for _ in range(21)]
        assert clients[-1].recv(4096).startswith(b"HTTP/1.1 503 ")
        for client in clients:
            client.close()
        time.sleep(0.2)
        assert asked(small, "/v1/models/birds:predict", {"instances": PIXEL})[0] == 200
        assert small.metric("kerasnets_active_requests") == 1
