"""TensorBoard's PROJECTOR page: where the network puts images just before it decides, their classes and pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

NAME = "penultimate"
_BATCH = 64
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
    images: np.ndarray,
    labels: Sequence[int],
    names: Sequence[str],
    pictures: Sequence[np.ndarray],
) -> int:
    """Write embeddings for TensorBoard's projector into `directory`; return how many.

    Images with NaN or infinite embeddings are left out; if none remain, nothing is written.

    Args:
        directory: of an event file, where the projector looks for them.
        model: functional, of one output: the main head.
        images: what the model takes, `[N, H, W, C]`.
        labels: true classes.
        names: of the classes.
        pictures: uint8 `[h, w, 1 or 3]` of each image.
    """
    points, predicted, probability = _embed(features(model), images)
    kept = np.flatnonzero(np.isfinite(points).all(axis=1) & np.isfinite(probability))
    if not kept.size:
        return 0
    rows = [(names[labels[i]], names[predicted[i]], labels[i] == predicted[i], probability[i]) for i in kept.tolist()]
    directory.mkdir(parents=True, exist_ok=True)
    # As text: of a binary file the projector would try to read all-zero points, of a dead network, as text.
    np.savetxt(directory / _FILES["tensor"], points[kept], fmt="%.4g", delimiter="\t")
    _write_metadata(directory / _FILES["metadata"], rows)
    side = _write_sprite(directory / _FILES["sprite"], [pictures[i] for i in kept.tolist()])
    _write_config(directory, points[kept].shape, side)
    return int(kept.size)


def _embed(model: keras.Model, images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return points float32 `[N, D]`, predicted classes `[N]` and their probabilities `[N]`."""
    run = tf.function(lambda batch: model(batch, training=False), reduce_retracing=True)
    points, logits = [], []
    for start in range(0, len(images), _BATCH):
        batch = images[start : start + _BATCH]
        found, scores = run(tf.constant(batch))
        points.append(np.reshape(found, (len(batch), -1)).astype(np.float32))
        logits.append(np.reshape(scores, (len(batch), -1)).astype(np.float32))
    probabilities = tf.nn.softmax(np.concatenate(logits)).numpy()
    return np.concatenate(points), probabilities.argmax(axis=1), probabilities.max(axis=1)


def _write_metadata(path: Path, rows: Sequence[tuple[str, str, bool, float]]) -> None:
    lines = ["true\tpredicted\toutcome\tprobability"]
    for true, predicted, right, probability in rows:
        lines.append(f"{_cell(true)}\t{_cell(predicted)}\t{'right' if right else 'wrong'}\t{probability:.4f}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _cell(name: str) -> str:
    """Return a name without tabs and line breaks, which separate cells."""
    return " ".join(name.split()) or "–"


def _write_sprite(path: Path, pictures: Sequence[np.ndarray]) -> int:
    """Write all pictures as one square sheet, row by row; return the pixels of one's side."""
    from PIL import Image

    across = int(np.ceil(np.sqrt(len(pictures))))
    largest = max(max(picture.shape[:2]) for picture in pictures)
    side = max(1, min(_THUMBNAIL, largest, _SPRITE // across))
    sheet = Image.new("RGB", (across * side, across * side), "white")
    for place, pixels in enumerate(pictures):
        picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).convert("RGB")
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
