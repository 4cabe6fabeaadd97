"""Files of weights: every kind that is read, and one sentence for each that cannot be."""

import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file
from small_models import shuffled, small

from kerasnets.errors import UserError
from kerasnets.models import pretrained
from kerasnets.models.pretrained import files

OPTIONS = {"stride_on": "1x1", "conv_bias": True}


@pytest.fixture(scope="module")
def model() -> Any:
    return shuffled(small("resnet50", **OPTIONS))


def same(first: Any, second: Any) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(first.weights, second.weights, strict=True))


def write_legacy(path: Path, tensors: dict[str, np.ndarray], prefix: str = "", suffix: str = ":0") -> None:
    """Write the layout that Keras had before its third version, as keras.applications' published files have it."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = sorted({name.partition("/")[0] for name in tensors})
        for name, value in tensors.items():
            layer = name.partition("/")[0]
            file.create_dataset(f"{prefix}{layer}/{name}{suffix}", data=value)


@pytest.mark.parametrize("kind", ["weights.h5", "keras", "h5", "run"])
def test_what_keras_writes(kind: str, model: Any, tmp_path: Path) -> None:
    path = tmp_path / f"model.{kind}"
    if kind == "weights.h5":
        model.save_weights(path)
    elif kind == "run":
        path = tmp_path
        model.save(tmp_path / "model.keras")
    else:
        model.save(path)
    other = small("resnet50", **OPTIONS)
    loaded = pretrained.load(other, path)
    assert (loaded.family, {tensor.state for tensor in loaded.tensors}) == ("kerasnets", {"loaded"})
    assert same(model, other)


@pytest.mark.parametrize(("prefix", "suffix"), [("", ":0"), ("model_weights/", ""), ("", "")])
def test_the_layout_before_keras_3(prefix: str, suffix: str, model: Any, tmp_path: Path) -> None:
    write_legacy(tmp_path / "w.h5", pretrained.export(model, "keras.applications"), prefix, suffix)
    other = small("resnet50", **OPTIONS)
    loaded = pretrained.load(other, tmp_path / "w.h5")
    assert (loaded.family, loaded.normalize) == ("keras.applications", "caffe")
    assert loaded.tensors[-1].source == "predictions/bias"
    assert same(model, other)


def test_an_optimizer_beside_the_weights_is_left_out(model: Any, tmp_path: Path) -> None:
    other = shuffled(small("lenet5"))
    other.compile("adam", "mse")
    for name in ("model.h5", "model.weights.h5"):
        (other.save_weights if "weights" in name else other.save)(tmp_path / name)
        assert files.read(tmp_path / name).keys() == {variable.path for variable in other.weights}


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ml_dtypes.bfloat16])
def test_other_precisions_become_float32(dtype: Any, tmp_path: Path) -> None:
    save_file({"a": np.array([1.5, -2], dtype), "steps": np.array(3)}, tmp_path / "w.safetensors")
    found = files.read(tmp_path / "w.safetensors")
    assert (list(found), found["a"].dtype, found["a"].tolist()) == (["a"], np.float32, [1.5, -2])


def refused(path: Path) -> str:
    with pytest.raises(UserError) as error:
        files.read(path)
    return str(error.value).removeprefix(str(path))


def test_other_kinds(tmp_path: Path) -> None:
    assert refused(tmp_path / "w.onnx") == (
        ": weights are read from .safetensors, .pth, .pt, .h5, .keras files and run directories"
    )
    for suffix in ("safetensors", "pth", "h5", "keras"):
        assert refused(tmp_path / f"w.{suffix}") == " is not there"
    assert refused(tmp_path) == " has no model.keras: it is no run directory, or that run stopped before"


def test_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "w.pth").write_bytes(b"x")
    assert refused(tmp_path / "w.pth") == (
        " is PyTorch's, and torch is not installed: pip install torch, or convert the file to .safetensors"
    )


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(5000))


@pytest.mark.parametrize("damage", [cut, empty, noise], ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("suffix", ["safetensors", "h5", "weights.h5", "keras"])
def test_damaged_files(suffix: str, damage: Callable[[Path], None], tmp_path: Path) -> None:
    path, net = tmp_path / f"w.{suffix}", small("lenet5")
    if suffix == "safetensors":
        save_file(pretrained.export(net, "kerasnets"), path)
    else:
        (net.save_weights if suffix == "weights.h5" else net.save)(path)
    damage(path)
    kind = "is not a model that can be loaded: " if suffix == "keras" else "holds no weights that can be read: "
    message = refused(path)
    assert message.startswith(f" {kind}") and "\n" not in message and len(message) < 300


def test_files_without_weights(tmp_path: Path) -> None:
    save_file({"steps": np.array(3)}, tmp_path / "w.safetensors")
    h5py.File(tmp_path / "w.h5", "w").close()
    assert refused(tmp_path / "w.safetensors") == refused(tmp_path / "w.h5") == " holds no weights"


def test_a_layer_that_no_model_here_has(tmp_path: Path) -> None:
    image = keras.Input((4,))
    keras.Model(image, keras.layers.LayerNormalization()(image)).save_weights(tmp_path / "w.weights.h5")
    assert refused(tmp_path / "w.weights.h5") == (
        " holds no weights that can be read: /layers/layer_normalization/vars/0 is of no layer that is known here"
    )


def test_a_header_that_declares_too_much(tmp_path: Path) -> None:
    header = b'{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}'
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    assert refused(tmp_path / "w.safetensors").startswith(" holds no weights that can be read: ")
