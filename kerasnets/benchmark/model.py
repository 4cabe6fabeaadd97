"""How fast a version's artefacts and Keras itself answer, in turns, each in a process of its own."""

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kerasnets.artifacts import safety
from kerasnets.artifacts.formats import FORMATS, is_installed, savedmodel
from kerasnets.artifacts.manifest import Manifest
from kerasnets.artifacts.process import ProcessRunner
from kerasnets.benchmark import keras_reader, turns
from kerasnets.console import progress
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.errors import UserError
from kerasnets.inference.evaluate import evaluate
from kerasnets.inference.subject import Subject
from kerasnets.run import Run

KERAS = keras_reader.NAME
_WARM_UP = 2
_LEAST_ROUNDS = 10


@dataclass(frozen=True)
class Row:
    """What was measured of one artefact at one batch size.

    Attributes:
        form: Its format, or "keras".
        batch: Images of a call.
        rounds: Calls that were timed.
        p50: Median seconds of a call.
        p99: 99th percentile of them; of fewer than 100 rounds, close to the slowest.
        images_per_second: At the median.
        ratio: Median over the rounds of Keras' seconds by this one's; None without Keras.
        peak: Most memory that the process has held up to here, in bytes; batches grow.
    """

    form: str
    batch: int
    rounds: int
    p50: float
    p99: float
    images_per_second: float
    ratio: float | None
    peak: int


@dataclass(frozen=True)
class Artefact:
    """What does not depend on the batch.

    Attributes:
        bytes: On disk.
        accuracy: On the validation split, or on the data that were named.
        images: That it was measured on; None where it is not known.
    """

    bytes: int
    accuracy: float | None
    images: int | None


@dataclass(frozen=True)
class Result:
    """All that was measured."""

    manifest: Manifest
    image_size: tuple[int, int]
    rows: tuple[Row, ...]
    artefacts: Mapping[str, Artefact]
    left_out: Mapping[str, str]
    """What was not measured, and why."""

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "path": str(self.manifest.directory),
            "image_size": list(self.image_size),
            "artefacts": {name: asdict(found) for name, found in self.artefacts.items()},
            "rows": [asdict(row) for row in self.rows],
            "left_out": dict(self.left_out),
        }


def measure(
    manifest: Manifest,
    *,
    batches: Sequence[int] = (1, 8, 32),
    rounds: int = 100,
    image_size: tuple[int, int] | None = None,
    accuracy: bool = False,
    data: Sequence[str] = (),
) -> Result:
    """Time every artefact of a version, and Keras' `predict` on the run that it was exported from.

    They answer the same images in turns, A B C, C B A, …: what slows the machine down slows all of them.

    Args:
        manifest: Of the version.
        batches: Images of a call.
        rounds: Calls of each at batch 1; of larger batches fewer, by the root of the batch, and 10 at least.
        image_size: Height and width of the images, which are noise; default: what the model was trained on.
        accuracy: Measure it on the validation split; else it is what verification found before publication.
        data: Measure it on these data instead, as `evaluate --data` has them.

    Raises:
        UserError: nothing of the version can be run here, or its input has another size.
        CheckFailed: a file is not the one that was published, or an artefact fails.
    """
    manifest.check_files()
    preprocessing = Preprocessing.load(manifest.directory)
    size = image_size or preprocessing.image_size
    if manifest.feed.static and size != preprocessing.image_size:
        height, width = preprocessing.image_size
        raise UserError(f"--image-size: {manifest.directory} takes images of {height}x{width} alone")
    forms, left_out = _forms(manifest)
    with ExitStack() as stack:
        runners = {name: stack.enter_context(ProcessRunner(*opened)) for name, opened in forms.items()}
        rows: list[Row] = []
        for batch in sorted(set(batches)):
            images = _noise(manifest, preprocessing, (batch, *size))
            rows += _rows(runners, images, max(_LEAST_ROUNDS, math.ceil(rounds / math.sqrt(batch))))
        artefacts = {}
        for name, runner in runners.items():
            measured = _accuracy(manifest, preprocessing, name, runner, data) if accuracy or data else None
            artefacts[name] = Artefact(_size(name, *forms[name]), *(measured or _known(manifest, name)))
    return Result(manifest, size, tuple(rows), artefacts, left_out)


