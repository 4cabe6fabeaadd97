"""`kerasnets explain` on a run and on a published version: the same maps, pictures, and words for what is wrong."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from kerasnets.errors import UserError
from kerasnets.inference.explain import Explanation, open_explainer
from kerasnets.inference.explain_command import explain
from kerasnets.run import Run

pytestmark = pytest.mark.slow


def turned(photos: Path, path: Path) -> Path:
    """Write a photograph that lies on its side, with the EXIF orientation that says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(sorted(photos.glob("*/*.jpg"))[0]) as image:
        image.save(path, quality=95, exif=exif)
    return path


def test_a_run_and_its_saved_model_explain_alike(photo_resnet: Run, both: Path, photos: Path, tmp_path: Path) -> None:
    files = [str(turned(photos, tmp_path / "turned.jpg")), *map(str, sorted(photos.glob("*/000.jpg")))]
    run, version = open_explainer(photo_resnet.path), open_explainer(both)
    assert (run.layer, version.layer) == ("conv4_block1_out", None)
    for label in (None, "coffee"):
        for one, other in zip(run(files, label), version(files, label), strict=True):
            assert isinstance(one, Explanation) and isinstance(other, Explanation)
            np.testing.assert_allclose(one.heat, other.heat, atol=1e-3)
            assert one.label == other.label and abs(one.probability - other.probability) < 1e-4
            assert one.heat.shape == one.image.shape[:2] == other.image.shape[:2]
            assert label is None or one.label == label
    with Image.open(files[0]) as stored:
        (first,) = run(files[:1])
        assert isinstance(first, Explanation) and first.image.shape[:2] == stored.size  # upright


def test_command(both: Path, photos: Path, tmp_path: Path) -> None:
    image, out = sorted(photos.glob("*/000.jpg"))[0], tmp_path / "out"
    words = [str(both), str(image), str(image), "-o", str(out), "--json", "--class", "rocket"]
    done = CliRunner().invoke(explain, words, catch_exceptions=False)
    document = json.loads(done.stdout)
    assert [Path(one["file"]).name for one in document["explanations"]] == ["000.png", "000-2.png"]
    assert {one["class"] for one in document["explanations"]} == {"rocket"}
    assert len(document["explanations"][0]["classes"]) == 4
    with Image.open(io.BytesIO((out / "000.png").read_bytes())) as picture:
        assert picture.format == "PNG" and picture.width > 700
    done = CliRunner().invoke(explain, [str(both), str(image), str(tmp_path / "none.jpg"), "-o", str(out)])
    assert isinstance(done.exception, UserError)
    assert str(done.exception) == "1 of 2 images could not be explained"


def test_an_image_is_not_overwritten(both: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place, path in enumerate(sorted(photos.glob("*/000.jpg"))[:2]):
        with Image.open(path) as image:
            image.save(tmp_path / f"{place}.png")
    kept = {path: path.read_bytes() for path in sorted(tmp_path.iterdir())}
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(explain, [str(both), "\0", *map(str, kept), "-o", "."])
    assert isinstance(done.exception, UserError)
    assert str(done.exception) == "--output .: 0.png is one of the images; name another folder"
    assert {path: path.read_bytes() for path in sorted(tmp_path.iterdir())} == kept


class Unsure:
    """Stands for a SavedModel that says "unknown"."""

    def explained(self, images: np.ndarray, classes: np.ndarray) -> dict[str, np.ndarray]:
        probabilities = np.array([[0.2, 0.3, 0.4, 0.1]], np.float32)
        return {"heatmaps": np.ones((1, 3, 3), np.float32), "probabilities": probabilities, "unknown": np.array([True])}


def test_unknown_is_said(both: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kerasnets.inference.explain.open_runner", lambda *_: Unsure())
    image = str(sorted(photos.glob("*/000.jpg"))[0])
    done = CliRunner().invoke(explain, [str(both), image, "-o", str(tmp_path)], catch_exceptions=False)
    assert done.stdout == f"{tmp_path}/000.png: unknown; nearest is coffee 0.4000\n"
    (found,) = open_explainer(both)([image], "rocket")
    assert isinstance(found, Explanation) and found.heading == "unknown; rocket"
    assert found.document(tmp_path)["unknown"] is True


def test_words_for_what_is_wrong(photo_resnet: Run, version: Path, both: Path, photos: Path) -> None:
    for path, layer, label, words in (
        (
            version,
            None,
            None,
            f"^{version} holds onnx, and only a SavedModel explains its answers; explain the run, or",
        ),
        (both, "conv1_conv", None, f"^--layer conv1_conv goes with a run; the layer of {both} was chosen at export$"),
        (both, None, "cofee", r"^--class cofee is not a class of photos-1; did you mean 'coffee'\?$"),
        (photo_resnet.path, "conv1_con", None, r"^--layer conv1_con is not a layer .*; did you mean 'conv1_conv'\?$"),
        (photo_resnet.path, "softmax", None, "^--layer softmax keeps no places apart; the last one that can be shown"),
    ):
        with pytest.raises(UserError, match=words):
            open_explainer(path, layer).index(label)
