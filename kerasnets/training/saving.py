"""Writing a .keras file whole or not at all."""

from pathlib import Path

import keras

from kerasnets.durable import replacing


def save(model: keras.Model, path: Path) -> None:
    """Write a model aside, then rename it."""
    with replacing(path) as aside:
        model.save(aside)
