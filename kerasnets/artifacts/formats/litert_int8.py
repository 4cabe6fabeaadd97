"""LiteRT with 8-bit weights and activations: a quarter of the size, for processors and accelerators that want integers.

TensorFlow's converter measures activations on training images and quantises what lies within the network, weights per
output channel. Preprocessing and softmax stay in float32, and so do input and output: 8 bits would move pixels about,
and know only images of the size that was measured.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerasnets.artifacts.formats import litert

if TYPE_CHECKING:
    from kerasnets.artifacts.graph import Graph

NAME = "litert-int8"
READER = litert.READER
FILE = "model.int8.tflite"
ENDPOINTS = ("image",)
TOLERANCE = 0.05
LOSSY = True
NEEDS = litert.NEEDS
INDEPENDENT_OF = litert.INDEPENDENT_OF


def write(graph: "Graph", directory: Path) -> None:
    """Write model.int8.tflite, with the interface of model.tflite.

    Raises:
        CheckFailed: LiteRT has no such operation, or there are no images to measure activations on.
    """
    litert.save(litert.converted(NAME, lambda: _quantized(graph)), graph, directory / FILE)


def _quantized(graph: "Graph") -> bytes:
    import tensorflow as tf

    kept = _kept_in_float(litert.converter(graph).convert())

    def calibration() -> Iterator[list[np.ndarray]]:
        for images in graph.calibrated(NAME):
            yield [images]

    converter = litert.converter(graph)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = calibration
    options = tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=kept)
    with warnings.catch_warnings():
        # The one public way to name what stays in float32; TensorFlow 2.21 builds it on an interpreter that it has
        # deprecated in favour of ai-edge-litert. None of it is in what is written.
        warnings.filterwarnings("ignore", message=r"\s*Warning: tf.lite.Interpreter is deprecated")
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter, debug_dataset=calibration, debug_options=options
        )
    content: bytes = debugger.get_nondebug_quantized_model()
    return content


def open(directory: Path) -> litert.LiteRtRunner:
    """Load the model with ai-edge-litert alone."""
    return litert.read(directory / FILE)


def names(directory: Path) -> list[str]:
    """Return the names of every tensor."""
    return open(directory).tensors


def _kept_in_float(content: bytes) -> list[str]:
    """Return the names of what a converted model computes outside of the network.

    An operation that was put together from several has all their names, in no fixed order, with `;` between them.
    """
    from kerasnets.artifacts.graph import NETWORK, scope

    tensors = litert.LiteRtRunner(content).tensors
    return [name for name in tensors if all(scope(part) != NETWORK for part in name.split(";"))]
