"""The weights that training begins with: which they are, and the pixels that they were trained on."""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras

from kerasnets import config as configs
from kerasnets.config import Config
from kerasnets.console import err
from kerasnets.data.preprocessing import CONSTANTS, Preprocessing
from kerasnets.durable import sha256
from kerasnets.errors import UserError, nearest
from kerasnets.models import pretrained
from kerasnets.models.pretrained import Loaded

NAME = "pretrained.json"
STATES = ("loaded", "adapted", "initial")
_NOTES = 8
"""Reasons that are told; the file has all."""


@dataclass(frozen=True)
class Weights:
    """Weights that were read into the network.

    Attributes:
        given: `model.pretrained`.
        loaded: what became of each tensor.
        sha256: of the file.
        preprocessing: of the run that they are of, where it is beside them.
    """

    given: Path
    loaded: Loaded
    sha256: str
    preprocessing: Preprocessing | None

    @property
    def normalize(self) -> str | None:
        """What `data.normalize` is to be, as far as the file or its run says."""
        return "pretrained" if self.preprocessing is not None else self.loaded.normalize

    def summary(self) -> dict[str, Any]:
        """Return whence the weights are and how many tensors were loaded, adapted or left at initialisation."""
        counts = Counter(tensor.state for tensor in self.loaded.tensors)
        return {
            **{"path": str(self.given), "sha256": self.sha256, "family": self.loaded.family},
            **{state: counts[state] for state in STATES},
            "unused": len(self.loaded.unused),
        }

    def document(self) -> dict[str, Any]:
        """Return the content of pretrained.json: every tensor of the network, and those of the file that it has not."""
        tensors = [asdict(tensor) for tensor in self.loaded.tensors]
        names = {"normalize": self.normalize, "tensors": tensors, "unused_names": list(self.loaded.unused)}
        return self.summary() | names

    def notes(self) -> list[str]:
        """Return a line for each reason why tensors were adapted or left at initialisation, with the first of them."""
        reasons: dict[tuple[str, str], list[str]] = {}
        for tensor in self.loaded.tensors:
            if tensor.note:
                reasons.setdefault((tensor.state, tensor.note), []).append(tensor.name)
        lines = [
            f"{state}: {note} ({names[0]}{f' and {len(names) - 1:,} more' if len(names) > 1 else ''})"
            for (state, note), names in reasons.items()
        ]
        return lines[:_NOTES] + ([f"and {len(lines) - _NOTES} more: {NAME}"] if len(lines) > _NOTES else [])

    def __str__(self) -> str:
        found = self.summary()
        total = len(self.loaded.tensors)
        unused = f"; {found['unused']:,} in the file are not used" if found["unused"] else ""
        return (
            f"weights of {self.given} ({self.loaded.family}): {found['loaded']:,} of {total:,} tensors loaded, "
            f"{found['adapted']:,} adapted, {found['initial']:,} left at initialisation{unused}"
        )


def read(config: Config, net: keras.Model) -> Weights | None:
    """Copy the weights that the config names, if any, into a plain network.

    Raises:
        UserError: there are none, or too few of them fit.
    """
    path = config.model.pretrained
    if path is None:
        return None
    if not path.exists():
        there = [found.name for found in path.parent.iterdir()] if path.parent.is_dir() else []
        raise UserError(f"model.pretrained: {path} does not exist{nearest(path.name, there)}")
    loaded = pretrained.load(net, path)
    file = path / "model.keras" if path.is_dir() else path
    return Weights(path, loaded, sha256(file), _preprocessing(path))


def _preprocessing(path: Path) -> Preprocessing | None:
    """Return that of the run which weights are of: of its directory, or of a .keras file in it."""
    home = path if path.is_dir() else path.parent
    own = path.is_dir() or path.suffix == ".keras"
    return Preprocessing.load(home) if own and (home / "preprocessing.json").is_file() else None


def with_normalization(config: Config, weights: Weights | None) -> Config:
    """Return the config with `data.normalize=auto` resolved to what the weights were trained with.

    Where the user has set something else it stays, with a warning: batch normalisation may well make up for it.

    Raises:
        UserError: `pretrained` is wanted, and there is no preprocessing.json beside the weights.
    """
    given, wanted = config.data.normalize, weights.normalize if weights is not None else "dataset"
    if weights is not None and given == "pretrained" and weights.preprocessing is None:
        raise UserError(f"data.normalize=pretrained: there is no preprocessing.json beside {weights.given}")
    if given == "auto":
        if wanted is None and weights is not None:
            _say(f"{weights.given} does not say how its images were normalised: data.normalize=dataset")
        return configs.update(config, data={"normalize": wanted or "dataset"})
    if weights is not None and wanted not in (None, given) and not _same(given, weights.preprocessing):
        _say(f"data.normalize={given}: the weights of {weights.given} {_trained_with(weights)}; leave it out for that")
    return config


def _same(normalize: str, other: Preprocessing | None) -> bool:
    """Tell whether a word stands for the very numbers of a run."""
    if other is None or other.mean_image is not None or normalize not in CONSTANTS or other.channels != 3:
        return False
    return (other.mean, other.std) == CONSTANTS[normalize]


def _trained_with(weights: Weights) -> str:
    own = weights.preprocessing
    if own is None:
        return f"were trained with data.normalize={weights.normalize}"
    return f"were trained on pixels {', '.join(own.describe().rstrip('.').split('; ')[-2:])}"


def _say(words: str) -> None:
    err.print(words, style="yellow")
