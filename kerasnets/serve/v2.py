"""The Open Inference Protocol over REST: JSON, and its extension for binary tensors.

Source: https://github.com/open-inference/open-inference-protocol (specification/protocol/inference_rest.md), and
Triton's `extension_binary_data`.
"""

from typing import Annotated, Any

import orjson
from kserve import InferOutput, InferResponse
from kserve.protocol.infer_type import RequestedOutput
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kerasnets.serve import tensors
from kerasnets.serve.limits import Limits
from kerasnets.serve.question import Answer, Question
from kerasnets.serve.refusals import Refused
from kerasnets.serve.room import Place
from kerasnets.serve.served import V2_TYPES, Served
from kerasnets.serve.tensors import Tensor

HEADER_LENGTH = "inference-header-content-length"
PLATFORM = "onnxruntime_onnx"
_SIZE, _BINARY, _ALL_BINARY = "binary_data_size", "binary_data", "binary_data_output"
_Size = Annotated[int, Field(ge=0, le=2**40)]
_STRICT = ConfigDict(strict=True)


class _Input(BaseModel):
    model_config = _STRICT
    name: str
    shape: Annotated[list[_Size], Field(max_length=8)]
    datatype: str
    parameters: dict[str, Any] = {}
    data: Any = None


class _Output(BaseModel):
    model_config = _STRICT
    name: str
    parameters: dict[str, Any] = {}


class _Request(BaseModel):
    model_config = _STRICT
    id: Annotated[str, Field(max_length=200)] | None = None
    parameters: dict[str, Any] = {}
    inputs: list[_Input]
    outputs: list[_Output] = []


class Infer:
    """One request, parsed."""

    def __init__(self, body: bytes, json_length: int, served: Served, limits: Limits, place: Place) -> None:
        """Parse a body whose first `json_length` bytes are JSON.

        Raises:
            Refused: it is not a request of this protocol, or the model does not know what it names.
        """
        self._served = served
        self._request = _parsed(body[:json_length])
        names = [output.name for output in self._request.outputs]
        self.question: Question = tensors.question(
            _tensors(self._request.inputs, memoryview(body)[json_length:]), names, served, limits, place
        )

    def answer(self, found: Answer) -> tuple[bytes, int | None]:
        """Return the response's body, and how many bytes of it are JSON where tensors in binary follow."""
        opened = self._served.opened
        response = InferResponse(
            response_id=self._request.id,
            model_name=opened.name,
            model_version=str(opened.version),
            infer_outputs=outputs(found, self._served),
            requested_outputs=[RequestedOutput(name, {_BINARY: self._binary(name)}) for name in found],
        )
        document, json_length = response.to_rest()
        if json_length is not None:
            return document, json_length
        return orjson.dumps({key: value for key, value in document.items() if value is not None}), None

    def _binary(self, name: str) -> bool:
        default = self._request.parameters.get(_ALL_BINARY, False)
        asked = [output.parameters for output in self._request.outputs if output.name == name]
        return bool(asked[0].get(_BINARY, default) if asked else default)


def outputs(found: Answer, served: Served) -> list[InferOutput]:
    """Return the answer as the SDK's tensors."""
    types = {name: V2_TYPES[output["dtype"]] for name, output in served.opened.all_outputs.items()}
    return [InferOutput(name, list(values.shape), types[name], data=values) for name, values in found.items()]


def metadata(served: Served, versions: list[int]) -> dict[str, Any]:
    """Return a model's metadata; class names stand with the output `probabilities`, in order."""
    opened = served.opened
    described = served.get_output_types()
    for output in described:
        if output["name"] == "probabilities":
            output["parameters"] = {"labels": list(opened.labels)}
    return {
        "name": opened.name,
        "versions": [str(number) for number in versions],
        "platform": PLATFORM,
        "inputs": served.get_input_types(),
        "outputs": described,
    }


def _parsed(text: bytes) -> _Request:
    try:
        return _Request.model_validate(parsed(text))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        what = first["msg"].removeprefix("Input ").replace("should", "must", 1)
        raise Refused(f"{where}: {what[:1].lower()}{what[1:]}") from error


def parsed(text: bytes) -> Any:
    """Return a JSON document.

    Raises:
        Refused: it is none.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Refused(f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error


def _tensors(inputs: list[_Input], rest: memoryview) -> list[Tensor]:
    """Cut the binary part into the inputs that it belongs to."""
    found, at = [], 0
    for given in inputs:
        size = given.parameters.get(_SIZE)
        raw = None
        if size is not None:
            if type(size) is not int or not 0 <= size <= len(rest) - at or given.data is not None:
                raise Refused(f"{given.name:.40}: {_SIZE} does not fit what follows the JSON")
            raw, at = rest[at : at + size], at + size
        elif not isinstance(given.data, list):
            raise Refused(f"{given.name:.40}: data is not a list, and there is no {_SIZE}")
        found.append(Tensor(given.name, given.datatype, tuple(given.shape), raw, given.data))
    if at != len(rest):
        raise Refused(f"{len(rest) - at:,} bytes follow the JSON and belong to no input")
    return found
