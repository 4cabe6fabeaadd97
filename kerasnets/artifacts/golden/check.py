"""What somebody says of the golden images, held against what is to be said. Imports no TensorFlow."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from kerasnets.artifacts.answers import margins
from kerasnets.artifacts.feed import Feed
from kerasnets.artifacts.golden.stored import Golden, sampled
from kerasnets.artifacts.process import ProcessRunner
from kerasnets.data import decode
from kerasnets.data.preprocessing import Preprocessing

PIXELS = 1.0
"""Grey levels, 0..255, by which a preprocessed pixel may differ."""
KEPT = 1 / 16
"""Grey levels by which a pixel that was kept as float16 may be off."""
PROBABILITIES = 1e-3
"""By which a probability may differ from Keras'; top-1 has to be the same unless the best two are within twice that."""
LOSSY = 0.05
"""By which a probability may differ from what the same file of 8-bit weights said when it was published."""


@dataclass(frozen=True)
class Difference:
    """How far answers are from what they should be.

    Attributes:
        largest: The largest difference of a value.
        where: The picture that has it.
        allowed: What `largest` may be.
        flipped: Pictures whose best class is another one, close calls aside.
    """

    largest: float
    where: str
    allowed: float
    flipped: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether all of it is allowed."""
        return self.largest <= self.allowed and not self.flipped

    @property
    def found(self) -> str:
        """What was found, in words."""
        words = f"{self.largest:.2g} for {self.where}"
        return words + f"; another top-1 for {', '.join(self.flipped)}" if self.flipped else words


def raw(pictures: Mapping[str, bytes], channels: int) -> list[np.ndarray]:
    """Return each picture's pixels `[1, H, W, channels]`, 0..255, as `predict` and `evaluate` decode them.

    Raises:
        DecodeError: one cannot be read; the message begins with its name.
    """
    found = []
    for name, content in pictures.items():
        try:
            found.append(decode.pillow(content, channels)[np.newaxis].astype(np.float32))
        except decode.DecodeError as error:
            raise decode.DecodeError(f"{name}: {error}") from error
    return found


def pixels(golden: Golden, found: Iterable[np.ndarray], *, allowed: float = PIXELS + KEPT) -> Difference:
    """Compare preprocessed pixels before normalisation, `[h, w, C]` 0..255 for each picture, with those kept."""
    kept = golden.pixels.astype(np.float32)
    worst = [np.abs(sampled(image) - row).max() for image, row in zip(found, kept, strict=True)]
    place = int(np.argmax(worst))
    return Difference(float(worst[place]), list(golden.pictures)[place], allowed)


def answers(
    runner: ProcessRunner, images: list[np.ndarray], feed: Feed, preprocessing: Preprocessing
) -> dict[str, np.ndarray]:
    """Return every output of the `image` endpoint for raw images `[1, H, W, C]`; those of one size go together."""
    fed = [feed.prepare(image, preprocessing) for image in images]
    together: dict[tuple[int, ...], list[int]] = {}
    for place, image in enumerate(fed):
        together.setdefault(image.shape, []).append(place)
    rows: dict[str, dict[int, np.ndarray]] = {}
    for places in together.values():
        for name, values in runner.outputs(np.concatenate([fed[place] for place in places])).items():
            rows.setdefault(name, {}).update(zip(places, values, strict=True))
    return {name: np.stack([found[place] for place in range(len(fed))]) for name, found in rows.items()}


def probabilities(
    names: Iterable[str], found: np.ndarray, expected: np.ndarray, allowed: float = PROBABILITIES
) -> Difference:
    """Compare probabilities float `[n, K]`."""
    listed = list(names)
    worst = np.abs(found - expected).max(axis=1)
    place = int(np.argmax(np.where(np.isnan(worst), np.inf, worst)))
    moved = (found.argmax(axis=1) != expected.argmax(axis=1)) & (margins(expected) > 2 * allowed)
    flipped = tuple(name for name, other in zip(listed, moved, strict=True) if other)
    largest = float(worst[place])
    return Difference(np.inf if np.isnan(largest) else largest, listed[place], allowed, flipped)
