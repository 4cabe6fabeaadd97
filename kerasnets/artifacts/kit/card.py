"""The model card: a version's README.md (Mitchell et al. 2019, "Model Cards for Model Reporting")."""

from collections.abc import Iterator
from typing import Any

from kerasnets.artifacts.formats import onnx, savedmodel
from kerasnets.artifacts.kit import limits
from kerasnets.data.preprocessing import Preprocessing

_LISTED_CLASSES = 50


def text(manifest: dict[str, Any], preprocessing: Preprocessing) -> str:
    """Return the card of the version that `manifest` describes, as Markdown."""
    inside = ", except that the client resizes: its input has a fixed size." if _static(manifest) else "."
    words = ("## Preprocessing", f"{preprocessing.describe()} All of it is inside the artefact{inside}")
    before = (part for section in (_head, _classes, _metrics, _limits) for part in section(manifest))
    return "\n\n".join([*before, *words, *_interface(manifest), *_use(manifest)]) + "\n"


def _static(manifest: dict[str, Any]) -> bool:
    return manifest["inputs"]["image"]["image"]["shape"][1] is not None


def _head(manifest: dict[str, Any]) -> Iterator[str]:
    config = manifest["run"]["config"]
    data, versions = config["data"], manifest["versions"]
    yield f"# {manifest['name']}, version {manifest['version']}"
    where = f" at `{data['path']}`" if data["path"] else ""
    yield (
        f"An image classifier, `{config['model']['name']}`, trained by kerasnets {versions['kerasnets']} on the source "
        f"`{data['source']}`{where} (seed {config['seed']}, at most {config['training']['epochs']} epochs, "
        f"{config['training']['precision']}). Exported {manifest['created']}; `manifest.json` holds the whole config, "
        "the versions of all packages and the sha256 of each file."
    )


def _classes(manifest: dict[str, Any]) -> Iterator[str]:
    labels = manifest["labels"]
    yield "## Intended use"
    yield "To tell which one of these classes a picture shows, for pictures like those it was trained on."
    yield "## Classes"
    more = f" … and {len(labels) - _LISTED_CLASSES} more in `manifest.json`" if len(labels) > _LISTED_CLASSES else ""
    yield f"{len(labels)}, in order: " + ", ".join(f"`{label}`" for label in labels[:_LISTED_CLASSES]) + more


def _metrics(manifest: dict[str, Any]) -> Iterator[str]:
    yield "## Metrics"
    if manifest["metrics"]:
        names = list(dict.fromkeys(name for values in manifest["metrics"].values() for name in values))
        rows = [["split", *names]] + [
            [split, *(f"{values[name]:.4f}" if name in values else "" for name in names)]
            for split, values in manifest["metrics"].items()
        ]
        yield _table(rows)
    yield "What these files answer, compared with the Keras model on the validation split before publication:"
    rows = [["format", "images", "accuracy", "Keras", "largest difference of a probability", "of a logit, relative"]]
    for form, found in manifest["parity"].items():
        accuracies = [f"{found['accuracy']:.4f}", f"{found['keras_accuracy']:.4f}"]
        rows.append(
            [form, str(found["images"]), *accuracies, f"{found['probabilities']:.1e}", f"{found['logits']:.1e}"]
        )
    yield _table(rows)


def _limits(manifest: dict[str, Any]) -> Iterator[str]:
    yield "## Limits"
    yield (
        f"{' '.join(limits.sentences(manifest))} The metrics hold for images like those it was trained on; measure it "
        "on yours with `kerasnets evaluate MODEL-DIR --data FOLDER`."
    )


def _interface(manifest: dict[str, Any]) -> Iterator[str]:
    yield "## Inputs and outputs"
    rows = [["endpoint", "", "name", "type", "shape"]]
    for endpoint, inputs in manifest["inputs"].items():
        for kind, tensors in (("input", inputs), ("output", manifest["outputs"][endpoint])):
            for name, spec in tensors.items():
                shape = ", ".join("any" if size is None else str(size) for size in spec["shape"])
                rows.append([endpoint, kind, f"`{name}`", spec["dtype"], f"[{shape}]"])
    yield _table(rows)
    yield (
        "`image`: raw pixels 0..255, `[N, H, W, C]`. `bytes` (SavedModel): encoded JPEG, PNG, … files; `classes` and "
        "`scores` are sorted, best first."
    )


def _use(manifest: dict[str, Any]) -> Iterator[str]:
    yield "## Use"
    yield "kerasnets, which needs onnxruntime only:\n\n```sh\nkerasnets predict MODEL-DIR photo.jpg\n```"
    if onnx.NAME in manifest["formats"]:
        yield "ONNX Runtime:\n\n" + _onnxruntime(manifest)
        yield (
            "Triton (after its documentation; not tried on a real server):\n\n```sh\ntritonserver "
            "--model-repository=$PWD/export/models\n```"
        )
    if savedmodel.NAME in manifest["formats"]:
        yield "TensorFlow Serving (after its documentation; not tried on a real server):\n\n" + _tensorflow_serving(
            manifest["name"]
        )


def _onnxruntime(manifest: dict[str, Any]) -> str:
    spec = manifest["inputs"]["image"]["image"]
    size = f".resize(({spec['shape'][2]}, {spec['shape'][1]}))" if _static(manifest) else ""
    mode, axis = ("L", "[None, ..., None]") if spec["shape"][3] == 1 else ("RGB", "[None]")
    return f"""\
```python
import json
import numpy as np, onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession("{onnx.FILE}")
labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
picture = ImageOps.exif_transpose(Image.open("photo.jpg")).convert("{mode}"){size}
pixels = np.asarray(picture, np.{spec["dtype"]}){axis}
probabilities = session.run(["probabilities"], {{"image": pixels}})[0][0]
print(labels[probabilities.argmax()], probabilities.max())
```"""


def _tensorflow_serving(name: str) -> str:
    return f"""\
```sh
docker run -p 127.0.0.1:8501:8501 -v "$PWD/export/models/{name}:/models/{name}:ro" \\
  -e MODEL_NAME={name} tensorflow/serving
printf '{{"signature_name": "bytes", "instances": [{{"image_bytes": {{"b64": "%s"}}}}]}}' "$(base64 -w0 photo.jpg)" |
  curl -d @- http://127.0.0.1:8501/v1/models/{name}:predict
```"""


def _table(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])
