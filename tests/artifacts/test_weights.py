"""`kerasnets weights`: files of other libraries, bit for bit the way back."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from attacks import invoke
from safetensors.numpy import load_file, save_file
from untrained import make_run

from kerasnets import models
from kerasnets.artifacts import weights
from kerasnets.errors import CheckFailed, UserError
from kerasnets.models import pretrained
from kerasnets.run import Run


@pytest.fixture(scope="module")
def resnet50(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Run:
    """keras.applications' ResNet50 with narrow input: stride on the 1x1, biases, its epsilon."""
    model = {"name": "resnet50", "stride_on": "1x1", "conv_bias": True, "bn_epsilon": 1.001e-5, "stem": "imagenet"}
    return make_run(tmp_path_factory.mktemp("weights") / "run", photos, model, data={"image_size": 32})


def equal(run: Run, path: Path, *adapted: str) -> bool:
    """Tell whether a file, loaded into a model with other weights, makes it the run's, bit for bit."""
    ours, other = models.load(run.model_file), keras.models.clone_model(models.load(run.model_file))
    assert any((np.asarray(a) != np.asarray(b)).any() for a, b in zip(ours.weights, other.weights, strict=True))
    loaded = pretrained.load(other, path)
    assert tuple(tensor.name for tensor in loaded.tensors if tensor.state != "loaded") == adapted
    return all((np.asarray(a) == np.asarray(b)).all() for a, b in zip(ours.weights, other.weights, strict=True))


@pytest.mark.parametrize(
    ("form", "name", "first"),
    [
        ("torchvision", "w.safetensors", "bn1.bias"),
        ("timm", "w.safetensors", "bn1.bias"),
        ("safetensors", "w.safetensors", "conv1_bn/beta"),
    ],
)
def test_safetensors_come_back_bit_for_bit(form: str, name: str, first: str, photo_resnet: Run, tmp_path: Path) -> None:
    arrays = weights.write(photo_resnet, form, tmp_path / name)
    assert sorted(load_file(tmp_path / name)) == sorted(arrays) and min(arrays) == first
    assert equal(photo_resnet, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_h5_is_what_keras_loads(photo_resnet: Run, tmp_path: Path) -> None:
    path = tmp_path / "w.weights.h5"
    weights.write(photo_resnet, "h5", path)
    assert equal(photo_resnet, path)
    ours, other = models.load(photo_resnet.model_file), keras.models.clone_model(models.load(photo_resnet.model_file))
    other.load_weights(path)
    assert all((np.asarray(a) == np.asarray(b)).all() for a, b in zip(ours.weights, other.weights, strict=True))


@pytest.mark.slow
def test_keras_applications_takes_our_file(resnet50: Run, tmp_path: Path) -> None:
    path = tmp_path / "w.weights.h5"
    weights.write(resnet50, "keras.applications", path)
    ours = models.load(resnet50.model_file)
    classes = ours.output_shape[-1]
    theirs = keras.applications.ResNet50(weights=str(path), input_shape=(32, 32, 3), classes=classes)
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")
    logits = np.asarray(ours(images))
    np.testing.assert_allclose(theirs(images[..., ::-1]), np.asarray(keras.ops.softmax(logits)), rtol=2e-4)
    assert equal(resnet50, path, "conv1_conv/kernel")  # BGR there


def test_the_command(photo_resnet: Run, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    code, said = invoke("weights", photo_resnet.path, "--format", "torchvision", "--output", path, "--json")
    parameters = models.load(photo_resnet.model_file).count_params()
    document = json.loads(said[said.index("{") :])
    assert code == 0 and document == {
        **{"schema": 1, "path": str(path), "format": "torchvision"},
        **{"tensors": len(load_file(path)), "parameters": parameters},
    }
    code, said = invoke("weights", photo_resnet.path, "-o", path)
    assert (code, said) == (2, f"--output {path} is there already; name another file")
    code, said = invoke("weights", photo_resnet.path, "-o", tmp_path / "w.h5")
    assert (code, said) == (2, f"--output {tmp_path}/w.h5: a file of format safetensors ends with .safetensors")
    code, said = invoke("weights", photo_resnet.path, "--format", "h5", "-o", tmp_path / "no" / "w.weights.h5")
    assert (code, said) == (2, f"--output {tmp_path}/no/w.weights.h5: there is no directory {tmp_path}/no")


@pytest.mark.slow
def test_a_model_that_others_do_not_have_is_refused(photo_resnet: Run, photo_googlenet: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^keras.applications has no resnet20; it has resnet50, resnet50v2, "):
        weights.write(photo_resnet, "keras.applications", tmp_path / "w.weights.h5")
    with pytest.raises(UserError, match="build googlenet_torchvision|has no model with a variable such as"):
        weights.write(photo_googlenet, "torchvision", tmp_path / "w.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_weights_that_would_make_another_function_are_refused(resnet50: Run, tmp_path: Path) -> None:
    expected = "weights as torchvision: torchvision's model differs from resnet50 in where it strides"
    with pytest.raises(UserError, match=expected):
        weights.write(resnet50, "torchvision", tmp_path / "w.safetensors")


def test_pth_without_torch_says_how_to_get_it(
    photo_resnet: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(UserError, match=r"^w.pth needs torch: pip install torch, or name a .safetensors file$"):
        weights.write(photo_resnet, "torchvision", tmp_path / "w.pth")
    assert list(tmp_path.iterdir()) == []


def test_what_is_read_back_is_compared(photo_resnet: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(path: Path, arrays: weights.Arrays, *rest: Any) -> None:
        save_file({**arrays, "bn1.bias": arrays["bn1.bias"] + 1e-7}, path)

    monkeypatch.setattr(weights, "_safetensors", wrong)
    with pytest.raises(CheckFailed, match="^format torchvision: bn1.bias is not in the file as it was written$"):
        weights.write(photo_resnet, "torchvision", tmp_path / "w.safetensors")
    assert list(tmp_path.iterdir()) == []
