"""Where a model looks, on a run (any layer) or a published SavedModel (the layer chosen at export)."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kerasnets.artifacts import store
from kerasnets.artifacts.formats import savedmodel
from kerasnets.artifacts.manifest import Manifest
from kerasnets.console import import_tensorflow
from kerasnets.data import decode
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.errors import UserError, nearest
from kerasnets.gradcam import overlay
from kerasnets.inference.predict import Failure, read_image
from kerasnets.inference.subject import open_runner
from kerasnets.run import Run

_BEST = -1
_TOP = 5


@dataclass(frozen=True)
class Explanation:
    """Why an image was given a class.

    Attributes:
        path: Of the image.
        image: uint8 `[H, W, 3]`, upright.
        heat: float32 `[H, W]` in 0..1 over the image; NaN where the model did not look (outside a central crop).
        label: The class that is explained.
        probability: Its.
        classes: The best classes with their probabilities, best first.
        unknown: Whether the best probability is too low for an answer; None of a model that always answers.
    """

    path: str
    image: np.ndarray
    heat: np.ndarray
    label: str
    probability: float
    classes: tuple[tuple[str, float], ...]
    unknown: bool | None = None

    @property
    def heading(self) -> str:
        """The class that is explained, and before it that the image is unknown where it is."""
        if not self.unknown:
            return self.label
        return f"unknown; nearest is {self.label}" if self.label == self.classes[0][0] else f"unknown; {self.label}"

    def document(self, file: Path) -> dict[str, Any]:
        """Return what `explain --json` prints of it."""
        classes = [{"label": label, "probability": probability} for label, probability in self.classes]
        return {
            **{"path": self.path, "file": str(file), "class": self.label, "probability": self.probability},
            "classes": classes,
            **({} if self.unknown is None else {"unknown": self.unknown}),
        }


class Maps(NamedTuple):
    """A model's answer to an image and a class: evidence `[h, w]`, probabilities `[K]`, whether unknown."""

    heat: np.ndarray
    probabilities: np.ndarray
    unknown: bool | None = None


class Explainer:
    """A model, opened to explain its answers.

    Attributes:
        name: Of the run or the version.
        layer: By whose features it explains; None for a version, whose layer was chosen at export.
    """

    def __init__(
        self,
        name: str,
        layer: str | None,
        labels: tuple[str, ...],
        preprocessing: Preprocessing,
        maps: Callable[[np.ndarray, np.ndarray], Maps],
    ) -> None:
        """Take what answers raw pixels `[1, H, W, C]` and a class int32 `[1]`."""
        self.name, self.layer, self.labels = name, layer, labels
        self._preprocessing, self._maps = preprocessing, maps

    def index(self, label: str | None) -> int:
        """Return the place of a class; -1, for the best of each image, without one.

        Raises:
            UserError: there is no such class.
        """
        if label is None:
            return _BEST
        if label not in self.labels:
            raise UserError(f"--class {label} is not a class of {self.name}{nearest(label, self.labels)}")
        return self.labels.index(label)

    def __call__(self, paths: Iterable[str], label: str | None = None) -> Iterator[Explanation | Failure]:
        """Yield an explanation or a failure for each path, in order."""
        wanted = self.index(label)
        for path in paths:
            found = read_image(path, 3)
            yield found if isinstance(found, Failure) else self.explain(found.path, found.pixels, wanted)

    def explain(self, path: str, image: np.ndarray, wanted: int = _BEST) -> Explanation:
        """Explain an image, uint8 `[H, W, 3]`, by the evidence for class `wanted` (-1: the best)."""
        pixels = decode.with_channels(image, self._preprocessing.channels)[np.newaxis]
        found, probabilities, unknown = self._maps(pixels, np.array([wanted], np.int32))
        order = np.argsort(-probabilities, kind="stable")
        shown = int(order[0]) if wanted == _BEST else wanted
        return Explanation(
            path,
            image,
            overlay.on_image(found, self._preprocessing, image.shape[:2]),
            self.labels[shown],
            float(probabilities[shown]),
            tuple((self.labels[i], float(probabilities[i])) for i in order[:_TOP]),
            unknown,
        )


def open_explainer(path: Path, layer: str | None = None) -> Explainer:
    """Open a run, or a MODEL-DIR that holds a SavedModel.

    Raises:
        UserError: it is neither, cannot be explained, or has no such layer.
        CheckFailed: a file of the version is not the one that was published.
    """
    return _of_run(Run.open(path), layer) if (path / "config.yaml").is_file() else _of_version(path, layer)


def _of_run(run: Run, layer: str | None) -> Explainer:
    import_tensorflow()
    import tensorflow as tf

    from kerasnets.artifacts.graph import load
    from kerasnets.gradcam import layers
    from kerasnets.gradcam.heatmaps import heatmaps

    model, preprocessing = load(run)[1], Preprocessing.load(run.path)
    name = layers.choose(model, layer)
    function = tf.function(lambda inputs, classes: heatmaps(model, name, inputs, classes), reduce_retracing=True)

    def maps(pixels: np.ndarray, classes: np.ndarray) -> Maps:
        found, logits = function(tf.constant(preprocessing.apply(pixels.astype(np.float32), np)), tf.constant(classes))
        return Maps(found.numpy()[0], tf.nn.softmax(logits).numpy()[0])

    return Explainer(run.path.name, name, run.labels, preprocessing, maps)


def _of_version(path: Path, layer: str | None) -> Explainer:
    manifest = Manifest.read(store.resolve(path))
    again = "explain the run, or export it again"
    if savedmodel.NAME not in manifest.formats:
        there = ", ".join(manifest.formats)
        raise UserError(f"{manifest.directory} holds {there}, and only a SavedModel explains its answers; {again}")
    if "explain" not in manifest.document["inputs"]:
        raise UserError(f"{manifest.directory} was exported without the signature 'explain'; {again}")
    if layer is not None:
        raise UserError(f"--layer {layer} goes with a run; the layer of {manifest.directory} was chosen at export")
    manifest.check_files()
    runner: Any = open_runner(manifest, savedmodel.NAME)
    preprocessing, feed = Preprocessing.load(manifest.directory), manifest.feed

    def maps(pixels: np.ndarray, classes: np.ndarray) -> Maps:
        outputs = runner.explained(feed.prepare(pixels, preprocessing), classes)
        unknown = bool(outputs["unknown"][0]) if "unknown" in outputs else None
        return Maps(outputs["heatmaps"][0], outputs["probabilities"][0], unknown)

    name = f"{manifest.document['name']}-{manifest.document['version']}"
    return Explainer(name, None, manifest.labels, preprocessing, maps)
