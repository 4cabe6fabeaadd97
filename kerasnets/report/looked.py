"""Where the network looked: the pictures that training left in the run directory, with their words."""

import base64
from dataclasses import dataclass
from pathlib import Path

from kerasnets.errors import UserError
from kerasnets.report.material import Material
from kerasnets.run import GRADCAM

_LARGEST = 2**20
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Look:
    """An image, and where the evidence for classes is in it.

    Attributes:
        example: Its id.
        picture: A `data:` URI of a PNG file, as are `said` and `true`.
        said: Evidence for the class that was said.
        true: Of a mistake, evidence for the true class; else None.
        label: The true class.
        predicted: The class that was said.
        confidence: The probability of `predicted`.
        probability: The probability of `label`.
    """

    example: str
    picture: str
    said: str
    true: str | None
    label: str
    predicted: str
    confidence: float
    probability: float


def all_of(material: Material) -> list[Look]:
    """Return what training left; nothing where there is nothing.

    Raises:
        UserError: a file is missing, or is no picture.
    """
    folder = material.run.path / GRADCAM
    found = []
    for number, one in enumerate(material.looked.get("examples", ())):
        wrong = one["label"] != one["predicted"]
        found.append(
            Look(
                one["id"],
                _uri(folder / f"{number}.png"),
                _uri(folder / f"{number}-said.png"),
                _uri(folder / f"{number}-is.png") if wrong else None,
                *(one["label"], one["predicted"], one["confidence"], one["probability"]),
            )
        )
    return found


def _uri(path: Path) -> str:
    if path.is_symlink() or not path.is_file() or path.stat().st_size > _LARGEST:
        raise UserError(f"{path} is missing, or is not the picture that training wrote")
    content = path.read_bytes()
    if not content.startswith(_PNG):
        raise UserError(f"{path} is no PNG file")
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"
