"""ONNX, opset 17: for ONNX Runtime in any language, Triton, and what converts from it."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from kerasnets.artifacts.graph import Graph

NAME = "onnx"
READER = __file__
FILE = "model.onnx"
ENDPOINTS = ("image",)
TOLERANCE = 1e-4
LOSSY = False
NEEDS = None
INDEPENDENT_OF = ("kerasnets", "keras", "tf_keras", "tensorflow", "tf2onnx", "onnx")

OPSET = 17
_AXES = ("N", "H", "W", "C")
_DTYPES = {"tensor(float)": "float32", "tensor(uint8)": "uint8", "tensor(bool)": "bool"}


def write(graph: "Graph", directory: Path) -> None:
    """Write model.onnx: input `image`, output `probabilities`, class names in its metadata.

    Raises:
        CheckFailed: the conversion logged an error, or the result is not a valid model.
    """

    from kerasnets.artifacts.tf2onnx_strict import convert

    model = convert(graph.image_function(), opset=OPSET)
    for value in (*model.graph.input, *model.graph.output):
        for axis, dimension in zip(_AXES, value.type.tensor_type.shape.dim, strict=False):
            if not dimension.HasField("dim_value"):
                dimension.dim_param = axis
    save(model, graph, directory / FILE)


def save(model: Any, graph: "Graph", path: Path) -> None:
    """Check a ModelProto and write it with the class names and facts in its metadata."""
    import onnx

    onnx.helper.set_model_props(model, {"labels": json.dumps(graph.labels, ensure_ascii=False), **graph.facts})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


@contextmanager
def written(graph: "Graph", directory: Path) -> Iterator[Path]:
    """Yield the path of model.onnx in `directory`; where it is not wanted there, of one made for a while."""
    if (directory / FILE).is_file():
        yield directory / FILE
        return
    with tempfile.TemporaryDirectory() as folder:
        write(graph, Path(folder))
        yield Path(folder) / FILE


def open(directory: Path) -> "OnnxRunner":
    """Load the model with onnxruntime alone."""
    return read(directory / FILE)


def read(path: Path) -> "OnnxRunner":
    """Load an ONNX file with onnxruntime alone."""
    return OnnxRunner(path)


def names(directory: Path) -> list[str]:
    """Return the names of every node, tensor and initializer."""
    return names_in(directory / FILE)


def names_in(path: Path) -> list[str]:
    """Return the names of every node, tensor and initializer of an ONNX file."""
    import onnx

    graph = onnx.load(str(path)).graph
    nodes = [name for node in graph.node for name in (node.name, *node.input, *node.output)]
    values = [value.name for value in (*graph.initializer, *graph.input, *graph.output, *graph.value_info)]
    return nodes + values


class OnnxRunner:
    """Runs an ONNX file on the processor."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors; its warnings concern optimisations that it passed over
        content = path.read_bytes()  # of a file without a place: tensors in other files are not found
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in order, from the model's metadata."""
        return tuple(json.loads(self._session.get_modelmeta().custom_metadata_map["labels"]))

    @property
    def signatures(self) -> dict[str, Any]:
        """Names, dtypes and shapes of the endpoint `image`; of `evidence` too where the file has that output."""
        inputs, outputs = _describe(self._session.get_inputs()), _describe(self._session.get_outputs())
        answers = {name: spec for name, spec in outputs.items() if name != "evidence"}
        found = {"image": {"inputs": inputs, "outputs": answers}}
        return found if outputs == answers else {**found, "evidence": {"inputs": inputs, "outputs": outputs}}

    def outputs(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Map raw pixels `[N, H, W, C]` to every output, by its name."""
        dtype = _DTYPES[self._session.get_inputs()[0].type]
        found = [value.name for value in self._session.get_outputs()]
        return dict(zip(found, self._session.run(found, {"image": images.astype(dtype, copy=False)}), strict=True))

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Map raw pixels `[N, H, W, C]` to probabilities `[N, K]`."""
        return self.outputs(images)["probabilities"]


def _describe(values: Any) -> dict[str, Any]:
    return {
        value.name: {
            "dtype": _DTYPES.get(value.type, value.type),
            "shape": [size if isinstance(size, int) else None for size in value.shape],
        }
        for value in values
    }
