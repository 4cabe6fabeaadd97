"""TensorFlow Serving's REST protocol: rows (`instances`) or columns (`inputs`), status and metadata.

Source: https://www.tensorflow.org/tfx/serving/api_rest, and the messages of tensorflow-serving-api for the shapes of
status and metadata.
"""

import base64
import binascii
from typing import Any

from kerasnets.errors import nearest
from kerasnets.serve import pixels
from kerasnets.serve.limits import Limits
from kerasnets.serve.question import ENCODED, IMAGE, Answer, Question, check_count
from kerasnets.serve.refusals import Refused
from kerasnets.serve.room import Place
from kerasnets.serve.served import Served

SIGNATURES = {"serving_default": IMAGE, "bytes": ENCODED}
"""Signature of the SavedModel -> its one input."""
_KEYS = ("instances", "inputs", "signature_name")
_TYPES = {"float32": "DT_FLOAT", "uint8": "DT_UINT8", "string": "DT_STRING", "bool": "DT_BOOL"}


def question(document: Any, served: Served, limits: Limits, place: Place) -> tuple[Question, bool]:
    """Return what a `:predict` request asks, and whether it does so in rows.

    Raises:
        Refused: the document is not such a request.
    """
    if not isinstance(document, dict):
        raise Refused("the body is not a JSON object with instances or inputs")
    for key in document:
        if key not in _KEYS:
            raise Refused(f"there is no key '{key:.40}', only {', '.join(_KEYS)}{nearest(key, _KEYS)}")
    if ("instances" in document) == ("inputs" in document):
        raise Refused("a request has either instances (rows) or inputs (columns)")
    rows = "instances" in document
    values, named = _rows(document["instances"]) if rows else _column(document["inputs"])
    name = _input(document.get("signature_name"), named, values)
    outputs = served.default_outputs(of_files=name == ENCODED)
    if name == ENCODED:
        files = tuple(_file(value) for value in values) if isinstance(values, list) else (_file(values),)
        check_count(len(files), limits.images)
        place.take(sum(map(len, files)))
        return Question(place, None, files, outputs), rows
    found = pixels.of_lists(values, served.opened, limits)
    place.take(found.nbytes)
    return Question(place, found, (), outputs), rows


def _rows(instances: Any) -> tuple[Any, str | None]:
    """Return all rows' values of the one input, and its name if they say it."""
    if not isinstance(instances, list) or not instances:
        raise Refused("instances is not a list of images, or is empty")
    if not isinstance(instances[0], dict) or set(instances[0]) == {"b64"}:
        return instances, None
    if any(not isinstance(row, dict) or row.keys() != instances[0].keys() for row in instances):
        raise Refused("instances differ in the inputs that they name")
    name = _one(instances[0])
    return [row[name] for row in instances], name


def _column(inputs: Any) -> tuple[Any, str | None]:
    """Return the values of the one input, and its name if it is said."""
    if not isinstance(inputs, dict) or set(inputs) == {"b64"}:
        return inputs, None
    name = _one(inputs)
    return inputs[name], name


def _one(named: dict[str, Any]) -> str:
    if len(named) != 1:
        raise Refused(f"one input is wanted, {IMAGE} or {ENCODED}; there are {len(named)}")
    return next(iter(named))


def _input(signature: Any, named: str | None, values: Any) -> str:
    """Return the input that is meant: without a signature's name, files mean the signature `bytes`."""
    if signature is None or signature == "":
        first = values[0] if isinstance(values, list) and values else values
        found = named or (ENCODED if isinstance(first, dict) else IMAGE)
        if found not in (IMAGE, ENCODED):
            raise Refused(
                f"there is no input '{found:.40}', only {IMAGE} and {ENCODED}{nearest(found, [IMAGE, ENCODED])}"
            )
        return found
    if signature not in SIGNATURES:
        hint = nearest(signature, SIGNATURES) if isinstance(signature, str) else ""
        raise Refused(f"signature_name: there is no '{str(signature):.40}', only {', '.join(SIGNATURES)}{hint}")
    if named not in (None, SIGNATURES[signature]):
        raise Refused(f"signature {signature} has the input {SIGNATURES[signature]}, not '{named:.40}'")
    return SIGNATURES[signature]


def _file(value: Any) -> bytes:
    if not isinstance(value, dict) or set(value) != {"b64"} or not isinstance(value["b64"], str):
        raise Refused('an image file is written {"b64": "…"}')
    return from_base64(value["b64"])


def from_base64(text: str) -> bytes:
    """Return the bytes that base64 stands for.

    Raises:
        Refused: it is not base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused("an image file is not valid base64") from error


def answer(found: Answer, rows: bool) -> dict[str, Any]:
    """Return the response: one output stands without its name."""
    lists = {name: values.tolist() for name, values in found.items()}
    if len(lists) == 1:
        only = next(iter(lists.values()))
        return {"predictions" if rows else "outputs": only}
    if not rows:
        return {"outputs": lists}
    return {"predictions": [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]}


def status(versions: dict[int, Served]) -> dict[str, Any]:
    """Return the state of versions, as GetModelStatusResponse."""
    good = {"error_code": "OK", "error_message": ""}
    return {"model_version_status": [{"version": str(n), "state": "AVAILABLE", "status": good} for n in versions]}


def metadata(served: Served) -> dict[str, Any]:
    """Return the signatures, as TensorFlow Serving writes GetModelMetadataResponse."""
    opened = served.opened
    shape = opened.feed.shape(opened.preprocessing)
    inputs: dict[str, Any] = {
        IMAGE: {"dtype": opened.feed.dtype, "shape": shape},
        ENCODED: {"dtype": "string", "shape": [None]},
    }
    signatures = {}
    for signature, name in SIGNATURES.items():
        outputs = served.default_outputs(of_files=name == ENCODED)
        signatures[signature] = {
            "inputs": {name: _tensor(f"{signature}_{name}", **inputs[name])},
            "outputs": {output: _tensor(output, **opened.all_outputs[output]) for output in outputs},
            "method_name": "tensorflow/serving/predict",
            "defaults": {},
        }
    return {
        "model_spec": {"name": opened.name, "signature_name": "", "version": str(opened.version)},
        "metadata": {"signature_def": {"signature_def": signatures}},
    }


def _tensor(name: str, dtype: str, shape: list[int | None]) -> dict[str, Any]:
    sizes = [{"size": str(-1 if size is None else size), "name": ""} for size in shape]
    return {"dtype": _TYPES[dtype], "tensor_shape": {"dim": sizes, "unknown_rank": False}, "name": f"{name}:0"}
