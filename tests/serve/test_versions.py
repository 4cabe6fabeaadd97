"""A store that changes under a running server, and how a server ends: no request fails meanwhile."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import requests
from serving import Connection, Load, Server, publish, tensor_request

from kerasnets.errors import UserError
from kerasnets.serve.command import serve

pytestmark = pytest.mark.slow
IMAGES = np.random.default_rng(0).integers(0, 256, (1, 24, 24, 3)).astype(np.float32)


def served(server: Server, name: str = "flowers") -> list[str]:
    """Return the versions that the server says it has."""
    found = requests.get(f"{server.url}/v1/models/{name}", timeout=30).json()
    return [state["version"] for state in found["model_version_status"]]


@pytest.fixture
def changing(version: Path, tmp_path: Path) -> Path:
    """A store of one version, to be changed."""
    publish(version, tmp_path / "store", "flowers", 1)
    return tmp_path / "store"


def test_versions_come_and_go_and_the_end_comes_without_one_failed_request(version: Path, changing: Path) -> None:
    request = tensor_request("flowers", IMAGES)
    with Server(changing, "--keep", "1", "--poll", "0.1") as server:
        with Load(server.address, request, 6) as load:
            while not load.seconds:
                time.sleep(0.01)
            publish(version, changing, "flowers", 2)
            server.says("now serving version 2")
            broken = publish(version, changing, "flowers", 3)
            with (broken / "model.onnx").open("ab") as file:
                file.write(b"x")
            said = server.says("version 3 is not served")
            publish(version, changing, "roses", 4)
            server.says("roses: now serving version 4")
            shutil.rmtree(broken)
            publish(version, changing, "flowers", 4)
            server.says("flowers: now serving version 4")
            shutil.rmtree(changing / "flowers" / "4")
            server.says("flowers: now serving version 2")
            shutil.rmtree(changing / "flowers")
            time.sleep(0.5)
            assert (served(server), served(server, "roses")) == (["2"], ["4"])
            os.kill(server.process.pid, signal.SIGTERM)
            load.wait()
        assert server.wait() == 143
    assert said.endswith("model.onnx was changed since the version was published")
    assert load.errors == []
    assert load.refused == 6 and len(load.seconds) > 50
    versions = {json.loads(body[: body.index(b"]}") + 2])["model_version"] for body in load.bodies}
    assert {"1", "2", "4"} <= versions
    assert server.lines[-1] == f"Interrupted: SIGTERM; {len(load.seconds) + 2:,} requests were answered"


def test_ctrl_c_ends_it_and_while_it_lingers_it_is_not_ready(changing: Path) -> None:
    with Server(changing, "--linger", "1.5") as server:
        assert requests.get(f"{server.url}/v2/health/ready", timeout=30).status_code == 200
        os.kill(server.process.pid, signal.SIGINT)
        time.sleep(0.3)
        assert requests.get(f"{server.url}/v2/health/ready", timeout=30).status_code == 503
        connection = Connection(server.address)
        assert connection.ask(tensor_request("flowers", IMAGES))[0] == 200
        assert server.wait() == 130


def test_one_version_of_one_model_is_served_alone(version: Path, store: Path) -> None:
    with Server(store, "--model", "flowers", "--version", "1") as server:
        assert requests.get(f"{server.url}/v1/models", timeout=30).json() == {"models": ["flowers"]}
        assert served(server) == ["1"]
        twin = [sys.executable, "-m", "kerasnets", "serve", str(store), "--port", str(server.address[1])]
        done = subprocess.run(twin, capture_output=True, text=True, timeout=60, check=False)
        wanted = f"Error: --port {server.address[1]}: 127.0.0.1 cannot be listened on there: Address already in use\n"
        assert (done.returncode, done.stderr) == (2, wanted)
        twin = [*twin[:5], "--port", "0", "--grpc-port", server.grpc.split(":")[1]]
        done = subprocess.run(twin, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1].startswith(f"Error: --grpc-port {twin[-1]}: 127.0.0.1 cannot be listened")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["{store}", "--model", "flower"], "{store}/flower does not exist; did you mean 'flowers'?"),
        (["{store}", "--model", "birds", "--version", "8"], "model {store}/birds has no version 8; it has 7"),
        (["{store}", "--version", "8"], "--version goes with one --model NAME"),
        (["{store}", "--port", "9000", "--grpc-port", "9000"], "--port and --grpc-port are both 9000"),
        (["{store}", "--max-images", "9", "--max-queue", "8"], "--max-images 9 is more than --max-queue 8"),
        (["{store}", "--max-body", "9", "--max-memory", "8"], "--max-body 9 is more than --max-memory 8"),
        (["{store}/birds"], "{store}/birds is a model, not a store; give {store} --model birds"),
        (["{store}x"], "model store {store}x does not exist"),
    ],
)
def test_what_cannot_be_served_is_said_in_one_sentence(store: Path, words: list[str], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        serve.main([word.format(store=store) for word in words], standalone_mode=False)
    assert sentence.format(store=store) in str(error.value)


def test_a_format_that_no_model_holds_ends_the_start(store: Path) -> None:
    line = [sys.executable, "-m", "kerasnets", "serve", str(store), "--format", "onnx-int8"]
    done = subprocess.run([*line, "--port", "0", "--grpc-port", "0"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"Error: no model in {store} holds onnx-int8"
    for name in ("birds: version 7", "flowers: version 3"):
        assert f"{name} is not served: " in done.stderr and "holds savedmodel, onnx, not onnx-int8" in done.stderr
