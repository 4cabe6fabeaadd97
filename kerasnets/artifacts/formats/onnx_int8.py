"""ONNX with 8-bit weights and activations: a quarter of the size, two to three times as fast on CPUs with VNNI or AMX.

Static, as pairs of QuantizeLinear and DequantizeLinear (QDQ) around Conv, MatMul and Gemm: weights signed, a scale per
output channel; activations unsigned, with the range that they had on training images.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasnets.artifacts.formats import onnx

if TYPE_CHECKING:
    from kerasnets.artifacts.graph import Graph

NAME = "onnx-int8"
READER = onnx.READER
FILE = "model.int8.onnx"
ENDPOINTS = ("image",)
TOLERANCE = 0.05
LOSSY = True
NEEDS = None
INDEPENDENT_OF = onnx.INDEPENDENT_OF

_QUANTIZED = ["Conv", "MatMul", "Gemm"]  # a Softmax with 8 bits gives 0 for most of 1,000 classes


def write(graph: "Graph", directory: Path) -> None:
    """Write model.int8.onnx; its inputs, outputs and metadata are those of model.onnx.

    Raises:
        CheckFailed: the conversion or the quantisation logged an error, or the result is not a valid model.
    """
    import onnx as library
    from onnxruntime import quantization

    from kerasnets.artifacts.tf2onnx_strict import logged_errors
    from kerasnets.errors import CheckFailed

    with onnx.written(graph, directory) as source, logged_errors() as messages:
        quantization.quantize_static(
            source,
            directory / FILE,
            _Calibration(graph),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=_QUANTIZED,
            nodes_to_exclude=_resizing(library.load(str(source))),
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
    if messages:
        raise CheckFailed(f"{NAME}: the model cannot be quantised: {'; '.join(dict.fromkeys(messages))}")
    onnx.save(library.load(str(directory / FILE)), graph, directory / FILE)


def open(directory: Path) -> onnx.OnnxRunner:
    """Load the model with onnxruntime alone."""
    return onnx.read(directory / FILE)


def names(directory: Path) -> list[str]:
    """Return the names of every node, tensor and initializer."""
    return onnx.names_in(directory / FILE)


def _resizing(model: Any) -> list[str]:
    """Return the names of the resize's matrix products: weights of pixels, which 8 bits would move about."""
    from kerasnets.artifacts.graph import PREPROCESSING, scope

    return [node.name for node in model.graph.node if node.op_type == "MatMul" and scope(node.name) == PREPROCESSING]


class _Calibration:
    """The graph's calibration images as onnxruntime asks for them."""

    def __init__(self, graph: "Graph") -> None:
        self._graph = graph
        self.rewind()

    def rewind(self) -> None:
        self._images: Iterator[np.ndarray] = self._graph.calibrated(NAME)

    def get_next(self) -> dict[str, np.ndarray] | None:
        images = next(self._images, None)
        return None if images is None else {"image": images}

    def __iter__(self) -> "_Calibration":
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        found = self.get_next()
        if found is None:
            raise StopIteration
        return found
