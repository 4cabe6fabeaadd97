"""What the first release wrote is read, measured and exported by this one; what a later one writes is named.

`earlier/` is a run and a version that kerasnets 0.1.0 wrote when documents of schema 1 had no more keys than these: a
ResNet with widths 4, 4 and 8 on the digits, 8 epochs, `kerasnets export --formats onnx`. Only paths were changed.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from kerasnets import documents
from kerasnets.artifacts.audit.version import audit
from kerasnets.artifacts.export import export
from kerasnets.artifacts.golden import pictures
from kerasnets.artifacts.manifest import Manifest
from kerasnets.errors import UserError
from kerasnets.inference.evaluate import evaluate
from kerasnets.inference.predict import Prediction, Predictor
from kerasnets.inference.subject import open_subject
from kerasnets.run import Run

EARLIER = Path(__file__).parent / "earlier"
VERSION = EARLIER / "models" / "digits" / "1"
ACCURACY = 192 / 359


def test_a_version_answers_as_it_did(tmp_path: Path) -> None:
    manifest = Manifest.read(VERSION)
    assert "calibration" not in manifest.document
    assert manifest.unknown_below is None
    assert manifest.release == "0.1.0"
    assert manifest.document["parity"]["onnx"]["accuracy"] == pytest.approx(ACCURACY)
    measures = evaluate(open_subject(VERSION))
    assert measures.accuracy == pytest.approx(ACCURACY)
    assert measures.answered is None
    (tmp_path / "a.png").write_bytes(pictures()["mode-l.png"])
    (prediction,) = Predictor(VERSION.parent)([str(tmp_path / "a.png")], top=1, batch_size=1)
    assert isinstance(prediction, Prediction)
    assert prediction.unknown is None


def test_verify_says_what_it_cannot_check() -> None:
    checks = list(audit(Manifest.read(VERSION)))
    assert [check.ok for check in checks if check.check != "golden images"] == [True] * 4
    assert [check.sentence() for check in checks if not check.ok] == [
        "golden images: the version was written by kerasnets 0.1.0, which kept no golden images; export the run again "
        "to have them"
    ]


def test_a_run_is_read() -> None:
    run = Run.open(EARLIER / "run")
    assert run.config.name == "digits"
    assert not run.config.export.calibrate
    assert run.labels == tuple("0123456789")
    assert run.read_json("metrics.json")["validation"]["accuracy"] == pytest.approx(ACCURACY)
    for name in ("environment.json", "diagnosis.json", "preprocessing.json"):
        assert documents.read(run.path / name)["schema"] == 1


@pytest.mark.slow
def test_a_run_is_measured_and_exported(tmp_path: Path) -> None:
    assert evaluate(open_subject(EARLIER / "run")).accuracy == pytest.approx(ACCURACY)
    path = export(EARLIER / "run", to=tmp_path, formats=["onnx"]).path
    images = np.random.default_rng(0).uniform(0, 255, (8, 8, 8, 1)).astype(np.float32)
    before, now = open_subject(VERSION)(images), open_subject(path)(images)
    np.testing.assert_allclose(now, before, atol=1e-5)
    assert all(check.ok for check in audit(Manifest.read(path)))


@pytest.mark.parametrize(
    ("more", "needed"),
    [
        ({"versions": {"kerasnets": "0.9.0"}}, "it needs kerasnets 0.9.0 or later"),
        ({}, "it needs a later release"),
        ({"versions": None}, "it needs a later release"),
    ],
)
def test_a_document_of_a_later_release_says_which_is_needed(tmp_path: Path, more: object, needed: str) -> None:
    document = {**json.loads((VERSION / "manifest.json").read_text()), **{"versions": {}}, "schema": 2}
    (tmp_path / "manifest.json").write_text(json.dumps(document | more))  # type: ignore[operator]
    with pytest.raises(UserError) as error:
        Manifest.read(tmp_path)
    assert str(error.value) == f"{tmp_path / 'manifest.json'} has schema 2; this kerasnets reads 1; {needed}"
