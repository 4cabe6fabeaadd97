"""The fresh process: what it may import, how it speaks, how it fails."""

import re
import types
from pathlib import Path

import numpy as np
import pytest

from kerasnets.artifacts.process import ProcessRunner
from kerasnets.errors import CheckFailed

DOUBLES = """
import sys
import numpy as np
print("libraries print to stdout")

class Doubles:
    labels = ("one", "two")
    signatures = {"image": {}}
    def outputs(self, images):
        return {"probabilities": images * 2, "unknown": images[:, 0, 0, 0] > 0}
    def encoded(self, files):
        return {"lengths": np.array([len(file) for file in files]), "classes": np.array(["é", "ab"])}

def read(path):
    return Doubles()
"""


def runner(
    tmp_path: Path, source: str, blocked: tuple[str, ...] = ("kerasnets",), timeout: float = 60
) -> ProcessRunner:
    file = tmp_path / "form.py"
    file.write_text(source, encoding="utf-8")
    form = types.SimpleNamespace(NAME="doubles", FILE="artefact", INDEPENDENT_OF=blocked, READER=str(file))
    return ProcessRunner(form, tmp_path, timeout=timeout)  # type: ignore[arg-type]


def test_arrays_go_through_unchanged(tmp_path: Path) -> None:
    images = np.random.default_rng(0).normal(size=(3, 40, 50, 3)).astype(np.float32)
    with runner(tmp_path, DOUBLES) as doubles:
        assert doubles.labels == ("one", "two")
        assert doubles.signatures == {"image": {}}
        np.testing.assert_array_equal(doubles(images), images * 2)
        np.testing.assert_array_equal(doubles(images.transpose(0, 2, 1, 3)), images.transpose(0, 2, 1, 3) * 2)
        assert doubles(images[:0]).shape == (0, 40, 50, 3)
        found = doubles.outputs(images)
        assert list(found) == ["probabilities", "unknown"]
        assert found["unknown"].tolist() == (images[:, 0, 0, 0] > 0).tolist()


def test_files_go_through_with_their_trailing_zeros(tmp_path: Path) -> None:
    with runner(tmp_path, DOUBLES) as doubles:
        answer = doubles.encoded([b"a\0\0", b"", b"\n\n"])
    assert answer["lengths"].tolist() == [3, 0, 2]
    assert answer["classes"].tolist() == ["é", "ab"]


def test_a_blocked_package_cannot_be_imported(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed) as error, runner(tmp_path, "import kerasnets"):
        pass
    lines = str(error.value).splitlines()
    assert lines[0] == "doubles: the fresh process ended with code 1, asked to open the artefact"
    assert lines[-1] == "  ModuleNotFoundError: import of kerasnets halted; None in sys.modules"


def test_the_working_directory_is_not_importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "beside.py").write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckFailed, match="No module named 'beside'"), runner(tmp_path, "import beside"):
        pass


def test_an_error_is_the_answer_to_one_call(tmp_path: Path) -> None:
    source = DOUBLES.replace("return {", "1 // 0 if len(images) == 3 else 1; return {")
    with runner(tmp_path, source) as doubles:
        with pytest.raises(CheckFailed) as error:
            doubles(np.zeros((3, 1, 1, 1)))
        message = "doubles: the artefact failed to answer a call of 'image': ZeroDivisionError: "
        assert str(error.value).startswith(message)
        assert doubles(np.ones((1, 1, 1, 1))).tolist() == [[[[2.0]]]]


def test_a_process_that_dies_is_reported_with_its_last_words(tmp_path: Path) -> None:
    source = DOUBLES.replace("return {", "import os; os.write(2, b'out of luck'); os._exit(7); return {")
    expected = "doubles: the fresh process ended with code 7, asked to answer a call of 'image'\n"
    with runner(tmp_path, source) as doubles:
        with pytest.raises(CheckFailed, match=f"^{re.escape(expected)}.*\n?  .*out of luck$"):
            doubles(np.zeros((1, 1, 1, 1)))
        with pytest.raises(CheckFailed, match="^doubles: the fresh process ended with code 7"):
            doubles(np.zeros((1, 99, 99, 9)))


def test_a_process_that_hangs_is_ended(tmp_path: Path) -> None:
    source = DOUBLES.replace("return {", "import time; time.sleep(60); return {")
    with runner(tmp_path, source, timeout=2.5) as doubles:
        with pytest.raises(CheckFailed, match="^doubles: the fresh process took more than 2.5 s to answer"):
            doubles(np.zeros((1, 1, 1, 1)))
