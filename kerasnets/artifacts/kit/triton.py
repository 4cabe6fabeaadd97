"""`config.pbtxt` for Triton's onnxruntime backend, beside the versions of a model.

Source: the ModelConfig message of triton-inference-server/common, protobuf/model_config.proto.
"""

import json
from typing import Any

from kerasnets.errors import UserError

MAX_BATCH_SIZE = 64
QUEUE_MICROSECONDS = 500
"""How long a request waits for others to share a batch with."""
FILE = "config.pbtxt"
LABELS = "labels.txt"
_TYPES = {"float32": "TYPE_FP32", "uint8": "TYPE_UINT8", "bool": "TYPE_BOOL"}


def config(inputs: dict[str, Any], outputs: dict[str, Any], filename: str, size: tuple[int, int]) -> str:
    """Return the text of config.pbtxt for the `image` endpoint.

    Args:
        inputs: Name -> dtype and shape, with the batch first; None is dynamic.
        outputs: The same.
        filename: Of the ONNX file in each version's directory.
        size: Height and width of the picture that warms the model up, where its input has any.
    """
    labels = f'label_filename: "{LABELS}"'
    lines = [
        'backend: "onnxruntime"',
        f'default_model_filename: "{filename}"',
        f"max_batch_size: {MAX_BATCH_SIZE}",
        "version_policy { latest { num_versions: 1 } }",
        *(_tensor("input", name, spec) for name, spec in inputs.items()),
        *(_tensor("output", name, spec, *[labels] * (name == "probabilities")) for name, spec in outputs.items()),
        f"dynamic_batching {{ max_queue_delay_microseconds: {QUEUE_MICROSECONDS} }}",
        *(_warmup(name, spec, size) for name, spec in inputs.items()),
    ]
    return "\n".join(lines) + "\n"


def _tensor(kind: str, name: str, spec: dict[str, Any], *more: str) -> str:
    """Return a tensor's lines; its dimensions leave the batch out, -1 is dynamic, and there must be one."""
    sizes = spec["shape"][1:]
    dims = ", ".join("-1" if size is None else str(size) for size in sizes or [1])
    shape = [] if sizes else ["reshape: { shape: [ ] }"]
    fields = [f"name: {_quoted(name)}", f"data_type: {_type(name, spec)}", f"dims: [ {dims} ]", *shape, *more]
    return "\n".join([f"{kind} [ {{", *(f"  {field}" for field in fields), "} ]"])


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def _type(name: str, spec: dict[str, Any]) -> str:
    if spec["dtype"] not in _TYPES:
        raise UserError(f"config.pbtxt: '{name}' is of {spec['dtype']}; exports have {', '.join(_TYPES)}")
    return _TYPES[spec["dtype"]]


def _warmup(name: str, spec: dict[str, Any], size: tuple[int, int]) -> str:
    """Return what has Triton run a model once, with a picture of noise, before it is ready."""
    free = iter(size)
    dims = ", ".join(str(next(free) if known is None else known) for known in spec["shape"][1:])
    return "\n".join(
        [
            "model_warmup [ {",
            '  name: "a picture of noise"',
            "  batch_size: 1",
            "  inputs {",
            f"    key: {_quoted(name)}",
            f"    value {{ data_type: {_type(name, spec)} dims: [ {dims} ] random_data: true }}",
            "  }",
            "} ]",
        ]
    )
