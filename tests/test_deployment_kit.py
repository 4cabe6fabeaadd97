"""export/: Dockerfiles and compose files name what is there, pin what they take, and open no port to the network."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
KIT = ROOT / "export"
DOCKERFILES = sorted(KIT.glob("*/Dockerfile"))
COMPOSE = sorted(KIT.glob("*/compose.yaml"))
PINNED = re.compile(r"[a-z0-9./_-]+:\d+(\.\d+)*[a-z0-9.-]*")
INSTRUCTIONS = {"FROM", "ARG", "ENV", "WORKDIR", "COPY", "RUN", "USER", "ENTRYPOINT", "CMD", "EXPOSE"}
STARTS_FROM = {"triton": "export/models", "tensorflow-serving": "export/models", "kerasnets-serve": "."}
"""Folder -> what its Dockerfile's head says the context is; of others it is the folder, or a version's."""


def instructions(path: Path) -> list[tuple[str, str]]:
    lines = path.read_text().replace("\\\n", " ").splitlines()
    found = [line.split(maxsplit=1) for line in lines if line.strip() and not line.startswith("#")]
    return [(name, rest) for name, rest in found]


def test_each_server_has_both() -> None:
    folders = {path.name for path in KIT.iterdir() if path.is_dir() and path.name != "models"}
    assert {path.parent.name for path in DOCKERFILES} == {path.parent.name for path in COMPOSE} == folders - {"kserve"}
    assert folders == set(re.findall(r"^\| \[([a-z-]+)\]\(\1\)", (KIT / "README.md").read_text(), re.MULTILINE))


@pytest.mark.parametrize("path", DOCKERFILES, ids=[path.parent.name for path in DOCKERFILES])
def test_dockerfiles(path: Path) -> None:
    found = instructions(path)
    assert found[0][0] == "FROM" and PINNED.fullmatch(found[0][1])
    assert {name for name, _ in found} <= INSTRUCTIONS
    for name, rest in found:
        if name in ("CMD", "ENTRYPOINT"):
            assert all(isinstance(word, str) for word in json.loads(rest))
        if name == "EXPOSE":
            assert all(1 <= int(port) <= 65535 for port in rest.split())
        if name == "COPY":
            context = ROOT / STARTS_FROM.get(path.parent.name, f"export/{path.parent.name}")
            *sources, _ = rest.split()
            assert [word for word in sources if word != "." and not (context / word).exists()] == []
    assert "docker build" in path.read_text() and "Not built yet" in path.read_text()


@pytest.mark.parametrize("path", COMPOSE, ids=[path.parent.name for path in COMPOSE])
def test_compose_files(path: Path) -> None:
    document = yaml.safe_load(path.read_text())
    assert list(document) == ["services"] and len(document["services"]) == 1
    (service,) = document["services"].values()
    known = {"image", "build", "command", "entrypoint", "volumes", "ports", "healthcheck", "shm_size"}
    assert service.keys() <= known | {"stop_grace_period"}
    assert PINNED.fullmatch(service["image"])
    for port in service.get("ports", ()):
        assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)
    store = next(volume for volume in service["volumes"] if volume.startswith("../models"))
    assert store.endswith(":ro")
    assert service["image"] in _images(path) or "build" in service
    if isinstance(service.get("build"), dict):
        context = (path.parent / service["build"]["context"]).resolve()
        assert context == ROOT and (context / service["build"]["dockerfile"]).is_file()


def _images(path: Path) -> list[str]:
    return [rest for name, rest in instructions(path.parent / "Dockerfile") if name == "FROM"]


def test_our_own_image_has_our_version() -> None:
    from kerasnets import __version__

    service: Any = yaml.safe_load((KIT / "kerasnets-serve" / "compose.yaml").read_text())["services"]["kerasnets-serve"]
    assert service["image"] == f"kerasnets-serve:{__version__}"


def test_the_claim_is_what_services_name() -> None:
    from kerasnets.artifacts.kit import kserve

    claim, pod = yaml.safe_load_all((KIT / "kserve" / "claim.yaml").read_text())
    assert claim["metadata"]["name"] == kserve.CLAIM
    assert pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] == kserve.CLAIM


def test_programs_are_whole() -> None:
    source = (KIT / "triton" / "model.py").read_text()
    compile(source, "model.py", "exec")
    text = (KIT / "README.md").read_text()
    for part in re.findall("```python\n(.*?)```", text, re.DOTALL):
        compile(part, "README", "exec")
    for part in re.findall("```sh\n(.*?)```", text, re.DOTALL):
        assert subprocess.run(["bash", "-n", "-c", part], check=False).returncode == 0
    versions = json.loads((KIT / "onnxruntime-node" / "package.json").read_text())["dependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in versions.values())


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_node_s_program_is_whole() -> None:
    path = KIT / "onnxruntime-node" / "classify.mjs"
    assert subprocess.run(["node", "--check", str(path)], check=False, timeout=30).returncode == 0
