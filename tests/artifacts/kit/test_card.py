"""The model card: what it says, what other people's words cannot do to it, and its requests, which run."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kerasnets.artifacts.export import Published
from kerasnets.artifacts.kit import card
from kerasnets.artifacts.kit.confusions import confusions
from kerasnets.artifacts.kit.markdown import code, table
from kerasnets.artifacts.manifest import Manifest
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.errors import UserError
from kerasnets.run import Run

HOSTILE = ["a|b", "`tick`", "<img src=x onerror=alert(1)>", "[x](javascript:1)", " pad ", "``", "\x1b[31m", "**b**"]


@pytest.fixture(scope="module")
def manifest(both: Path) -> dict[str, Any]:
    return Manifest.read(both / "photos" / "1").complete


def written(manifest: dict[str, Any], counts: dict[str, np.ndarray] | None = None, **changes: Any) -> str:
    pixels = Preprocessing((8, 8), 3, "squash", 1.0, mean=(0.0,) * 3, std=(1.0,) * 3)
    return card.text({**manifest, **changes}, pixels, counts or {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "`plain`"),
        ("a|b", "`a|b`"),
        ("`t`", "`` `t` ``"),
        ("a``b", "```a``b```"),
        (" x", "`  x `"),
        ("a\nb", "`a\\nb`"),
        ("\x1b", "`\\u001b`"),
        ("<b>", "`<b>`"),
    ],
)
def test_words_in_code_spans(text: str, expected: str) -> None:
    assert code(text) == expected


def test_a_bar_in_a_table_has_a_backslash() -> None:
    assert table([["x", "y"], [code("a|b"), ""]]) == "| x | y |\n|---|---|\n| `a\\|b` |  |"


@pytest.mark.slow
def test_class_names_are_shown_as_they_are(manifest: dict[str, Any]) -> None:
    """markdown-it, which rich brings, renders the card: nothing of a name becomes an element."""
    from markdown_it import MarkdownIt

    counts = np.eye(8, dtype=int) + np.roll(np.eye(8, dtype=int), 1, axis=1)
    text = written(manifest, {"validation": counts}, labels=HOSTILE)
    page = MarkdownIt("commonmark").enable("table").render(text)
    assert "<img src=x" not in page and "javascript:1)" in page and 'href="javascript' not in page
    shown = re.findall("<code>(.*?)</code>", page)
    for name in ("a|b", "`tick`", "&lt;img src=x onerror=alert(1)&gt;", "[x](javascript:1)", "**b**", "\\u001b[31m"):
        assert name in shown
    assert page.count("<h1>") == 1 and "Most frequent mistakes, validation:" in page


@pytest.mark.slow
def test_a_request_for_each_server(manifest: dict[str, Any]) -> None:
    forms = ["savedmodel", "onnx", "onnx-int8", "litert", "litert-int8", "openvino", "web"]
    use = written(manifest, formats=forms).split("## Use")[1]
    for words in (
        *("kerasnets predict photos/1 photo.jpg", "kerasnets serve . --model photos", "tensorflow/serving:2.19.0"),
        *("kubectl apply -f photos/inferenceservice.yaml", "tritonserver", 'InferenceSession("model.onnx")'),
        *('InferenceSession("model.int8.onnx")', 'Interpreter("model.tflite")', 'Interpreter("model.int8.tflite")'),
        *('compile_model("openvino/model.xml"', "http.server --directory web"),
    ):
        assert words in use
    for source in re.findall("```python\n(.*?)```", use, re.DOTALL):
        compile(source, "card", "exec")
    shells = re.findall("```sh\n(.*?)```", use, re.DOTALL)
    for source in shells:
        assert subprocess.run(["bash", "-n", "-c", source], check=False).returncode == 0
    only = written(manifest, formats=["savedmodel"]).split("## Use")[1]
    assert "onnxruntime.InferenceSession" not in only and "kerasnets serve" not in only


@pytest.mark.slow
def test_the_card_s_python_runs(both: Path, photos: Path, tmp_path: Path) -> None:
    version = both / "photos" / "1"
    source = next(part for part in _python(version) if "onnxruntime" in part)
    shutil.copy(version / "model.onnx", tmp_path)
    shutil.copy(next((photos / "coffee").iterdir()), tmp_path / "photo.jpg")
    line = [sys.executable, "-I", "-c", source]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    label, probability = done.stdout.split()
    assert label in ("astronaut", "chelsea", "coffee", "rocket")
    assert 0.25 <= float(probability) <= 1


@pytest.mark.slow
def test_the_card_s_python_for_litert_and_openvino_runs(photo_resnet: Run, photos: Path, tmp_path: Path) -> None:
    from kerasnets.artifacts.formats import FORMATS
    from kerasnets.artifacts.graph import serving_graph
    from kerasnets.artifacts.kit import requests

    graph, said = serving_graph(photo_resnet), []
    (tmp_path / "manifest.json").write_text(json.dumps({"labels": list(photo_resnet.labels)}))
    shutil.copy(next((photos / "coffee").iterdir()), tmp_path / "photo.jpg")
    image = {"image": {"image": {"dtype": "float32", "shape": [None, None, None, 3]}}}
    for form in ("litert", "openvino"):
        FORMATS[form].write(graph, tmp_path)
        text = "\n".join(requests.section({"name": "photos", "version": 1, "formats": [form], "inputs": image}))
        line = [sys.executable, "-I", "-c", text.split("```python\n")[1].split("```")[0]]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
        label, probability = done.stdout.split()
        said.append((label, round(float(probability), 3)))
    assert said[0] == said[1] and said[0][0] in photo_resnet.labels


def _python(version: Path) -> list[str]:
    text = (version / "README.md").read_text()
    return [part.split("```")[0] for part in text.split("```python\n")[1:]]


@pytest.mark.slow
def test_confusions_are_drawn(resnet_run: Run, tmp_path: Path, manifest: dict[str, Any]) -> None:
    found = confusions(resnet_run)
    metrics = resnet_run.read_json("metrics.json")
    assert list(found) == [split for split in ("validation", "test") if split in metrics]
    for split, counts in found.items():
        assert np.trace(counts) / counts.sum() == pytest.approx(metrics[split]["accuracy"], abs=1e-6)
    labels = list(resnet_run.labels)
    card.write(tmp_path, {**manifest, "labels": labels}, Preprocessing.load(resnet_run.path), found)
    assert {path.name for path in tmp_path.iterdir()} == {"README.md", *(f"confusion-{split}.png" for split in found)}
    text = (tmp_path / "README.md").read_text()
    assert "](confusion-validation.png)" in text and "Most frequent mistakes, validation: `" in text


def test_predictions_of_unknown_classes_are_refused(photo_resnet: Run, tmp_path: Path) -> None:
    shutil.copytree(photo_resnet.path, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    assert confusions(run) == {}
    run.write_rows("predictions.csv", ("split", "label", "predicted"), [("validation", "coffee", "tea")])
    with pytest.raises(UserError, match="predictions.csv is damaged: there is no class 'tea'$"):
        confusions(run)


def test_a_card_published_again(published: Published) -> None:
    before = (published.path / "README.md").read_text()
    text = card.again(before, "photos", 5, 1)
    assert text.splitlines()[:3] == [
        *("# photos, version 5", ""),
        "> This is version 1, published again as version 5 by `kerasnets store rollback`.",
    ]
    assert text.split("## Intended use")[1] == before.split("## Intended use")[1]
    twice = card.again(text, "photos", 7, 5)
    assert twice.count("published again") == 1
