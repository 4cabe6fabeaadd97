"""Runs on photographs, made through the real parts but with random weights: training them would show nothing more."""

from pathlib import Path
from typing import Any

import keras
import pytest
from once import once
from photos import write_photos

from kerasnets import config as configs
from kerasnets import models
from kerasnets.data import sources
from kerasnets.data.preprocessing import fit
from kerasnets.run import Run

SIZE = 24
RESNET = {"name": "resnet20", "blocks": [1, 1, 1]}
GOOGLENET = {"name": "googlenet", "width": 0.1}


def make_run(path: Path, photos: Path, model: dict[str, Any], **sections: dict[str, Any]) -> Run:
    """Make the directory of a run on `photos` as training leaves it, with random weights and no metrics."""
    data = {"source": "folder", "path": str(photos), "image_size": SIZE, "channels": 3, **sections.pop("data", {})}
    config = configs.check({"name": "photos", "model": model, "data": data, **sections}, "test")
    dataset = sources.load(config.data, seed=config.seed)
    run = Run.create(config, path)
    run.write_labels(dataset.class_names)
    fit(config.data, dataset, config.seed).save(run.path)
    keras.utils.set_random_seed(1)
    size = config.data.image_size or (SIZE, SIZE)
    network = models.build(config.model.name, (*size, 3), len(dataset.class_names), **config.model.options)
    network.save(run.path / "model.keras")
    network.trainable_variables[0].assign(network.trainable_variables[0] * 1.1)
    network.save(run.last_model_file)
    return run


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of JPEG photographs with a folder per class, files of many sizes."""
    return once(tmp_path_factory, "photos", lambda path: write_photos(path, each=10))


@pytest.fixture(scope="session")
def photo_resnet(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Run:
    """A run of a small ResNet on photographs, with random weights; tests change copies."""
    return Run.open(once(tmp_path_factory, "photo-resnet", lambda path: make_run(path, photos, RESNET)))


@pytest.fixture(scope="session")
def photo_googlenet(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Run:
    """A run of a narrow GoogLeNet with three heads on photographs, with random weights."""
    return Run.open(once(tmp_path_factory, "photo-googlenet", lambda path: make_run(path, photos, GOOGLENET)))
