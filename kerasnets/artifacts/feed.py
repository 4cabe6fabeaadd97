"""How a client hands raw pixels to an artefact: what `export.static_shape` and `export.input_dtype` leave to it."""

from dataclasses import dataclass
from types import ModuleType
from typing import Any, Self

import numpy as np

from kerasnets.config import Export
from kerasnets.data.preprocessing import Preprocessing


@dataclass(frozen=True)
class Feed:
    """The kind of input that an artefact takes: float32 pixels of any size, unless its config asked otherwise.

    With `static` the client resizes and the artefact only normalises.
    """

    dtype: str = "float32"
    static: bool = False

    @classmethod
    def of(cls, export: Export) -> Self:
        """Return the feed that a config's `export` section asks for."""
        return cls(export.input_dtype, export.static_shape)

    def shape(self, preprocessing: Preprocessing) -> list[int | None]:
        """Return the input's shape `[N, H, W, C]`; None for what is dynamic."""
        size = preprocessing.image_size if self.static else (None, None)
        return [None, *size, preprocessing.channels]

    def prepare(self, images: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
        """Return the artefact's input for raw pixels `[N, H, W, C]` 0..255: the client's half of preprocessing."""
        pixels = preprocessing.resized(images.astype(np.float32), np) if self.static else images
        if self.dtype == "uint8":
            pixels = np.rint(np.clip(pixels, 0, 255))
        return np.ascontiguousarray(pixels, dtype=self.dtype)

    def finish(self, inputs: Any, preprocessing: Preprocessing, xp: ModuleType) -> Any:
        """Return the model's input for what `prepare` returned, as float32: the artefact's half."""
        return preprocessing.normalize(inputs) if self.static else preprocessing.apply(inputs, xp)
