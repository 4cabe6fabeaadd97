"""Artefacts broken on purpose are refused, each for its own reason; whole ones pass with figures."""

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasnets import models
from kerasnets.artifacts.formats import FORMATS, as_written
from kerasnets.artifacts.graph import Graph, serving_graph
from kerasnets.artifacts.verify import verify
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.errors import CheckFailed
from kerasnets.run import Run

BOTH = [pytest.param("onnx"), pytest.param("savedmodel", marks=pytest.mark.slow)]


def no_mean(graph: Graph) -> Graph:
    return replace(graph, preprocessing=replace(graph.preprocessing, mean=(0.0, 0.0, 0.0)))


class ChannelsSwapped(Preprocessing):
    def apply(self, images: Any, xp: ModuleType) -> Any:
        return super().apply(images[..., ::-1], xp)


class HalfPixelShift(Preprocessing):
    def apply(self, images: Any, xp: ModuleType) -> Any:
        below = xp.concat([images[:, 1:], images[:, -1:]], 1)
        return super().apply((images + below) / 2, xp)


def altered(graph: Graph, kind: type[Preprocessing]) -> Graph:
    fields = {name: getattr(graph.preprocessing, name) for name in Preprocessing.__dataclass_fields__}
    return replace(graph, preprocessing=kind(**fields))


def refusal(run: Run, graph: Graph, form: str, directory: Path) -> str:
    """Return the reason for which what `graph` writes is refused as an artefact of `run`."""
    FORMATS[form].write(graph, directory)
    with pytest.raises(CheckFailed) as error:
        verify(run, directory, [form], serving_graph(run).interface)
    return str(error.value)


@pytest.mark.parametrize("form", BOTH)
@pytest.mark.parametrize(
    "break_it",
    [
        pytest.param(lambda graph: altered(graph, ChannelsSwapped), id="channels swapped"),
        pytest.param(no_mean, id="no mean", marks=pytest.mark.slow),
        pytest.param(lambda graph: altered(graph, HalfPixelShift), id="half-pixel shift"),
    ],
)
def test_wrong_preprocessing_is_refused(
    photo_resnet: Run, tmp_path: Path, form: str, break_it: Callable[[Graph], Graph]
) -> None:
    reason = refusal(photo_resnet, break_it(serving_graph(photo_resnet)), form, tmp_path)
    pattern = rf"{form}: probabilities: differ from Keras' by (\S+) on a batch of [127]; at most 0.0001 is allowed"
    match = re.fullmatch(pattern, reason)
    assert match, reason
    assert float(match[1]) > 1e-3


@pytest.mark.parametrize("form", BOTH)
def test_weights_of_another_epoch_are_refused(photo_resnet: Run, tmp_path: Path, form: str) -> None:
    other = replace(serving_graph(photo_resnet), model=models.load(photo_resnet.last_model_file))
    assert re.fullmatch(
        rf"{form}: probabilities: differ from Keras' by \S+ on a batch of [127]; at most 0.0001 is allowed",
        refusal(photo_resnet, other, form, tmp_path),
    )


@pytest.mark.parametrize("form", BOTH)
def test_permuted_labels_are_refused(photo_resnet: Run, tmp_path: Path, form: str) -> None:
    graph = replace(serving_graph(photo_resnet), labels=("astronaut", "coffee", "chelsea", "rocket"))
    reason = refusal(photo_resnet, graph, form, tmp_path)
    assert reason == f"{form}: labels: class 1 is called 'coffee'; the run calls it 'chelsea'"


class AllHeads(Graph):
    """Saves the variables of every head, as tracking the whole model does; answers are right."""

    full: keras.Model

    @property
    def parameters(self) -> dict[str, tf.Variable]:
        return {variable.path: variable.value for variable in self.full.weights}


@pytest.mark.slow
def test_auxiliary_weights_in_a_savedmodel_are_refused(photo_googlenet: Run, tmp_path: Path) -> None:
    full = models.load(photo_googlenet.model_file)
    right = serving_graph(photo_googlenet)
    graph = AllHeads(models.main(full), right.preprocessing, right.labels, right.feed, right.facts)
    object.__setattr__(graph, "full", full)
    reason = refusal(photo_googlenet, graph, "savedmodel", tmp_path)
    pattern = r"savedmodel: heads: 'softmax0[a-z_]*' of an auxiliary head is in the file \(.*\); only the main one may"
    assert re.fullmatch(pattern, reason), reason


