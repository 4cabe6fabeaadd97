"""A temperature is found where there is one, changes no answer, and is not made up where there is none."""

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.special import log_softmax, softmax

from kerasnets.artifacts.audit.version import audit
from kerasnets.artifacts.export import Published, export
from kerasnets.artifacts.graph import serving_graph
from kerasnets.artifacts.kit import limits
from kerasnets.artifacts.manifest import Manifest
from kerasnets.artifacts.temperature import BOUNDS, FEWEST, fit
from kerasnets.data import sources
from kerasnets.data.raw import picture
from kerasnets.errors import UserError
from kerasnets.inference.command import predict
from kerasnets.inference.evaluate import evaluate
from kerasnets.inference.subject import open_subject
from kerasnets.run import Run


def drawn(images: int, temperature: float, classes: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits that are too sure by a factor `temperature`, and classes drawn from the true probabilities."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (images, classes))
    chances = softmax(logits, axis=1)
    targets = np.array([rng.choice(classes, p=row) for row in chances])
    return (logits * temperature).astype(np.float32), targets


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_was_used_is_found(temperature: float) -> None:
    logits, targets = drawn(20_000, temperature)
    found = fit(logits, targets)
    assert found.fitted
    assert found.temperature == pytest.approx(temperature, rel=0.03)
    assert found.nll_after <= found.nll_before + 1e-9
    assert found.ece_after < 0.015
    if temperature != 1:
        assert found.ece_after < found.ece_before / 3


def test_it_is_the_minimum_of_the_negative_log_likelihood() -> None:
    logits, targets = drawn(500, 3.0)
    found = fit(logits, targets)

    def nll(temperature: float) -> float:
        return -log_softmax(logits / temperature, axis=1)[np.arange(len(targets)), targets].mean()

    assert found.nll_after == pytest.approx(nll(found.temperature))
    assert all(nll(found.temperature * factor) > found.nll_after for factor in (0.98, 1.02))


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda: drawn(FEWEST - 1, 2.0), "the validation split has 99 images, and at least 100 are needed"),
        (
            lambda: (np.eye(4, dtype=np.float32)[np.arange(200) % 4] * 9, np.arange(200) % 4),
            "every validation image is right, so they do not say how sure a wrong answer is",
        ),
        (
            lambda: (np.eye(4, dtype=np.float32)[np.arange(200) % 4] * 99, (np.arange(200) + 1) % 4),
            f"the likeliest temperature is not between {BOUNDS[0]:g} and {BOUNDS[1]:g}",
        ),
    ],
    ids=["few", "perfect", "hopeless"],
)
def test_where_none_can_be_fitted_it_stays_1_and_says_why(
    made: Callable[[], tuple[np.ndarray, np.ndarray]], reason: str
) -> None:
    found = fit(*made())
    assert (found.temperature, found.fitted, found.reason) == (1.0, False, reason)
    assert found.nll_after == found.nll_before
    assert found.words() == f"none, the temperature stays 1: {reason}"
    card = list(limits.sentences({"unknown_below": None, "calibration": found.document()}))
    assert card[1] == f"Its probabilities are not calibrated: {reason}."


def test_a_limit_that_would_do_nothing_is_refused(photo_resnet: Run) -> None:
    export_section = photo_resnet.config.export.model_copy(update={"unknown_below": 0.25})
    run = Run(photo_resnet.path, photo_resnet.config.model_copy(update={"export": export_section}))
    with pytest.raises(UserError, match="^export.unknown_below=0.25: the best of 4 classes always has a probability"):
        serving_graph(run)


def test_settings_of_other_sections_are_refused(photo_resnet: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="^'training.epochs=3': export takes settings of its own section, such as"):
        export(photo_resnet, to=tmp_path, settings=["training.epochs=3"])


@pytest.fixture(scope="module")
def unsure(resnet_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Published:
    """A version whose probabilities are calibrated and which says "unknown"; verified against Keras' logits / T."""
    settings = ["export.calibrate=true", "export.unknown_below=0.6"]
    return export(resnet_run, to=tmp_path_factory.mktemp("unsure"), settings=settings)


@pytest.mark.slow
def test_both_travel_with_every_format(unsure: Published, resnet_run: Run) -> None:
    manifest = Manifest.read(unsure.path)
    found = manifest.document["calibration"]
    assert found["fitted"]
    assert found["images"] == 359
    assert found["nll_after"] < found["nll_before"]
    assert manifest.unknown_below == 0.6
    assert manifest.document["outputs"]["bytes"]["unknown"] == {"dtype": "bool", "shape": [None]}
    card = (unsure.path / "README.md").read_text()
    assert f"logits are divided by a temperature of {found['temperature']:.4g}" in card
    assert "not calibrated" not in card
    assert 'It says "unknown" (output `unknown`) where its best class has a probability below 0.6' in card
    triton = (unsure.path.parent / "config.pbtxt").read_text()
    assert re.search(r'name: "unknown"\s+data_type: TYPE_BOOL\s+dims: \[ 1 \]\s+reshape: { shape: \[ \] }', triton)
    assert replace(serving_graph(resnet_run), temperature=2.0).interface == serving_graph(resnet_run).interface
    assert [check.sentence() for check in audit(manifest) if not check.ok] == []


@pytest.mark.slow
def test_the_best_class_is_that_of_the_model_that_is_not_calibrated(unsure: Published, resnet_run: Run) -> None:
    images = np.random.default_rng(0).uniform(0, 255, (64, 8, 8, 1)).astype(np.float32)
    temperature = Manifest.read(unsure.path).document["calibration"]["temperature"]
    plain, scaled = open_subject(resnet_run.path)(images), open_subject(unsure.path)(images)
    np.testing.assert_array_equal(plain.argmax(axis=1), scaled.argmax(axis=1))
    np.testing.assert_allclose(scaled, softmax(np.log(plain) / temperature, axis=1), atol=1e-5)


@pytest.mark.slow
def test_unknown_is_said_wherever_answers_are_shown(unsure: Published, resnet_run: Run, tmp_path: Path) -> None:
    digits = sources.load(resnet_run.config.data, seed=resnet_run.config.seed).validation
    for place in range(60):
        picture(digits, place).save(tmp_path / f"{place:02}.png")
    table = tmp_path / "table.csv"
    said = CliRunner().invoke(predict, [str(unsure.path), str(tmp_path), "--top", "1", "--json", "--csv", str(table)])
    predictions = json.loads(said.output)["predictions"]
    assert len(predictions) == 60
    for prediction in predictions:
        assert prediction["unknown"] == (prediction["classes"][0]["probability"] < 0.6)
    assert 0 < sum(prediction["unknown"] for prediction in predictions) < 60
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["unknown"] == "true" for row in rows] == [prediction["unknown"] for prediction in predictions]
    place = next(place for place, prediction in enumerate(predictions) if prediction["unknown"])
    text = CliRunner().invoke(predict, [str(unsure.path), predictions[place]["path"]]).output
    assert "unknown" in text


@pytest.mark.slow
def test_evaluation_counts_what_is_answered(unsure: Published) -> None:
    measures = evaluate(open_subject(unsure.path))
    assert measures.unknown_below == 0.6
    assert measures.answered is not None
    assert measures.accuracy_answered is not None
    assert 0 < measures.answered < 1
    assert measures.document()["answered"] == measures.answered
    assert measures.accuracy_answered > measures.accuracy
    assert measures.ece == pytest.approx(Manifest.read(unsure.path).document["calibration"]["ece_after"], abs=1e-3)
