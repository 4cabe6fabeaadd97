"""What TensorFlow Serving takes beside a SavedModel: requests that warm it up, and the list of a store's models.

Sources: tensorflow_serving/apis/prediction_log.proto, predict.proto, model.proto, config/model_server_config.proto;
"SavedModel Warmup" in TensorFlow Serving's documentation.

tensorflow-serving-api would write the same requests, but needs gRPC and more than TensorFlow; three of its messages
are written here field by field, in protobuf's wire format, and the tests read them with it.
"""

import io
import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WARMUP = Path("assets.extra") / "tf_serving_warmup_requests"
MODELS = "models.config"
BASE = "/models"
"""Where containers have the store; `models.config` names absolute paths."""
_BATCHES = (1, 8)
_WARMED = ("image", "bytes")

# Field numbers of the messages.
_PREDICT_LOG, _REQUEST = 6, 1  # PredictionLog, PredictLog
_MODEL_SPEC, _INPUTS = 1, 2  # PredictRequest
_NAME, _SIGNATURE = 1, 3  # ModelSpec
_KEY, _VALUE = 1, 2  # an entry of a map


def models_config(names: Iterable[str]) -> str:
    """Return the text of a ModelServerConfig that serves these models of a store at `/models`."""
    configs = (
        f'  config {{\n    name: "{name}"\n    base_path: "{BASE}/{name}"\n    model_platform: "tensorflow"\n  }}\n'
        for name in names
    )
    return "".join(["model_config_list {\n", *configs, "}\n"])


def write_warmup(directory: Path, name: str, inputs: dict[str, Any], size: tuple[int, int]) -> None:
    """Write the requests that have TensorFlow Serving run a version before it is ready.

    Args:
        directory: The version's, which holds a SavedModel.
        name: Of the model.
        inputs: Endpoint -> name -> dtype and shape.
        size: Height and width of the pictures, where the input has any.
    """
    import tensorflow as tf

    from kerasnets.artifacts.formats.savedmodel import SIGNATURES

    path = directory / WARMUP
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for endpoint, batch in itertools.product(_WARMED, _BATCHES):
            pictures = {key: _pictures(spec, batch, size, inputs) for key, spec in inputs[endpoint].items()}
            protos = {key: tf.make_tensor_proto(value).SerializeToString() for key, value in pictures.items()}
            writer.write(_prediction_log(name, SIGNATURES[endpoint], protos))


def _pictures(spec: dict[str, Any], batch: int, size: tuple[int, int], inputs: dict[str, Any]) -> Any:
    """Return grey pictures as an input takes them: encoded where it takes strings, else pixels."""
    if spec["dtype"] == "string":
        channels = inputs["image"]["image"]["shape"][3]
        buffer = io.BytesIO()
        Image.new("L" if channels == 1 else "RGB", (size[1], size[0])).save(buffer, "JPEG")
        return [buffer.getvalue()] * batch
    free = iter(size)
    shape = [batch, *(next(free) if known is None else known for known in spec["shape"][1:])]
    return np.full(shape, 127, spec["dtype"])


def _prediction_log(name: str, signature: str, inputs: dict[str, bytes]) -> bytes:
    """Return a PredictionLog with a PredictRequest."""
    spec = _field(_NAME, name.encode()) + _field(_SIGNATURE, signature.encode())
    entries = (_field(_INPUTS, _field(_KEY, key.encode()) + _field(_VALUE, value)) for key, value in inputs.items())
    request = _field(_MODEL_SPEC, spec) + b"".join(entries)
    return _field(_PREDICT_LOG, _field(_REQUEST, request))


def _field(number: int, content: bytes) -> bytes:
    """Return a field of bytes, text or a message: its tag, its length, its content."""
    length_delimited = 2
    return _varint(number << 3 | length_delimited) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    """Return an unsigned number in base 128, lowest digit first, the top bit of each but the last set."""
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])
