"""Grad-CAM in the report: what training leaves of it, and what the page makes of that."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kerasnets.report import looked, page
from kerasnets.report.material import Material, Predictions
from kerasnets.run import Run
from kerasnets.training.explaining import MISTAKES, RIGHT, SIDE, choose

pytestmark = pytest.mark.slow


def test_the_most_confident_answers_are_chosen() -> None:
    labels = np.array([0, 0, 1, 1, 2, 2, 0, 1])
    predicted = np.array([0, 0, 1, 2, 2, 1, 1, 0])
    confidence = np.array([0.5, 0.9, 0.8, 0.7, 0.6, 0.95, 0.4, 0.55])
    found = Predictions("test", tuple("abcdefgh"), labels, predicted, confidence, confidence)
    assert choose(found) == [5, 3, 7, 6, 1, 2, 4]  # mistakes; then one right answer a class


def test_training_leaves_pictures_that_the_report_shows(resnet_run: Run, tmp_path: Path) -> None:
    document = resnet_run.read_json("gradcam/gradcam.json")
    material = Material(resnet_run)
    assert document["layer"] == "conv4_block1_out"
    assert material.predictions is not None and document["split"] == material.predictions.split
    wrong = [one for one in document["examples"] if one["label"] != one["predicted"]]
    assert len(wrong) == min(MISTAKES, int((~material.predictions.right).sum())) > 0
    assert len(document["examples"]) == len(wrong) + RIGHT
    shown = looked.all_of(material)
    assert [look.true is not None for look in shown] == [True] * len(wrong) + [False] * RIGHT
    folder = resnet_run.path / "gradcam"
    pictures = [
        np.asarray(Image.open(io.BytesIO((folder / f"0{end}.png").read_bytes()))) for end in ("", "-said", "-is")
    ]
    assert {picture.shape for picture in pictures} == {(SIDE, SIDE, 3)}
    assert all((one != other).any() for one, other in zip(pictures, pictures[1:] + pictures[:1], strict=True))
    text = page.write(resnet_run, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Where it looked" in text and text.count('<div class="pair">') == len(shown)


def test_pictures_that_are_not_there_are_named(resnet_run: Run, tmp_path: Path) -> None:
    run = Run.open(shutil.copytree(resnet_run.path, tmp_path / "run"))
    (run.path / "gradcam" / "0-said.png").write_bytes(b"GIF89a")
    text = page.write(run).read_text(encoding="utf-8")
    assert "The pictures cannot be shown: " in text and "0-said.png is no PNG file" in text
    shutil.rmtree(run.path / "gradcam")
    assert "Where it looked" not in page.write(run).read_text(encoding="utf-8")
