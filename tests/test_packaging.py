"""The wheel holds everything: installed anywhere, `kerasnets train digits-resnet20` finds its config by name."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from kerasnets.artifacts.web.page import HASHES

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_wheel_holds_configs_licence_and_command(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, timeout=300, capture_output=True)
    (wheel,) = tmp_path.glob("kerasnets-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
        entry = archive.read(next(name for name in names if name.endswith("entry_points.txt"))).decode()
    assert "kerasnets = kerasnets.cli:main" in entry
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith("tests")]
    runtime = {Path(name).name for name in names if "/assets/onnxruntime-web/" in name}
    assert runtime == {"LICENSE", "ThirdPartyNotices.txt", *HASHES}
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    for words, expected in (
        (["config"], {path.stem for path in (ROOT / "configs").glob("*.yaml")}),
        (["models"], None),
    ):
        command = [sys.executable, "-m", "kerasnets", *words]
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
        )
        assert done.stdout
        assert expected is None or set(done.stdout.split()) == expected
    where = [sys.executable, "-c", "import kerasnets; print(kerasnets.__file__)"]
    done = subprocess.run(where, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(str(tmp_path))  # it was the wheel's, not the checkout's
