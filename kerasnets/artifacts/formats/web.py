"""A folder for any static host: index.html classifies pictures in the browser, without a server and offline."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from kerasnets.artifacts.formats import onnx, onnx_int8

if TYPE_CHECKING:
    from kerasnets.artifacts.graph import Graph

NAME = "web"
READER = onnx.READER
FILE = "web/model.onnx"
ENDPOINTS = ("image", "evidence")
TOLERANCE = 1e-4
LOSSY = False  # web_int8.py is for a version with int8
NEEDS = None
INDEPENDENT_OF = onnx.INDEPENDENT_OF

PAGE = "web/index.html"
RESIZE = "web/resize.onnx"


def write(graph: "Graph", directory: Path) -> None:
    """Write web/: the page, ONNX Runtime Web with its licence, the resize, and the network.

    The network is model.int8.onnx where that was written, else model.onnx; where the head is global average pooling and
    one linear layer, it has one more output, `evidence`.

    Raises:
        CheckFailed: a conversion logged an error, or the result is not a valid model.
    """
    import onnx as library

    from kerasnets.artifacts.web import network, page
    from kerasnets.gradcam.layers import linear_head

    (directory / FILE).parent.mkdir()
    small = directory / onnx_int8.FILE
    with nullcontext(small) if small.is_file() else onnx.written(graph, directory) as source:
        model = library.load(str(source))
    if (head := linear_head(graph.model)) is not None:
        network.add_evidence(model, head)
    onnx.save(model, graph, directory / FILE)
    onnx.save(network.resizing(graph.preprocessing, onnx.OPSET), graph, directory / RESIZE)
    page.write(graph, (directory / FILE).parent, eight_bits=small.is_file())


def open(directory: Path) -> onnx.OnnxRunner:
    """Load the network with onnxruntime alone."""
    return onnx.read(directory / FILE)


def names(directory: Path) -> list[str]:
    """Return the names of every node, tensor and initializer."""
    return onnx.names_in(directory / FILE)
