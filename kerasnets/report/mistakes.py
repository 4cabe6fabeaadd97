"""The worst mistakes as pictures: the images that the network is most sure of, and wrong."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from kerasnets.data import sources
from kerasnets.data.raw import picture
from kerasnets.data.sources import Split
from kerasnets.errors import UserError
from kerasnets.report.material import Predictions
from kerasnets.run import Run

MOST = 24
_SIDE = 128
"""Pixels of a picture's longer side, at most."""


@dataclass(frozen=True)
class Mistake:
    """An image that was taken for another class.

    Attributes:
        example: Its id.
        picture: A `data:` URI of a PNG file.
        small: Whether it has so few pixels that each is shown as a square.
        label: The true class.
        predicted: The class that it was taken for.
        confidence: The probability of `predicted`.
        probability: The probability of `label`.
    """

    example: str
    picture: str
    small: bool
    label: str
    predicted: str
    confidence: float
    probability: float


def worst(run: Run, found: Predictions, labels: tuple[str, ...]) -> list[Mistake]:
    """Return the mistakes of most confidence, worst first.

    Raises:
        UserError: the data set is not where it was.
        DecodeError: an image cannot be read any more.
    """
    wrong = np.flatnonzero(~found.right)
    order = wrong[np.argsort(-found.confidence[wrong], kind="stable")][:MOST]
    if not order.size:
        return []
    split = sources.load(run.config.data, seed=run.config.seed).split(found.split)
    wanted = {found.ids[place] for place in order}
    index = {example: place for place, example in enumerate(split.ids) if example in wanted}
    missing = [found.ids[place] for place in order if found.ids[place] not in index]
    if missing:
        raise UserError(f"the data set has changed since: it has no {missing[0]} in its {found.split} split")
    return [_mistake(split, index[found.ids[place]], found, int(place), labels) for place in order]


def _mistake(split: Split, index: int, found: Predictions, place: int, labels: tuple[str, ...]) -> Mistake:
    image = picture(split, index)
    return Mistake(
        found.ids[place],
        _uri(image),
        max(image.size) < _SIDE,
        labels[found.labels[place]],
        labels[found.predicted[place]],
        float(found.confidence[place]),
        float(found.probability[place]),
    )


def _uri(image: Image.Image) -> str:
    image.thumbnail((_SIDE, _SIDE))
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
