"""Where the best weights look in some of the held-out images, as pictures for the report."""

import keras
import numpy as np
import tensorflow as tf

from kerasnets.console import err
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.data.raw import picture, raw_images
from kerasnets.gradcam import layers, overlay
from kerasnets.gradcam.heatmaps import heatmaps
from kerasnets.report.material import Material, Predictions
from kerasnets.run import GRADCAM, Run
from kerasnets.training.job import Job

MISTAKES, RIGHT = 6, 4
"""How many of the most confident wrong answers are shown, and of the right ones, those of different classes."""
SIDE = 160
"""Pixels of a picture's longer side."""


def write_overlays(run: Run, job: Job, model: keras.Model) -> None:
    """Write gradcam/: images with the evidence for the class that was said, of mistakes also for the true one.

    `model` is the main head's, of the best weights.

    A network without a layer that keeps places apart gets none. What goes wrong is told and costs the pictures alone:
    the run is finished.
    """
    found = Material(run).predictions
    if found is None:
        return
    try:
        _write(run, job, found, model)
    except Exception as error:  # whatever a layer of somebody's own does in a gradient that training did not take
        err.print(f"no Grad-CAM pictures: {type(error).__name__}: {error}")


def _write(run: Run, job: Job, found: Predictions, model: keras.Model) -> None:
    layer, chosen = layers.last(model), choose(found)
    if layer is None or not chosen:
        return
    split, channels = job.dataset.split(found.split), job.preprocessing.channels
    names = {found.ids[place] for place in chosen}
    indices = {example: index for index, example in enumerate(split.ids) if example in names}
    order = np.array([indices[found.ids[place]] for place in chosen])
    pixels = [image[np.newaxis].astype(np.float32) for image in raw_images(split, channels, order)]
    inputs = np.concatenate([job.preprocessing.apply(image, np) for image in pixels])
    wrong = [number for number, place in enumerate(chosen) if not found.right[place]]
    classes = [*found.predicted[chosen], *found.labels[chosen][wrong]]
    asked = tf.constant(np.concatenate([inputs, inputs[wrong]]))
    maps = heatmaps(model, layer, asked, tf.constant(classes, tf.int32))[0].numpy()
    (run.path / GRADCAM).mkdir(exist_ok=True)
    for number, index in enumerate(order.tolist()):
        drawn = {"said": maps[number]}
        if number in wrong:
            drawn["is"] = maps[len(chosen) + wrong.index(number)]
        image = np.asarray(picture(split, index))
        _draw(run, number, image if image.ndim == 3 else image[..., None], drawn, job.preprocessing)
    _describe(run, found, chosen, layer)


def choose(found: Predictions) -> list[int]:
    """Return places of the answers to show: the most confident mistakes, then right ones of different classes."""
    order = np.argsort(-found.confidence, kind="stable")
    wrong = [int(place) for place in order if not found.right[place]][:MISTAKES]
    right: dict[int, int] = {}
    for place in (int(place) for place in order if found.right[place]):
        right.setdefault(int(found.labels[place]), place)
    return [*wrong, *list(right.values())[:RIGHT]]


def _draw(run: Run, number: int, image: np.ndarray, maps: dict[str, np.ndarray], preprocessing: Preprocessing) -> None:
    scale = SIDE / max(image.shape[:2])
    size = (max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale)))
    shown = overlay.sized(image, *size)
    (run.path / GRADCAM / f"{number}.png").write_bytes(overlay.png(shown))
    for kind, heat in maps.items():
        over = overlay.sized_heat(overlay.on_image(heat, preprocessing, image.shape[:2]), *size)
        (run.path / GRADCAM / f"{number}-{kind}.png").write_bytes(overlay.png(overlay.lay_over(shown, over)))


def _describe(run: Run, found: Predictions, chosen: list[int], layer: str) -> None:
    labels = run.labels
    examples = [
        {
            "id": found.ids[place],
            "label": labels[found.labels[place]],
            "predicted": labels[found.predicted[place]],
            "confidence": float(found.confidence[place]),
            "probability": float(found.probability[place]),
        }
        for place in chosen
    ]
    run.write_json(f"{GRADCAM}/gradcam.json", {"split": found.split, "layer": layer, "examples": examples})
