"""The formats that a model is published in: one protocol, one module each.

What opens artefacts is a module that imports nothing of kerasnets, and nothing but NumPy and its own runtime when it
opens one: the fresh process of `verify` loads it alone, from its file, with kerasnets made unimportable.
"""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from kerasnets.artifacts.formats import litert, litert_int8, onnx, onnx_int8, openvino, savedmodel, web, web_int8
from kerasnets.errors import UserError

if TYPE_CHECKING:
    from kerasnets.artifacts.graph import Graph


class Runner(Protocol):
    """An opened artefact: raw pixels in, probabilities out."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in order, as the artefact itself carries them."""

    @property
    def signatures(self) -> Mapping[str, Any]:
        """Endpoint -> {"inputs": {name: {"dtype": …, "shape": […]}}, "outputs": {…}}; None for a dynamic dimension."""

    def outputs(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Map raw pixels `[N, H, W, C]` 0..255 to every output of the `image` endpoint, by its name."""

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Map raw pixels `[N, H, W, C]` 0..255 to probabilities float32 `[N, K]`: one of `outputs`."""


class EncodedRunner(Runner, Protocol):
    """A runner whose artefact decodes image files itself (the `bytes` endpoint)."""

    def encoded(self, files: Sequence[bytes]) -> dict[str, np.ndarray]:
        """Map N encoded images to `probabilities` `[N, K]`, `classes` and `scores` (both `[N, K]`, best first)."""


class Format(Protocol):
    """What each module here provides."""

    READER: str
    """File of the module whose `read(path)` opens the artefact, for the fresh process."""
    NAME: str
    """As users write it in `--formats`."""
    FILE: str
    """The file by which the format is known in a version's directory: a path in it."""
    ENDPOINTS: tuple[str, ...]
    """Which of `image`, `bytes`, `explain` and `evidence` it has, where the model allows the last two."""
    TOLERANCE: float
    """Largest absolute difference of a probability from the Keras model's. Of a lossy format: by how much more than
    twice what it does at their own size its answers may differ for images of another, as `compare.distance` has it."""
    LOSSY: bool
    """Answers differ by design: not its probabilities are held to the Keras model's but its accuracy, by the gate."""
    NEEDS: tuple[str, str] | None
    """Package that is not among kerasnets' own requirements, as it is imported, and the extra that installs it."""
    INDEPENDENT_OF: tuple[str, ...]
    """Top-level packages without which an artefact must open and run."""

    def write(self, graph: "Graph", directory: Path) -> None:
        """Write the artefact into `directory`."""

    def open(self, directory: Path) -> Runner:
        """Open the artefact in `directory`."""

    def names(self, directory: Path) -> list[str]:
        """Return the names of all nodes and weights that the artefact holds."""


FORMATS: dict[str, Format] = {
    module.NAME: module for module in (savedmodel, onnx, onnx_int8, litert, litert_int8, openvino, web)
}
"""In the order in which they are written: a later one may read what an earlier one wrote."""


def as_written(name: str, directory: Path) -> Format:
    """Return the format of that name as a version has it: a web folder's network may be the int8 one."""
    small = name == web.NAME and (directory / onnx_int8.FILE).is_file()
    return cast(Format, web_int8) if small else FORMATS[name]


def is_installed(form: Format) -> bool:
    """Say whether the package which runs a format is there."""
    return form.NEEDS is None or find_spec(form.NEEDS[0]) is not None


def check_installed(form: Format) -> None:
    """See that the package which runs a format is there.

    Raises:
        UserError: it is not; says how to install it.
    """
    if form.NEEDS is not None and not is_installed(form):
        package, extra = form.NEEDS[0].replace("_", "-"), form.NEEDS[1]
        raise UserError(f"the format {form.NAME} needs {package}; install it with: pip install 'kerasnets[{extra}]'")
