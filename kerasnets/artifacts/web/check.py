"""What the web folder has besides a network, against what it should be: the resize, the evidence, the page."""

from pathlib import Path

import keras
import numpy as np

from kerasnets.artifacts.compare import refuse
from kerasnets.artifacts.feed import Feed
from kerasnets.artifacts.formats import Format, web
from kerasnets.artifacts.process import ProcessRunner
from kerasnets.artifacts.reference import Reference
from kerasnets.artifacts.web import page
from kerasnets.artifacts.web.network import EVIDENCE
from kerasnets.gradcam.layers import linear_head

_GREY_LEVELS = 0.01
_EVIDENCE, _EVIDENCE_INT8 = 1e-4, 0.25
"""Of a place's evidence, relative to the largest of all. An int8 network's is only to be of the same kind."""


def check(
    form: Format, runner: ProcessRunner, reference: Reference, feed: Feed, directory: Path, images: np.ndarray
) -> None:
    """Check the folder with raw pixels `[N, H, W, C]`.

    Raises:
        CheckFailed: pixels are resized to others than ours, evidence is not Keras', or the page has other classes.
    """
    _check_resize(form, reference, directory, images)
    if page.labels(directory / web.PAGE) != reference.labels:
        refuse(form, "page", "it shows other classes than the run has", "it must show those")
    head = linear_head(reference.model)
    if head is None:
        return
    fed = feed.prepare(images, reference.preprocessing)
    inputs = feed.finish(fed.astype(np.float32), reference.preprocessing, np)
    features = keras.Model(reference.model.input, reference.model.get_layer(head.layer).output)(inputs, training=False)
    expected = head.evidence(keras.ops.convert_to_numpy(features), np)
    found = runner.outputs(fed)[EVIDENCE]
    if found.shape != expected.shape:
        refuse(form, "evidence", f"has the shape {list(found.shape)}", f"must have {list(expected.shape)}")
    difference = float(np.abs(found - expected).max() / np.abs(expected).max())
    allowed = _EVIDENCE_INT8 if form.LOSSY else _EVIDENCE
    if not difference <= allowed:
        refuse(form, "evidence", f"differs from Keras' by {difference:.3g} of the largest", f"{allowed:g} is allowed")


def _check_resize(form: Format, reference: Reference, directory: Path, images: np.ndarray) -> None:
    import onnxruntime

    content = (directory / web.RESIZE).read_bytes()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    pixels = images.astype(np.uint8)
    found = session.run(["pixels"], {"image": pixels})[0]
    expected = reference.preprocessing.resized(pixels.astype(np.float32), np)
    if found.shape != expected.shape or not np.abs(found - expected).max() <= _GREY_LEVELS:
        refuse(form, "resize", "its pixels are not those of training", f"at most {_GREY_LEVELS:g} grey levels apart")
