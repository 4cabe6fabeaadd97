"""Reads a server's file with that server's own schema and prints what it says as JSON.

    python tests/artifacts/kit/schemas.py triton|kserve FILE

In a process of its own: kserve and tritonclient.grpc register the same protobuf messages.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def read(kind: str, file: Path) -> Any:
    """Return what the process says."""
    line = [sys.executable, __file__, kind, str(file)]
    return json.loads(subprocess.run(line, capture_output=True, text=True, timeout=120, check=True).stdout)


def triton(file: Path) -> Any:
    """Return config.pbtxt as a ModelConfig."""
    from google.protobuf import json_format, text_format
    from tritonclient.grpc import model_config_pb2

    message = text_format.Parse(file.read_text(encoding="utf-8"), model_config_pb2.ModelConfig())
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def kserve(file: Path) -> Any:
    """Return InferenceServices as KServe's and Kubernetes' classes hold them; what these do not know is an error."""
    import yaml
    from kserve import V1beta1InferenceService

    documents = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
    return [_shown(_made(V1beta1InferenceService, document)) for document in documents]


def _made(owner: Any, document: dict[str, Any]) -> Any:
    """Return an object of a class generated from the API's schema; nested objects by the types that it declares."""
    names = {theirs: ours for ours, theirs in owner.attribute_map.items()}
    unknown = document.keys() - names.keys()
    if unknown:
        raise ValueError(f"{owner.__name__} has no {sorted(unknown)}")
    values = {names[key]: _value(owner.openapi_types[names[key]], value) for key, value in document.items()}
    return owner(**values)


def _value(kind: str, value: Any) -> Any:
    import kserve.models
    from kubernetes import client

    inner = kind.removesuffix("]").lower()
    if kind.lower().startswith("list["):
        return [_value(kind[5:-1], item) for item in value]
    owner = getattr(kserve.models, kind, None) or getattr(client, kind, None)
    if owner is not None:
        return _made(owner, value)
    plain = {"str": str, "int": int, "bool": bool}
    if inner in plain and not isinstance(value, plain[inner]):
        raise ValueError(f"{value!r} is no {kind}")
    return value


def _shown(made: Any) -> Any:
    """Return an object of these classes as JSON, without what is not set."""
    if isinstance(made, list):
        return [_shown(item) for item in made]
    if not hasattr(made, "attribute_map"):
        return made
    values = {theirs: getattr(made, ours) for ours, theirs in made.attribute_map.items()}
    return {key: _shown(value) for key, value in values.items() if value is not None}


if __name__ == "__main__":
    print(json.dumps({"triton": triton, "kserve": kserve}[sys.argv[1]](Path(sys.argv[2]))))
