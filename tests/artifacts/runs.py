"""Runs on photographs, made through the real parts but with random weights: training them would show nothing more."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import skimage.data
from PIL import Image

from kerasnets import config as configs
from kerasnets import models
from kerasnets.data import sources
from kerasnets.data.preprocessing import fit
from kerasnets.run import Run

PHOTOS = ("astronaut", "cat", "coffee", "rocket")
SIZE = 24
RESNET = {"name": "resnet20", "blocks": [1, 1, 1]}
GOOGLENET = {"name": "googlenet", "width": 0.1}


def write_photos(root: Path, per_class: int = 10) -> Path:
    """Write cuttings of four photographs in many sizes, JPEG and PNG in turn, as `root/<class>/…`."""
    draw = np.random.default_rng(3)
    for name in PHOTOS:
        photo = getattr(skimage.data, name)()
        (root / name).mkdir(parents=True)
        for number in range(per_class):
            height, width = draw.integers(30, 120, 2)
            top, left = (
                draw.integers(0, room - size) for room, size in zip(photo.shape, (height, width), strict=False)
            )
            cutting = Image.fromarray(photo[top : top + height, left : left + width])
            cutting.save(root / name / f"{number}.{('png', 'jpg')[number % 2]}")
    return root


def make_run(path: Path, photos: Path, model: dict[str, Any], **sections: dict[str, Any]) -> Run:
    """Make the directory of a run on `photos` as training leaves it, with random weights and no metrics."""
    data = {"source": "folder", "path": str(photos), "image_size": SIZE, "channels": 3, **sections.pop("data", {})}
    config = configs.check({"name": "photos", "model": model, "data": data, **sections}, "test")
    dataset = sources.load(config.data, seed=config.seed)
    run = Run.create(config, path)
    run.write_labels(dataset.class_names)
    fit(config.data, dataset, config.seed).save(run.path)
    keras.utils.set_random_seed(1)
    network = models.build(config.model.name, (SIZE, SIZE, 3), len(dataset.class_names), **config.model.options)
    for variable in network.trainable_variables:  # larger than at the start of training, so that answers differ
        variable.assign(variable * 1.5)
    network.save(run.path / "model.keras")
    network.trainable_variables[0].assign(network.trainable_variables[0] * 1.1)
    network.save(run.last_model_file)
    return run
