"""`.keras` files from somebody else: no layer of theirs runs, reads other files, or is unpacked without bound."""

import io
import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from attacks import HDF5, Payload

from kerasnets import models
from kerasnets.errors import UserError
from kerasnets.models import archive
from kerasnets.models.complexity import outline


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model as training saves it."""
    path = tmp_path_factory.mktemp("honest") / "model.keras"
    models.build("lenet5", (32, 32, 1), 4).save(path)
    return path


def rewritten(path: Path, change: Callable[[dict[str, bytes]], None], to: Path, packing: int = 0) -> Path:
    """Write the members of a `.keras` file to another after `change`."""
    with zipfile.ZipFile(path) as found:
        members = {name: found.read(name) for name in found.namelist()}
    change(members)
    with zipfile.ZipFile(to, "w", packing) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return to


def refused(path: Path) -> str:
    with pytest.raises(UserError) as error:
        models.load(path)
    assert str(path) in str(error.value)
    return str(error.value).partition("that can be loaded: ")[2]


def with_layer(layer: dict[str, Any]) -> Callable[[dict[str, bytes]], None]:
    """Return a change that puts a layer in the place of the first after the input."""

    def change(members: dict[str, bytes]) -> None:
        config = json.loads(members["config.json"])
        layers = config["config"]["layers"]
        layers[1] = {**layers[1], **layer}
        members["config.json"] = json.dumps(config).encode()

    return change


def test_honest_models_load(honest: Path) -> None:
    assert len(models.load(honest).layers) == len(keras.models.load_model(honest).layers)


@pytest.mark.parametrize("name", [name for name in models.MODELS if "1202" not in name and "15" not in name])
def test_what_models_are_made_of_is_allowed(name: str) -> None:
    archive._check_config(keras.saving.serialize_keras_object(outline(name)))


@pytest.mark.parametrize("activation", models.specs.ACTIVATIONS)
def test_every_activation_is_allowed(activation: str) -> None:
    model = outline("lenet5", (32, 32, 1), 4, activation=activation)
    archive._check_config(keras.saving.serialize_keras_object(model))


def test_a_lambda_layer_is_not_run(honest: Path, tmp_path: Path, marker: Path) -> None:
    inputs = keras.Input((4,))
    code = f"__import__('os').system('touch {marker}')"
    net = keras.Model(inputs, keras.layers.Lambda(eval(f"lambda x: ({code}, x)[1]"), output_shape=(4,))(inputs))  # noqa: S307
    marker.unlink(missing_ok=True)
    net.save(tmp_path / "lambda.keras")
    keras.models.load_model(tmp_path / "lambda.keras", safe_mode=False)(np.zeros((1, 4)))
    assert marker.exists()  # so it would
    marker.unlink()
    assert refused(tmp_path / "lambda.keras") == "it names keras.layers.Lambda, of which no model here is made"
    assert not marker.exists()


ENTRIES = [("os", "system"), ("subprocess", "Popen"), ("keras.config", "enable_unsafe_deserialization")]
ENTRIES += [("builtins", "eval"), ("keras.utils", "get_file"), ("keras.models", "load_model")]


@pytest.mark.parametrize(("module", "name"), ENTRIES)
def test_a_module_entry_imports_nothing(module: str, name: str, honest: Path, tmp_path: Path, marker: Path) -> None:
    function = {"module": module, "class_name": "function", "config": name, "registered_name": name}
    made = {"module": module, "class_name": name, "config": {"command": f"touch {marker}"}, "registered_name": None}
    for entry, named in ((function, f"it names {module}.function"), (made, f"it names {module}.{name}")):
        layer = rewritten(honest, with_layer(entry), tmp_path / "layer.keras")
        deep = {"config": {"name": "x", "kernel_initializer": {"list": [entry]}}}
        nested = rewritten(honest, with_layer(deep), tmp_path / "nested.keras")
        assert refused(layer) == refused(nested) == f"{named}, of which no model here is made"
    assert not marker.exists()


@pytest.mark.parametrize("layer", ["TFSMLayer", "TorchModuleWrapper", "StringLookup", "TextVectorization", "JaxLayer"])
def test_layers_of_keras_that_read_other_files_are_refused(layer: str, honest: Path, tmp_path: Path) -> None:
    entry = {"module": "keras.layers", "class_name": layer, "config": {"filepath": "/etc", "vocabulary": "/etc/passwd"}}
    path = rewritten(honest, with_layer(entry), tmp_path / "m.keras")
    assert refused(path) == f"it names keras.layers.{layer}, of which no model here is made"


@pytest.mark.parametrize("name", ["../../outside", "/tmp/outside", "assets/x", "model.weights.npz"])
def test_members_that_no_model_has_are_refused(name: str, honest: Path, tmp_path: Path) -> None:
    path = rewritten(honest, lambda members: members.update({name: b"x"}), tmp_path / "model.keras")
    assert refused(path) == f"it holds {name!r}"
    assert not (tmp_path.parent / "outside").exists()


def test_a_link_in_an_archive_is_refused(honest: Path, tmp_path: Path) -> None:
    path = shutil.copy(honest, tmp_path / "model.keras")
    with zipfile.ZipFile(path, "a") as archived:
        link = zipfile.ZipInfo("assets")
        link.external_attr = 0o120777 << 16
        archived.writestr(link, "/etc")
    assert refused(path) == "it holds 'assets'"


def test_compressed_archives_are_refused_before_they_are_unpacked(honest: Path, tmp_path: Path) -> None:
    bomb = lambda members: members.update({"model.weights.h5": bytes(50_000_000)})  # noqa: E731
    path = rewritten(honest, bomb, tmp_path / "model.keras", zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1_000_000
    assert refused(path).startswith("it is compressed or encrypted")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 100_000, "it is nested too deeply"),
        (b"{", "Expecting property name"),
        (b"{}", "'config'"),
        (b"[]", "list"),
    ],
    ids=["deep", "cut", "empty", "list"],
)
def test_configs_that_are_none(content: bytes, message: str, honest: Path, tmp_path: Path) -> None:
    path = rewritten(honest, lambda members: members.update({"config.json": content}), tmp_path / "model.keras")
    assert message in refused(path)


def test_no_zip_at_all(tmp_path: Path, marker: Path) -> None:
    (tmp_path / "model.keras").write_bytes(pickle.dumps(Payload(marker)))
    assert refused(tmp_path / "model.keras") == "File is not a zip file"
    assert not marker.exists()


def test_weights_that_are_declared_but_not_there(honest: Path, tmp_path: Path) -> None:
    def change(members: dict[str, bytes]) -> None:
        config = json.loads(members["config.json"])
        config["config"]["layers"][-1]["config"]["units"] = 2_000_000_000
        members["config.json"] = json.dumps(config).encode()

    assert refused(rewritten(honest, change, tmp_path / "model.keras")).startswith("it declares 680,")


@pytest.mark.parametrize(("attack", "message"), HDF5, ids=lambda value: value.__name__ if callable(value) else "")
def test_weights_lie_in_the_file_itself(
    attack: Callable[[h5py.File, Path], None], message: str, honest: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_bytes(b"password")

    def change(members: dict[str, bytes]) -> None:
        content = io.BytesIO(members["model.weights.h5"])
        with h5py.File(content, "r+") as file:
            attack(file, tmp_path / "secret")
        members["model.weights.h5"] = content.getvalue()

    assert refused(rewritten(honest, change, tmp_path / "model.keras")) == message
