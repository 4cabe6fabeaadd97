"""A temperature is found where there is one, changes no answer, and is not made up where there is none."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from kerasnets.artifacts.export import export
from kerasnets.artifacts.graph import serving_graph
from kerasnets.artifacts.kit import limits
from kerasnets.artifacts.manifest import Manifest
from kerasnets.artifacts.temperature import BOUNDS, FEWEST, fit
from kerasnets.errors import UserError
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


@pytest.mark.slow
def test_both_travel_with_every_format(resnet_run: Run, tmp_path: Path) -> None:
    settings = ["export.calibrate=true", "export.unknown_below=0.3"]
    published = export(resnet_run, to=tmp_path, settings=settings)  # verified against Keras' logits / T
    manifest = Manifest.read(published.path)
    found = manifest.document["calibration"]
    assert found["fitted"]
    assert found["images"] == 359
    assert found["nll_after"] < found["nll_before"]
    assert manifest.unknown_below == 0.3
    assert manifest.document["outputs"]["bytes"]["unknown"] == {"dtype": "bool", "shape": [None]}
    card = (published.path / "README.md").read_text()
    assert f"logits are divided by a temperature of {found['temperature']:.4g}" in card
    assert "not calibrated" not in card
    assert 'It says "unknown" (output `unknown`) where its best class has a probability below 0.3' in card
    triton = (published.path.parent / "config.pbtxt").read_text()
    assert 'name: "unknown"\n  data_type: TYPE_BOOL\n  dims: [ 1 ]\n  reshape: { shape: [ ] }\n}' in triton
    plain = export(resnet_run, to=tmp_path / "plain", formats=["onnx"])
    assert Manifest.read(plain.path).document["calibration"] is None
    assert replace(serving_graph(resnet_run), temperature=2.0).interface == serving_graph(resnet_run).interface
