"""`make test-triton`: a version of ours in a real Triton, the one that the wheel nvidia-pytriton brings.

That Triton has the python backend alone, so `export/triton/model.py` calls onnxruntime on the version's model.onnx;
config.pbtxt is the one that was exported, but for the backend's name. Triton loads and warms the model up with it;
its answers over REST and gRPC, also to many clients at once, are compared with onnxruntime's.

    python tests/proofs/triton.py PYTHON-WITH-PYTRITON
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
_FIND = """
import json, pathlib, sys, sysconfig, pytriton
print(json.dumps([str(pathlib.Path(pytriton.__file__).parent), f"{sys.version_info[0]}.{sys.version_info[1]}",
                  sysconfig.get_path("purelib"), sysconfig.get_config_var("LIBDIR")]))
"""


def repository(folder: Path) -> Path:
    """Export an untrained model and make a repository for the python backend of it; return it."""
    from photos import write_photos
    from untrained import RESNET, make_run

    from kerasnets.artifacts.export import export

    run = make_run(folder / "run", write_photos(folder / "photos", each=10), RESNET)
    version = export(run, to=folder / "store", formats=["onnx"]).path
    model = folder / "repository" / version.parent.name
    shutil.copytree(version.parent, model)
    text = (model / "config.pbtxt").read_text()
    for before, after in (('backend: "onnxruntime"', 'backend: "python"'), ('"model.onnx"', '"model.py"')):
        assert before in text
        text = text.replace(before, after)
    (model / "config.pbtxt").write_text(text)
    shutil.copy(ROOT / "export" / "triton" / "model.py", model / version.name)
    return model


@contextlib.contextmanager
def server(python: str, repository: Path, folder: Path) -> Iterator[dict[str, int]]:
    """Run Triton on a repository while the block runs; yield the ports of its protocols."""
    found = subprocess.run([python, "-c", _FIND], capture_output=True, text=True, check=True).stdout
    package, version, site, libraries = json.loads(found)
    triton, backend = Path(package) / "tritonserver", folder / "backends" / "python"
    shutil.copytree(triton / "backends" / "python", backend)
    stub = triton / "python_backend_stubs" / version / "triton_python_backend_stub"
    for program in (shutil.copy(stub, backend), triton / "bin" / "tritonserver"):
        os.chmod(program, 0o755)
    ports = {name: _free() for name in ("http", "grpc", "metrics")}
    path = f"{Path(python).parent}:{os.environ['PATH']}"  # where the backend finds its Python's standard library
    paths = {"PATH": path, "PYTHONPATH": site, "LD_LIBRARY_PATH": f"{site}/nvidia_pytriton.libs:{libraries}"}
    line = [str(triton / "bin" / "tritonserver"), f"--model-repository={repository}"]
    line += [f"--backend-directory={backend.parent}"]
    line += [f"--{name}-address=127.0.0.1" for name in ports] + [f"--{name}-port={ports[name]}" for name in ports]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(line, stdout=log, stderr=log, env={**os.environ, **paths})
        try:
            _wait(process, ports["http"], folder / "log")
            yield ports
        finally:
            process.terminate()
            process.wait(60)


def _free() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=5).close()
            return
        time.sleep(0.3)
    raise SystemExit(f"Triton did not start:\n{log.read_text()[-4000:]}")


def compare(model: Path, ports: dict[str, int]) -> None:
    """Ask by REST and gRPC, in batches, at several sizes and at once; every answer is onnxruntime's."""
    import onnxruntime
    import tritonclient.grpc
    import tritonclient.http

    session = onnxruntime.InferenceSession(str(model / "1" / "model.onnx"))
    labels = (model / "labels.txt").read_text().splitlines()
    rng = np.random.default_rng(0)
    for protocol, port in ((tritonclient.http, ports["http"]), (tritonclient.grpc, ports["grpc"])):
        worst = 0.0
        for shape in ((1, 24, 24, 3), (7, 40, 30, 3), (64, 9, 8, 3)):
            images = rng.uniform(0, 255, shape).astype(np.float32)
            expected = session.run(["probabilities"], {"image": images})[0]
            ask = partial(_ask, protocol, f"127.0.0.1:{port}", model.name, images)
            with ThreadPoolExecutor(8) as pool:
                for found, best in [future.result() for future in [pool.submit(ask) for _ in range(16)]]:
                    worst = max(worst, float(np.abs(found - expected).max()))
                    assert best == [labels[place] for place in expected.argmax(axis=1)]
        print(f"{protocol.__name__}: 96 requests, largest difference of a probability from onnxruntime {worst:.1e}")
        assert worst <= 1e-6


def _ask(protocol: Any, address: str, name: str, images: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return the probabilities, and the name of the best class of each image as Triton gives it."""
    client = protocol.InferenceServerClient(address)  # one a call: that of REST belongs to its thread
    tensor = protocol.InferInput("image", images.shape, "FP32")
    tensor.set_data_from_numpy(images)
    found = client.infer(name, [tensor]).as_numpy("probabilities")
    wanted = protocol.InferRequestedOutput("probabilities", class_count=1)
    best = client.infer(name, [tensor], outputs=[wanted]).as_numpy("probabilities")
    return found, [entry[0].decode().split(":")[2] for entry in best]


def main(python: str) -> None:
    """Run it all."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = repository(folder)
        with server(python, model.parent, folder) as ports:
            with urllib.request.urlopen(f"http://127.0.0.1:{ports['http']}/v2", timeout=10) as answer:
                print("Triton", json.load(answer)["version"])
            with urllib.request.urlopen(f"http://127.0.0.1:{ports['http']}/v2/models/photos", timeout=10) as answer:
                print(answer.read().decode())
            compare(model, ports)
    print("it holds")


if __name__ == "__main__":
    main(sys.argv[1])
