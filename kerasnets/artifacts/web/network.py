"""What the page runs: the published network with its evidence as one more output, and the resize alone."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasnets.artifacts.tf2onnx_strict import convert
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.errors import CheckFailed
from kerasnets.gradcam.layers import LinearHead

if TYPE_CHECKING:
    import onnx

EVIDENCE = "evidence"
_POOLS = ("ReduceMean", "GlobalAveragePool")


def add_evidence(model: "onnx.ModelProto", head: LinearHead) -> None:
    """Give a network the output `evidence`, float32 `[N, h, w, K]`: what each place adds to each logit.

    Raises:
        CheckFailed: the pooling of the head is not found in the file, though the Keras model has it.
    """
    import onnx

    pool = next((node for node in _from_the_end(model.graph) if node.op_type in _POOLS), None)
    if pool is None:
        raise CheckFailed("web: the network's global average pooling is not in the ONNX file")
    features, (height, width, _) = pool.input[0], head.shape
    new = []
    if not _channels_last(pool):
        new.append(onnx.helper.make_node("Transpose", [features], ["evidence/features"], perm=[0, 2, 3, 1]))
        features = "evidence/features"
    new.append(onnx.helper.make_node("MatMul", [features, "evidence/kernel"], [EVIDENCE]))
    share = (head.kernel / np.float32(height * width)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(share, "evidence/kernel"))
    model.graph.node.extend(new)
    shape = ["N", height, width, share.shape[1]]
    model.graph.output.append(onnx.helper.make_tensor_value_info(EVIDENCE, onnx.TensorProto.FLOAT, shape))


def _channels_last(pool: Any) -> bool:
    """Return whether a mean is over rows and columns of `[N, h, w, C]`, not of `[N, C, h, w]`."""
    axes = next((list(value.ints) for value in pool.attribute if value.name == "axes"), [2, 3])
    return sorted(axes) == [1, 2]


def _from_the_end(graph: Any) -> Iterator[Any]:
    """Yield the nodes on the way from the probabilities back to the image, nearest to the probabilities first."""
    makers = {name: node for node in graph.node for name in node.output}
    fed = {graph.input[0].name}
    for node in graph.node:  # which are in the order of computation
        if fed & set(node.input):
            fed |= set(node.output)
    waiting, seen = ["probabilities"], set()
    while waiting:
        node = makers.get(waiting.pop(0))
        if node is not None and node.output[0] not in seen:
            seen.add(node.output[0])
            yield node
            waiting += [name for name in node.input if name in fed]


def resizing(preprocessing: Preprocessing, opset: int) -> "onnx.ModelProto":
    """Return the network from `image`, uint8 `[N, H, W, C]`, to `pixels`, float32 `[N, h, w, C]`, both 0..255."""
    import tensorflow as tf

    def resize(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"pixels": tf.identity(preprocessing.resized(tf.cast(image, tf.float32), tf))}

    spec = tf.TensorSpec([None, None, None, preprocessing.channels], tf.uint8, name="image")
    return convert(tf.function(resize, input_signature=[spec], autograph=False), opset=opset)
