"""TensorFlow SavedModel: for TensorFlow Serving, and anything that loads one."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from kerasnets.artifacts.graph import Graph

NAME = "savedmodel"
READER = __file__
FILE = "saved_model.pb"
ENDPOINTS = ("image", "bytes", "explain")
TOLERANCE = 1e-4
LOSSY = False
NEEDS = None
INDEPENDENT_OF = ("kerasnets", "keras", "tf_keras")

# Endpoint -> signature: TensorFlow Serving calls `serving_default` where a request names none.
SIGNATURES = {"image": "serving_default", "bytes": "bytes", "explain": "explain"}


def write(graph: "Graph", directory: Path) -> None:
    """Write saved_model.pb, variables/ and assets/labels.txt.

    The module that is saved holds variables by their plain names, not the Keras model: a tracked Keras model drags
    in its own signatures, and a tracked GoogLeNet the auxiliary heads' weights.
    """
    import tempfile

    import tensorflow as tf

    module = tf.Module()
    module.parameters = graph.parameters
    signatures = {SIGNATURES["image"]: graph.image_function(), SIGNATURES["bytes"]: graph.bytes_function()}
    if graph.explained_layer is not None:
        signatures[SIGNATURES["explain"]] = graph.explain_function()
    with tempfile.TemporaryDirectory() as folder:
        labels = Path(folder) / "labels.txt"
        labels.write_text("".join(f"{label}\n" for label in graph.labels), encoding="utf-8")
        module.labels = tf.saved_model.Asset(str(labels))
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(module, str(directory), signatures=signatures, options=options)


def open(directory: Path) -> "SavedModelRunner":
    """Load the SavedModel with TensorFlow alone."""
    return read(directory / FILE)


def read(path: Path) -> "SavedModelRunner":
    """Load the SavedModel whose saved_model.pb is at `path` with TensorFlow alone."""
    return SavedModelRunner(path.parent)


def names(directory: Path) -> list[str]:
    """Return the names of every node, function and variable: of the graph and of the checkpoint's index."""
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString((directory / FILE).read_bytes())
    found = [name for name, _ in tf.train.list_variables(str(directory / "variables" / "variables"))]
    for meta in saved.meta_graphs:
        found += [node.name for node in meta.graph_def.node]
        for function in meta.graph_def.library.function:
            found += [function.signature.name, *(node.name for node in function.node_def)]
            found += [argument.name for argument in (*function.signature.input_arg, *function.signature.output_arg)]
        found += [node.variable.name for node in meta.object_graph_def.nodes if node.HasField("variable")]
    return found


class SavedModelRunner:
    """Calls the signatures as a server does."""

    def __init__(self, directory: Path) -> None:
        import tensorflow as tf

        self._tf = tf
        self._directory = directory
        self._loaded = tf.saved_model.load(str(directory))

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in order, from the asset."""
        text = (self._directory / "assets" / "labels.txt").read_text(encoding="utf-8")
        return tuple(text.removesuffix("\n").split("\n"))

    @cached_property
    def signatures(self) -> dict[str, Any]:
        """Names, dtypes and shapes of each endpoint."""
        found = {}
        for endpoint, name in SIGNATURES.items():
            if name in self._loaded.signatures:
                function = self._loaded.signatures[name]
                inputs, outputs = function.structured_input_signature[1], function.structured_outputs
                found[endpoint] = {"inputs": _describe(inputs), "outputs": _describe(outputs)}
        return found

    def outputs(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Map raw pixels `[N, H, W, C]` to every output of the `image` endpoint, by its name."""
        dtype = self.signatures["image"]["inputs"]["image"]["dtype"]
        found = self._loaded.signatures[SIGNATURES["image"]](image=self._tf.constant(images.astype(dtype, copy=False)))
        return {name: tensor.numpy() for name, tensor in found.items()}

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Map raw pixels `[N, H, W, C]` to probabilities `[N, K]`."""
        return self.outputs(images)["probabilities"]

    def encoded(self, files: Sequence[bytes]) -> dict[str, np.ndarray]:
        """Map encoded images to `probabilities`, `classes` and `scores`."""
        batch = self._tf.constant(list(files), dtype=self._tf.string)
        outputs = self._loaded.signatures[SIGNATURES["bytes"]](image_bytes=batch)
        arrays = {name: tensor.numpy() for name, tensor in outputs.items()}
        texts = [[label.decode("utf-8") for label in row] for row in arrays["classes"]]
        return {**arrays, "classes": np.array(texts, dtype=str).reshape(arrays["classes"].shape)}

    def explained(self, images: np.ndarray, classes: np.ndarray) -> dict[str, np.ndarray]:
        """Map raw pixels and a class each, int32 `[N]` (-1: the best), to `heatmaps` `[N, h, w]` and `probabilities`.

        Raises:
            KeyError: the artefact has no such endpoint.
        """
        dtype = self.signatures["explain"]["inputs"]["image"]["dtype"]
        call = self._loaded.signatures[SIGNATURES["explain"]]
        outputs = call(image=self._tf.constant(images.astype(dtype, copy=False)), classes=self._tf.constant(classes))
        return {name: tensor.numpy() for name, tensor in outputs.items()}


def _describe(specs: dict[str, Any]) -> dict[str, Any]:
    return {name: {"dtype": spec.dtype.name, "shape": list(spec.shape)} for name, spec in sorted(specs.items())}
