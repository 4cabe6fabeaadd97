"""OpenVINO IR, a text and a file of weights: for Intel's processors and GPUs, OpenVINO Model Server, C++.

Made from the ONNX model by OpenVINO's own reader; its `convert_model` would report its use over the network.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from kerasnets.artifacts.graph import Graph

NAME = "openvino"
READER = __file__
FILE = "openvino/model.xml"
ENDPOINTS = ("image",)
TOLERANCE = 1e-4
LOSSY = False
NEEDS = ("openvino", "openvino")
INDEPENDENT_OF = ("kerasnets", "keras", "tf_keras", "tensorflow", "tf2onnx", "onnx", "onnxruntime")

_LABELS = ["kerasnets", "labels"]  # of the IR's rt_info


def write(graph: "Graph", directory: Path) -> None:
    """Write openvino/model.xml and openvino/model.bin in float32; class names are in the former's rt_info.

    Raises:
        CheckFailed: the conversion to ONNX logged an error, or the result is not a valid model.
    """
    import openvino

    from kerasnets.artifacts.formats import onnx

    with onnx.written(graph, directory) as source:
        model = openvino.Core().read_model(str(source))
    model.set_rt_info(json.dumps(graph.labels, ensure_ascii=False), _LABELS)
    (directory / FILE).parent.mkdir()
    openvino.save_model(model, str(directory / FILE), compress_to_fp16=False)


def open(directory: Path) -> "OpenVinoRunner":
    """Load the model with openvino alone."""
    return read(directory / FILE)


def read(path: Path) -> "OpenVinoRunner":
    """Load the IR whose model.xml is at `path` with openvino alone."""
    return OpenVinoRunner(path)


def names(directory: Path) -> list[str]:
    """Return the names of every operation and tensor."""
    model = _model(directory / FILE)
    operations = model.get_ordered_ops()
    tensors = [name for operation in operations for output in operation.outputs() for name in output.get_names()]
    return [operation.get_friendly_name() for operation in operations] + tensors


def _model(path: Path) -> Any:
    """Read an IR from bytes: of files without a place, other files are not found."""
    import openvino

    return openvino.Core().read_model(path.read_bytes(), path.with_suffix(".bin").read_bytes())


class OpenVinoRunner:
    """Runs an IR on the processor in float32; OpenVINO itself takes bfloat16 where the processor has it."""

    def __init__(self, path: Path) -> None:
        import openvino

        self._model = _model(path)
        self._compiled = openvino.Core().compile_model(self._model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in order, from the IR's rt_info."""
        return tuple(json.loads(self._model.get_rt_info(_LABELS).astype(str)))

    @property
    def signatures(self) -> dict[str, Any]:
        """Names, dtypes and shapes of the one endpoint."""
        return {"image": {"inputs": _describe(self._model.inputs), "outputs": _describe(self._model.outputs)}}

    def outputs(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Map raw pixels `[N, H, W, C]` to every output, by its name."""
        dtype = self._model.input("image").get_element_type().to_dtype()
        found = self._compiled({"image": np.ascontiguousarray(images, dtype)})
        return {output.get_any_name(): np.array(values) for output, values in found.items()}

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Map raw pixels `[N, H, W, C]` to probabilities `[N, K]`."""
        return self.outputs(images)["probabilities"]


def _describe(ports: Any) -> dict[str, Any]:
    return {
        port.get_any_name(): {
            "dtype": np.dtype(port.get_element_type().to_dtype()).name,
            "shape": [None if size.is_dynamic else size.get_length() for size in port.get_partial_shape()],
        }
        for port in ports
    }
