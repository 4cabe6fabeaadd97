"""A published version, opened to be served: checked against its manifest's hashes, and warm."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from kerasnets.artifacts.feed import Feed
from kerasnets.artifacts.formats import Runner
from kerasnets.artifacts.manifest import Manifest
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.errors import UserError
from kerasnets.inference.subject import open_runner
from kerasnets.serve.question import SORTED, Answer


@dataclass(frozen=True)
class Opened:
    """One version in one format."""

    name: str
    version: int
    form: str
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    feed: Feed
    outputs: dict[str, dict[str, Any]]
    """Of the artefact itself: name -> {"dtype": …, "shape": […]}."""
    runner: Runner

    @classmethod
    def open(cls, directory: Path, form: str, batch: int) -> Self:
        """Open `<store>/<name>/<version>` and compute one image and a batch, so that the first request does not wait.

        Raises:
            UserError: it cannot be read or computed, or does not hold that format.
            CheckFailed: a file is not the one that was published.
        """
        manifest = Manifest.read(directory)
        manifest.check_files()
        runner = open_runner(manifest, form)
        opened = cls(
            name=directory.parent.name,
            version=int(directory.name),
            form=form,
            labels=manifest.labels,
            preprocessing=Preprocessing.load(directory),
            feed=manifest.feed,
            outputs=dict(runner.signatures["image"]["outputs"]),
            runner=runner,
        )
        for count in (1, batch):
            opened._warm(count)
        return opened

    def _warm(self, count: int) -> None:
        images = np.zeros((count, *self.preprocessing.image_size, self.channels), np.uint8)
        try:
            self.compute([images])
        except Exception as error:  # a runtime's own
            raise UserError(
                f"{self.name} version {self.version}: {self.form} cannot compute images of the shape "
                f"{list(images.shape)}: {type(error).__name__}: {error}"
            ) from error

    @property
    def channels(self) -> int:
        """1 or 3."""
        return self.preprocessing.channels

    @property
    def all_outputs(self) -> dict[str, dict[str, Any]]:
        """The artefact's outputs and those that are worked out of them."""
        shape = [None, len(self.labels)]
        return {
            **self.outputs,
            **{SORTED[0]: {"dtype": "string", "shape": shape}, SORTED[1]: {"dtype": "float32", "shape": shape}},
        }

    def compute(self, parts: list[np.ndarray]) -> Answer:
        """Return the artefact's outputs for raw pixels `[n, H, W, C]` of one height and width, part after part."""
        ready = [self.feed.prepare(part, self.preprocessing) for part in parts]
        return self.runner.outputs(ready[0] if len(ready) == 1 else np.concatenate(ready))

    def sorted(self, probabilities: np.ndarray) -> Answer:
        """Return `classes` and `scores`, both `[N, K]`, best first."""
        order = np.argsort(-probabilities, axis=1, kind="stable")
        names = np.array(self.labels, dtype=object)[order]
        return {SORTED[0]: names, SORTED[1]: np.take_along_axis(probabilities, order, axis=1)}
