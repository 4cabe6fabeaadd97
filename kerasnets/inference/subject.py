"""What is evaluated: a run's Keras model, or a published artefact."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerasnets.artifacts import safety, store
from kerasnets.artifacts.feed import Feed
from kerasnets.artifacts.formats import FORMATS, Runner, check_installed, is_installed
from kerasnets.artifacts.manifest import Manifest
from kerasnets.config import Config
from kerasnets.console import hidden_stderr, import_tensorflow
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.errors import CheckFailed, UserError, nearest
from kerasnets.run import Run


@dataclass(frozen=True)
class Subject:
    """A model behind one face, with what is known of the data it was trained on."""

    name: str
    labels: tuple[str, ...]
    config: Config
    skipped: Callable[[str], frozenset[int]]
    """Split -> indices of its examples that training left out as unreadable."""
    preprocessing: Preprocessing
    feed: Feed
    _runner: Callable[[np.ndarray], np.ndarray]
    unknown_below: float | None = None
    """The best probability below which it says "unknown"; None where it always answers."""

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Map raw pixels `[N, H, W, C]` 0..255 to probabilities `[N, K]`."""
        return self._runner(self.feed.prepare(images, self.preprocessing))


def open_subject(path: Path, form: str | None = None) -> Subject:
    """Open a run, or a MODEL-DIR in `form` (default: ONNX where it is there).

    Raises:
        UserError: `path` is neither, or has no such format.
        CheckFailed: a file of the version is not the one that was published.
    """
    if (path / "config.yaml").is_file():
        if form is not None:
            raise UserError(f"--format {form} goes with an exported model; {path} is a run")
        return _run(Run.open(path))
    manifest = Manifest.read(store.resolve(path))
    manifest.check_files()
    with hidden_stderr():  # LiteRT says there which processor's code it takes
        runner = open_runner(manifest, form or _first(manifest.formats))
    return Subject(
        name=f"{manifest.document['name']}-{manifest.document['version']}",
        labels=manifest.labels,
        config=manifest.config,
        skipped=manifest.skipped,
        preprocessing=Preprocessing.load(manifest.directory),
        feed=manifest.feed,
        unknown_below=manifest.unknown_below,
        _runner=runner,
    )


def _first(formats: Sequence[str]) -> str:
    """Return the format to open where none is named: ONNX, else the first that can be run here."""
    known = [form for form in formats if form in FORMATS]
    return next((form for form in ("onnx", *known) if form in known and is_installed(FORMATS[form])), formats[0])


def open_runner(manifest: Manifest, form: str) -> Runner:
    """Open a published version in one of its formats.

    Raises:
        UserError: the version does not hold that format, its package is not installed, or the file cannot be opened.
        CheckFailed: the file could do more than compute, or has other classes than the manifest says.
    """
    if form not in manifest.formats:
        there = ", ".join(manifest.formats)
        hint = nearest(form, manifest.formats) or f"; export the run again with --formats {form},{there}"
        raise UserError(f"{manifest.directory} holds {there}, not {form}{hint}")
    if form not in FORMATS:
        raise UserError(
            f"{manifest.directory} holds {form}, which this kerasnets does not know{nearest(form, FORMATS)}"
        )
    check_installed(FORMATS[form])
    file = manifest.directory / FORMATS[form].FILE
    safety.ensure(FORMATS[form], manifest.directory)
    try:
        runner = FORMATS[form].open(manifest.directory)
        labels, outputs = runner.labels, runner.signatures["image"]["outputs"]["probabilities"]["shape"]
    except Exception as error:  # likewise of a runtime
        raise UserError(f"{file} cannot be opened: {type(error).__name__}: {error}") from error
    if labels != manifest.labels or outputs[-1] != len(labels):
        raise CheckFailed(f"{file} has other classes than {store.MANIFEST} beside it")
    return runner


def _run(run: Run) -> Subject:
    import_tensorflow()
    from kerasnets.artifacts.reference import RAW, Reference

    reference = Reference(run)
    return Subject(run.path.name, run.labels, run.config, run.skipped, reference.preprocessing, RAW, reference)
