"""LiteRT, formerly TensorFlow Lite: one file for phones, boards and browsers, and for Python without TensorFlow.

Class names are in `labels.txt` of a ZIP archive at the file's end, where TensorFlow Lite's metadata has its files.
"""

import io
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from kerasnets.artifacts.graph import Graph

NAME = "litert"
READER = __file__
FILE = "model.tflite"
ENDPOINTS = ("image",)
TOLERANCE = 1e-4
LOSSY = False
NEEDS = ("ai_edge_litert", "litert")
INDEPENDENT_OF = ("kerasnets", "keras", "tf_keras", "tensorflow", "tf2onnx", "onnx", "onnxruntime")

SIGNATURE = "serving_default"
_LABELS = "labels.txt"


def write(graph: "Graph", directory: Path) -> None:
    """Write model.tflite: signature `serving_default`, input `image`, outputs as the graph has them.

    Raises:
        CheckFailed: LiteRT has no such operation.
    """
    save(converted(NAME, converter(graph).convert), graph, directory / FILE)


def converted(form: str, convert: Callable[[], bytes]) -> bytes:
    """Return what a conversion makes, with what it prints off the screen.

    Raises:
        CheckFailed: the converter refused the graph; names the operations that LiteRT lacks.
    """
    from kerasnets.console import hidden_stderr
    from kerasnets.errors import CheckFailed, UserError

    with hidden_stderr():
        try:
            return convert()
        except (CheckFailed, UserError):  # of the images by which it measures
            raise
        except Exception as error:  # the converter's own class is not public
            failure = error
    missing = list(dict.fromkeys(re.findall(r"'tf\.(\w+)' op is neither", str(failure))))
    reason = f"LiteRT has no {', '.join(missing)}" if missing else str(failure).split("\n")[0]
    raise CheckFailed(f"{form}: the graph cannot be converted: {reason}") from failure


def converter(graph: "Graph") -> Any:
    """Return TensorFlow's converter of the `image` endpoint."""
    import tensorflow as tf

    module = tf.Module()
    module.parameters = graph.parameters
    function = module.image = graph.image_function()
    found = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], module)
    found.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return found


def save(content: bytes, graph: "Graph", path: Path) -> None:
    """Write a converted model with the class names behind it."""
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a") as archive:
        text = "".join(f"{label}\n" for label in graph.labels)
        archive.writestr(zipfile.ZipInfo(_LABELS, (1980, 1, 1, 0, 0, 0)), text.encode())
    path.write_bytes(buffer.getvalue())


def open(directory: Path) -> "LiteRtRunner":
    """Load the model with ai-edge-litert alone."""
    return read(directory / FILE)


def read(path: Path) -> "LiteRtRunner":
    """Load a .tflite file with ai-edge-litert alone."""
    return LiteRtRunner(path.read_bytes())


def names(directory: Path) -> list[str]:
    """Return the names of every tensor."""
    return read(directory / FILE).tensors


class LiteRtRunner:
    """Runs a .tflite file on the processor (XNNPACK)."""

    def __init__(self, content: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._content = content
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        self._interpreter = Interpreter(model_content=content, num_threads=threads)
        self._interpreter.allocate_tensors()  # now, so that a file that is wrong fails when it is opened
        self._run = self._interpreter.get_signature_runner(SIGNATURE)

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in order, from the archive at the file's end."""
        with zipfile.ZipFile(io.BytesIO(self._content)) as archive:
            member = archive.getinfo(_LABELS)
            if member.compress_type != zipfile.ZIP_STORED or member.file_size > len(self._content):
                raise ValueError(f"{_LABELS} is compressed")
            text = archive.read(member).decode("utf-8")
        return tuple(text.removesuffix("\n").split("\n"))

    @property
    def tensors(self) -> list[str]:
        """Names of every tensor."""
        return [tensor["name"] for tensor in self._interpreter.get_tensor_details()]

    @property
    def signatures(self) -> dict[str, Any]:
        """Names, dtypes and shapes of the one endpoint."""
        inputs, outputs = self._run.get_input_details(), self._run.get_output_details()
        return {"image": {"inputs": _describe(inputs), "outputs": _describe(outputs)}}

    def outputs(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Map raw pixels `[N, H, W, C]` to every output, by its name; the signature makes room for their size."""
        dtype = self._run.get_input_details()["image"]["dtype"]
        found: dict[str, np.ndarray] = self._run(image=images.astype(dtype, copy=False))
        return found

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Map raw pixels `[N, H, W, C]` to probabilities `[N, K]`."""
        return self.outputs(images)["probabilities"]


def _describe(details: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {
            "dtype": np.dtype(detail["dtype"]).name,
            "shape": [None if size < 0 else int(size) for size in detail["shape_signature"]],
        }
        for name, detail in sorted(details.items())
    }
