"""`config.pbtxt` for Triton's onnxruntime backend, beside the versions of a model.

Source: the ModelConfig message of triton-inference-server/common, protobuf/model_config.proto.
"""

from pathlib import Path
from typing import Any

from kerasnets.run import write_text

MAX_BATCH_SIZE = 64
LABELS = "labels.txt"
_TYPES = {"float32": "TYPE_FP32", "uint8": "TYPE_UINT8", "bool": "TYPE_BOOL"}
_NAMED_CLASSES = "probabilities"


def config(interface: dict[str, Any], filename: str) -> str:
    """Return the text of config.pbtxt for the `image` endpoint; dimensions leave the batch out, -1 is dynamic."""
    endpoint = interface["image"]
    lines = [
        'backend: "onnxruntime"',
        f'default_model_filename: "{filename}"',
        f"max_batch_size: {MAX_BATCH_SIZE}",
        *(_tensor("input", name, spec) for name, spec in endpoint["inputs"].items()),
        *(_tensor("output", name, spec, *_labels(name)) for name, spec in endpoint["outputs"].items()),
        "dynamic_batching { }",
    ]
    return "\n".join(lines) + "\n"


def _labels(name: str) -> list[str]:
    return [f'label_filename: "{LABELS}"'] if name == _NAMED_CLASSES else []


def _tensor(kind: str, name: str, spec: dict[str, Any], *more: str) -> str:
    dims = ", ".join("-1" if size is None else str(size) for size in spec["shape"][1:])
    # Triton has no tensors of a batch alone: it calls them batches of one value, and takes the last dimension away.
    inner = [f"dims: [ {dims} ]"] if dims else ["dims: [ 1 ]", "reshape: { shape: [ ] }"]
    fields = [f'name: "{name}"', f"data_type: {_TYPES[spec['dtype']]}", *inner, *more]
    return "\n".join([f"{kind} [ {{", *(f"  {field}" for field in fields), "} ]"])


def write(model: Path, interface: dict[str, Any], labels: tuple[str, ...], filename: str) -> None:
    """Write config.pbtxt and the labels file that it names into `<store>/<name>`, each whole or not at all."""
    for name, text in (
        (LABELS, "".join(f"{label}\n" for label in labels)),
        ("config.pbtxt", config(interface, filename)),
    ):
        if not (model / name).is_file() or (model / name).read_text(encoding="utf-8") != text:
            write_text(model / name, text)
