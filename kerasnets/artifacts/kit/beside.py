"""What servers read beside a model's versions, and when it is written.

<store>/models.config                   TensorFlow Serving: all models of the store that have a SavedModel
<store>/<name>/config.pbtxt, labels.txt Triton
<store>/<name>/inferenceservice.yaml    KServe

A version comes into being by one rename, and these files cannot be part of it. What Triton needs is there before it
wherever that suits the versions that are there already: a process that is killed in between leaves a model that
Triton loads. Whatever a kill did leave undone, the next export, prune or rollback does.
"""

from pathlib import Path
from typing import Any

from kerasnets.artifacts import store
from kerasnets.artifacts.formats import onnx, savedmodel
from kerasnets.artifacts.kit import kserve, tensorflow_serving, triton
from kerasnets.artifacts.manifest import Manifest
from kerasnets.errors import UserError
from kerasnets.run import write_text


def texts(document: dict[str, Any]) -> dict[str, str]:
    """Return the files beside the versions of a model whose highest has this manifest: name -> content."""
    found = {kserve.FILE: kserve.text(document["name"], document["formats"])}
    if onnx.NAME in document["formats"]:
        height, width = document["preprocessing"]["image_size"]
        inputs, outputs = document["inputs"]["image"], document["outputs"]["image"]
        found[triton.LABELS] = "".join(f"{label}\n" for label in document["labels"])
        found[triton.FILE] = triton.config(inputs, outputs, onnx.FILE, (height, width))
    return found


def write_before(model: Path, document: dict[str, Any]) -> None:
    """Write what suits both the versions in `<store>/<name>` and the one of this manifest, which comes next.

    Triton takes a configuration that leaves an output out, and refuses one with an output that the model has not.
    """
    there = store.versions(model)
    before = Manifest.read(model / str(there[-1])).complete if there else document
    if document["outputs"]["image"].keys() <= before["outputs"]["image"].keys():
        _write(model, texts(document))


def refresh(model: Path) -> None:
    """Write what belongs to the highest version of `<store>/<name>`, and the store's list; hold the name's lock."""
    there = store.versions(model)
    if there:
        _write(model, texts(Manifest.read(model / str(there[-1])).complete))
    list_models(model.parent)


def outdated(model: Path) -> list[str]:
    """Return the names of the files in `<store>/<name>` that are missing or not those of its highest version."""
    there = store.versions(model)
    wanted = texts(Manifest.read(model / str(there[-1])).complete) if there else {}
    return sorted(name for name, text in wanted.items() if not _is(model / name, text))


def list_models(root: Path) -> None:
    """Write TensorFlow Serving's list of the models in a store."""
    with store.locked(root, tensorflow_serving.MODELS, waiting=f"waiting for {root}/{tensorflow_serving.MODELS}"):
        names = sorted(path.name for path in root.iterdir() if _has_saved_model(path))
        if names or (root / tensorflow_serving.MODELS).is_file():
            _write(root, {tensorflow_serving.MODELS: tensorflow_serving.models_config(names)})


def _has_saved_model(model: Path) -> bool:
    there = store.versions(model) if store.is_name(model.name) else []
    return bool(there) and (model / str(there[-1]) / savedmodel.FILE).is_file()


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        if not _is(folder / name, text):
            write_text(folder / name, text)


def _is(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() == text.encode()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