def _forms(manifest: Manifest) -> tuple[dict[str, tuple[Any, Path]], dict[str, str]]:
    """Return what can be run, each with its directory, and why the rest cannot."""
    forms: dict[str, tuple[Any, Path]] = {}
    left_out: dict[str, str] = {}
    run = Path(str(manifest.document["run"].get("path", "/")))
    if (reason := _not_its_run(run, manifest)) is None:
        forms[KERAS] = (keras_reader, run)
    else:
        left_out[KERAS] = reason
    for name in manifest.formats:
        form = FORMATS.get(name)
        if form is None:
            left_out[name] = "this kerasnets does not know the format"
        elif form.NEEDS is not None and not is_installed(form):
            package, extra = form.NEEDS
            left_out[name] = f"needs {package.replace('_', '-')}: pip install 'kerasnets[{extra}]'"
        else:
            forms[name] = (form, manifest.directory)
    if not forms.keys() - {KERAS}:
        raise UserError(f"{manifest.directory}: nothing of it can be run here; {'; '.join(left_out.values())}")
    for name in forms.keys() - {KERAS}:
        safety.ensure(FORMATS[name], manifest.directory)
    return forms, left_out


def _not_its_run(run: Path, manifest: Manifest) -> str | None:
    """Say why the directory is not that of the run that a version was exported from; None where it may be."""
    if not (run / keras_reader.FILE).is_file():
        return f"the run that it was exported from is not at {run} any more"
    try:
        found = Run.open(run)
    except UserError as error:
        return str(error)
    return None if found.labels == manifest.labels else f"the run at {run} has other classes now"


def _noise(manifest: Manifest, preprocessing: Preprocessing, shape: tuple[int, int, int]) -> np.ndarray:
    """Return images `[N, H, W, C]` as the version's input takes them."""
    noise = np.random.default_rng(0).integers(0, 256, (*shape, preprocessing.channels))
    return noise.astype(manifest.feed.dtype)


def _rows(runners: Mapping[str, ProcessRunner], images: np.ndarray, rounds: int) -> list[Row]:
    """Time calls of all runners in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in runners}
    peaks: dict[str, int] = {}
    with progress(f"batch {len(images)}", total=rounds) as advance:
        for number in range(-_WARM_UP, rounds):
            for name in turns.order(runners, number):
                took, peaks[name] = runners[name].timed(images)
                if number >= 0:
                    seconds[name].append(took)
            if number >= 0:
                advance()
    return [_row(name, len(images), seconds[name], seconds.get(KERAS), peaks[name]) for name in runners]


def _row(name: str, batch: int, seconds: list[float], keras: list[float] | None, peak: int) -> Row:
    median, slow = (float(value) for value in np.percentile(seconds, (50, 99)))
    ratio = None
    if keras is not None:
        ratio = turns.ratio(seconds, to=keras)
    return Row(name, batch, len(seconds), median, slow, batch / median, ratio, peak)


def _size(name: str, form: Any, directory: Path) -> int:
    """Return the bytes of an artefact's files: its file, or all of the folder that this is in."""
    file = directory / form.FILE
    folders = [directory / "variables"] if name == savedmodel.NAME else []
    folders += [file.parent] if file.parent != directory else []
    inside = {path for folder in folders for path in folder.rglob("*") if path.is_file()}
    return sum(path.stat().st_size for path in inside | {file})


def _known(manifest: Manifest, name: str) -> tuple[float | None, int | None]:
    """Return the accuracy that verification measured before publication, and of how many images."""
    parity = manifest.document.get("parity", {})
    found = next(iter(parity.values()), {}) if name == KERAS else parity.get(name, {})
    return found.get("keras_accuracy" if name == KERAS else "accuracy"), found.get("images")


def _accuracy(
    manifest: Manifest, preprocessing: Preprocessing, name: str, runner: ProcessRunner, data: Sequence[str]
) -> tuple[float, int]:
    """Measure the accuracy of a runner on the validation split, or on other data, and of how many images."""
    subject = Subject(
        name=name,
        labels=manifest.labels,
        config=manifest.config,
        skipped=manifest.skipped,
        preprocessing=preprocessing,
        feed=manifest.feed,
        _runner=runner,
    )
    measures = evaluate(subject, data=data)
    return measures.accuracy, measures.images
