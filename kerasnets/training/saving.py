"""Writing a .keras file whole or not at all."""

import os
from pathlib import Path

import keras


def save(model: keras.Model, path: Path) -> None:
    """Write a model aside, then rename it."""
    aside = path.with_name(f".{path.name}.tmp.keras")
    model.save(aside)
    os.replace(aside, path)