@pytest.mark.slow
def test_an_auxiliary_head_in_onnx_is_refused(photo_googlenet: Run, tmp_path: Path) -> None:
    full = models.load(photo_googlenet.model_file)
    logits = full.output["softmax2"] + 0.0 * full.output["softmax0"]
    graph = replace(serving_graph(photo_googlenet), model=keras.Model(full.input, logits))
    reason = refusal(photo_googlenet, graph, "onnx", tmp_path)
    pattern = r"onnx: heads: 'softmax0[a-z_]*' of an auxiliary head is in the file \(.*\); only the main one may"
    assert re.fullmatch(pattern, reason), reason


def test_another_output_is_refused(photo_resnet: Run, tmp_path: Path) -> None:
    graph = serving_graph(photo_resnet)
    FORMATS["onnx"].write(graph, tmp_path)
    wrong = {"image": {**graph.interface["image"], "outputs": {"scores": {"dtype": "float32", "shape": [None, 4]}}}}
    with pytest.raises(CheckFailed) as error:
        verify(photo_resnet, tmp_path, ["onnx"], wrong)
    assert str(error.value) == (
        "onnx: inputs and outputs: image: image float32[?, ?, ?, 3] -> probabilities float32[?, 4]; "
        "must be image: image float32[?, ?, ?, 3] -> scores float32[?, 4]"
    )


class BytesAlone(Graph):
    """Has the right `image` endpoint and a `bytes` endpoint that swaps channels."""

    def bytes_function(self) -> Any:
        wrong = altered(self, ChannelsSwapped).preprocessing
        return Graph(self.model, wrong, self.labels, self.feed, self.facts).bytes_function()


@pytest.mark.slow
def test_a_wrong_bytes_endpoint_is_refused(photo_resnet: Run, tmp_path: Path) -> None:
    right = serving_graph(photo_resnet)
    graph = BytesAlone(right.model, right.preprocessing, right.labels, right.feed, right.facts)
    reason = refusal(photo_resnet, graph, "savedmodel", tmp_path)
    pattern = r"savedmodel: probabilities: differ from Keras' by \S+ on 7 encoded images; at most 0.0001 is allowed"
    assert re.fullmatch(pattern, reason), reason


@pytest.mark.slow
def test_an_accuracy_that_training_did_not_record_is_refused(photo_resnet: Run, tmp_path: Path) -> None:
    graph = serving_graph(photo_resnet)
    FORMATS["onnx"].write(graph, tmp_path)
    found = verify(photo_resnet, tmp_path, ["onnx"], graph.interface)["onnx"]
    assert found.images == 8
    assert found.recorded_accuracy is None
    assert found.encoded is None
    assert found.accuracy == found.keras_accuracy
    assert 0 < found.probabilities < 1e-5
    assert 0 < found.logits < 1e-4
    wrong = found.accuracy + 0.25
    told = Run.open(shutil.copytree(photo_resnet.path, tmp_path / "run"))
    told.write_json("metrics.json", {"validation": {"accuracy": wrong}})
    with pytest.raises(CheckFailed) as error:
        verify(told, tmp_path, ["onnx"], graph.interface)
    assert str(error.value) == (
        f"onnx: accuracy: {found.accuracy:.4f} of the validation images right; metrics.json says {wrong:.4f}"
    )


@pytest.mark.slow
def test_a_googlenet_passes_in_every_format(photo_googlenet: Run, tmp_path: Path) -> None:
    graph = serving_graph(photo_googlenet)
    for form in FORMATS.values():
        form.write(graph, tmp_path)
    found = verify(photo_googlenet, tmp_path, list(FORMATS), graph.interface, force=True)
    assert list(found) == ["savedmodel", "onnx", "onnx-int8", "litert", "litert-int8", "openvino", "web"]
    assert found["savedmodel"].encoded is not None
    for name, parity in found.items():
        assert (parity.drop is not None) == as_written(name, tmp_path).LOSSY
        assert parity.probabilities < (1e-5 if parity.drop is None else 0.05)
    assert np.isclose(found["onnx"].accuracy, found["savedmodel"].accuracy)
