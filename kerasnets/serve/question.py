"""A request, whichever protocol it came by: pixels or image files, and what is wanted of the answer."""

from dataclasses import dataclass

import numpy as np

from kerasnets.errors import nearest
from kerasnets.serve.refusals import Refused
from kerasnets.serve.room import Place

Answer = dict[str, np.ndarray]
"""Name of an output -> its values for all images, `[N, …]`."""

IMAGE, ENCODED = "image", "image_bytes"
"""The two inputs; a request has one of them."""
SORTED = ("classes", "scores")
"""Class names and their probabilities, best first: worked out here from the artefact's own output."""


@dataclass(frozen=True)
class Question:
    """What a client asks.

    Attributes:
        place: The memory that the request holds.
        pixels: Raw pixels `[N, H, W, C]` 0..255, uint8 or float32; None with image files.
        encoded: Contents of image files; empty with pixels.
        outputs: Names of those wanted.
    """

    place: Place
    pixels: np.ndarray | None
    encoded: tuple[bytes, ...]
    outputs: tuple[str, ...]


def wanted(names: list[str], there: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of outputs, each once.

    Raises:
        Refused: one is not `there`.
    """
    for name in names:
        if name not in there:
            raise Refused(f"there is no output '{name:.60}', only {', '.join(there)}{nearest(name, there)}")
    return tuple(dict.fromkeys(names))


def check_count(count: int, most: int) -> None:
    """Raise Refused unless there are 1 to `most` images."""
    if count < 1:
        raise Refused("the request holds no image")
    if count > most:
        raise Refused(f"{count:,} images; a request may hold {most:,}")
