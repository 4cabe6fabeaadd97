"""TensorBoard's PROJECTOR page: where the network puts images just before it decides, their classes and pictures."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

NAME = "penultimate"
_THUMBNAIL, _SPRITE = 48, 8192
"""Pixels of a picture at most, and of the sheet of all pictures: what browsers take as a texture."""
_FILES = {"tensor": f"{NAME}.tsv", "metadata": f"{NAME}_metadata.tsv", "sprite": f"{NAME}_sprite.png"}


def features(model: keras.Model) -> keras.Model:
    """Return a model of one output's penultimate activations and logits: `(features, logits)`.

    Args:
        model: functional, of one output: the main head.

    Raises:
        ValueError: no layer with weights leads to the output.
    """
    layer = model.outputs[0]._keras_history.operation
    while not layer.weights:  # such as a softmax after the logits
        if isinstance(layer, keras.layers.InputLayer):
            raise ValueError("the network has no layer with weights, so nothing comes before its logits")
        layer = layer.input._keras_history.operation
    return keras.Model(model.inputs, (layer.input, layer.output))


def write_embeddings(
    directory: Path,
    model: keras.Model,
    batches: Iterable[tuple[Any, Any]],
    names: Sequence[str],
    pictures: Iterable[np.ndarray],
) -> int:
    """Write embeddings for TensorBoard's projector into `directory`; return how many.

    Images with NaN or infinite embeddings are left out; if none remain, nothing is written.

    Args:
        directory: of an event file, where the projector looks for them.
        model: functional, of one output: the main head.
        batches: `(images [N, H, W, C] as the model takes them, targets [N, K])`.
        names: of the K classes.
        pictures: uint8 `[h, w, 1 or 3]` of each image, in the same order.
    """
    points, labels, logits = _embed(features(model), batches)
    kept = np.isfinite(points).all(axis=1) & np.isfinite(logits).all(axis=1)
    if not kept.any():
        return 0
    directory.mkdir(parents=True, exist_ok=True)
    # As text: of a binary file the projector would try to read all-zero points, of a dead network, as text.
    np.savetxt(directory / _FILES["tensor"], points[kept], fmt="%.4g", delimiter="\t")
    _write_metadata(directory / _FILES["metadata"], labels[kept], logits[kept], names)
    shown = [_thumbnail(picture) for picture, keep in zip(pictures, kept, strict=True) if keep]
    side = _write_sprite(directory / _FILES["sprite"], shown)
    _write_config(directory, points[kept].shape, side)
    return int(kept.sum())


def _embed(model: keras.Model, batches: Iterable[tuple[Any, Any]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return points `[N, D]`, true classes `[N]` and logits `[N, K]`."""
    run = tf.function(lambda images: model(images, training=False), reduce_retracing=True)
    points: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    logits: list[np.ndarray] = []
    for images, targets in batches:
        for found, values in zip((points, logits), run(images), strict=True):
            found.append(np.reshape(values, (len(values), -1)).astype(np.float32))
        labels.append(np.argmax(targets, axis=1))
    return np.concatenate(points), np.concatenate(labels), np.concatenate(logits)


def _write_metadata(path: Path, labels: np.ndarray, logits: np.ndarray, names: Sequence[str]) -> None:
    predicted, probabilities = logits.argmax(axis=1), tf.nn.softmax(logits).numpy().max(axis=1)
    lines = ["true\tpredicted\toutcome\tprobability"]
    for true, said, probability in zip(labels.tolist(), predicted.tolist(), probabilities.tolist(), strict=True):
        outcome = "right" if true == said else "wrong"
        lines.append(f"{_cell(names[true])}\t{_cell(names[said])}\t{outcome}\t{probability:.4f}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _cell(name: str) -> str:
    """Return a name without tabs and line breaks, which separate cells."""
    return " ".join(name.split()) or "–"


def _thumbnail(pixels: np.ndarray) -> Any:
    from PIL import Image

    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).convert("RGB")
    picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
    return picture


def _write_sprite(path: Path, thumbnails: Sequence[Any]) -> int:
    """Write all pictures as one square sheet, row by row; return the pixels of one's side."""
    from PIL import Image

    across = math.ceil(math.sqrt(len(thumbnails)))
    side = min(max(max(picture.size) for picture in thumbnails), _SPRITE // across)
    sheet = Image.new("RGB", (across * side, across * side), "white")
    for place, picture in enumerate(thumbnails):
        picture.thumbnail((side, side))
        left, top = place % across * side, place // across * side
        sheet.paste(picture, (left + (side - picture.width) // 2, top + (side - picture.height) // 2))
    sheet.save(path, "PNG")
    return side


def _write_config(directory: Path, shape: tuple[int, ...], side: int) -> None:
    from tensorboard.plugins import projector

    config = projector.ProjectorConfig()
    embedding: Any = config.embeddings.add()
    embedding.tensor_name = NAME
    embedding.tensor_shape.extend(shape)
    embedding.tensor_path = _FILES["tensor"]
    embedding.metadata_path = _FILES["metadata"]
    embedding.sprite.image_path = _FILES["sprite"]
    embedding.sprite.single_image_dim.extend([side, side])
    projector.visualize_embeddings(str(directory), config)
