"""The checks of one artefact of a version, in a fresh process."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kerasnets.artifacts import safety
from kerasnets.artifacts.answers import unknown
from kerasnets.artifacts.audit.check import Check
from kerasnets.artifacts.formats import Format, is_installed, savedmodel
from kerasnets.artifacts.golden import check as held
from kerasnets.artifacts.golden.stored import Golden
from kerasnets.artifacts.manifest import Manifest
from kerasnets.artifacts.process import ProcessRunner
from kerasnets.console import import_tensorflow
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.errors import CheckFailed


@dataclass(frozen=True, eq=False)
class Subject:
    """A version and the pictures that it is asked about.

    Attributes:
        golden: What is to be said of them, or None for a version that keeps nothing.
        pictures: Name -> encoded image.
        raw: Their pixels, each `[1, H, W, C]`.
        said: Filled by the checks: format -> probabilities float32 `[n, K]` of its `image` endpoint.
    """

    manifest: Manifest
    preprocessing: Preprocessing
    golden: Golden | None
    pictures: dict[str, bytes]
    raw: list[np.ndarray]
    said: dict[str, np.ndarray] = field(default_factory=dict)


def checks(form: Format, subject: Subject) -> Iterator[Check]:
    """Yield the checks of the version's artefact in a format, as they are made; the first that fails may be the last.

    Nothing of an artefact that could do more than compute is opened.
    """
    if (missing := _missing(form)) is not None:
        yield missing
        return
    if form.NAME in safety.PROGRAMS:
        operations = _operations(form, subject.manifest)
        yield operations
        if not operations.ok:
            return
    try:
        with ProcessRunner(form, subject.manifest.directory) as runner:
            yield Check("opens", form.NAME, True, "in a fresh process")
            interface = list(_interface(form, runner, subject.manifest))
            yield from interface
            if all(check.ok for check in interface):  # else its answers cannot be held against those of the manifest
                yield from _answers(form, runner, subject)
    except CheckFailed as error:
        yield Check("runs", form.NAME, False, str(error).removeprefix(f"{form.NAME}: "))


def _missing(form: Format) -> Check | None:
    if is_installed(form) or form.NEEDS is None:
        return None
    package, extra = form.NEEDS
    remedy = f"install it with: pip install 'kerasnets[{extra}]', or name the other formats with --formats"
    return Check("opens", form.NAME, False, f"needs {package.replace('_', '-')}, which is not installed here", remedy)


def _operations(form: Format, manifest: Manifest) -> Check:
    if form.NAME == savedmodel.NAME:
        import_tensorflow()
    try:
        safety.check(form, manifest.directory)
    except Exception as error:  # whatever a parser raises of a file that is not what it should be
        return Check("operations", form.NAME, False, f"{form.FILE} {error}", "it was not opened")
    return Check("operations", form.NAME, True, "only what computes")


def _interface(form: Format, runner: ProcessRunner, manifest: Manifest) -> Iterator[Check]:
    document = manifest.complete
    inputs, outputs = document["inputs"], document["outputs"]
    expected: dict[str, Any] = {
        endpoint: {"inputs": inputs[endpoint], "outputs": outputs.get(endpoint, {})}
        for endpoint in form.ENDPOINTS
        if endpoint in inputs
    }
    same = runner.signatures == expected
    words = ", ".join(expected) if same else f"{dict(runner.signatures)}"
    yield Check("inputs and outputs", form.NAME, same, words, "" if same else f"the manifest says {expected}")
    same = tuple(runner.labels) == manifest.labels
    words = f"{len(manifest.labels)}" if same else f"{list(runner.labels)}"
    yield Check("class names", form.NAME, same, words, "" if same else f"the manifest says {list(manifest.labels)}")


def _answers(form: Format, runner: ProcessRunner, subject: Subject) -> Iterator[Check]:
    manifest, golden = subject.manifest, subject.golden
    rows = (len(subject.raw), len(manifest.labels))
    unsure = {"unknown": rows[:1]} if manifest.unknown_below is not None else {}
    outputs = held.answers(runner, subject.raw, manifest.feed, subject.preprocessing)
    _ensure(outputs, {"probabilities": rows, **unsure})
    subject.said[form.NAME] = outputs["probabilities"]
    if golden is not None:
        yield _golden(form, golden, outputs["probabilities"])
    if manifest.unknown_below is not None:
        yield _unknown(form, outputs, manifest.unknown_below)
    if "bytes" in form.ENDPOINTS:
        encoded = runner.encoded(list(subject.pictures.values()))
        _ensure(encoded, dict.fromkeys(("probabilities", "scores", "classes"), rows))
        yield _ranked(form, encoded, manifest.labels)
        if golden is not None:
            difference = held.probabilities(golden.pictures, encoded["probabilities"], golden.probabilities["bytes"])
            yield _check("golden images as files", form, difference)


def _ensure(outputs: dict[str, np.ndarray], expected: dict[str, tuple[int, ...]]) -> None:
    """Raise CheckFailed unless there are outputs of these names and shapes: the manifest may promise others."""
    for name, shape in expected.items():
        if name not in outputs:
            raise CheckFailed(f"gives no '{name}'")
        if outputs[name].shape != shape:
            raise CheckFailed(f"gives '{name}' {list(outputs[name].shape)}, not {list(shape)}")


def _golden(form: Format, golden: Golden, found: np.ndarray) -> Check:
    if not form.LOSSY:
        difference = held.probabilities(golden.pictures, found, golden.probabilities["image"])
        return _check("golden images", form, difference)
    if form.NAME not in golden.lossy:
        return Check("golden images", form.NAME, False, "what it said when it was published was not kept")
    difference = held.probabilities(golden.pictures, found, golden.lossy[form.NAME], held.LOSSY)
    return _check("golden images", form, difference)


def _check(name: str, form: Format, difference: held.Difference) -> Check:
    return Check(name, form.NAME, difference.ok, difference.found, f"at most {difference.allowed:g}, the same top-1")


def _unknown(form: Format, outputs: dict[str, np.ndarray], below: float) -> Check:
    expected = unknown(outputs["probabilities"], below)
    same = np.array_equal(outputs["unknown"], expected)
    words = f"{expected.sum()} of {len(expected)} pictures" if same else "is not what the probabilities say"
    return Check("unknown", form.NAME, same, words, f"where the best probability is below {below:g}")


def _ranked(form: Format, outputs: dict[str, np.ndarray], labels: tuple[str, ...]) -> Check:
    order = np.argsort(-outputs["probabilities"], axis=1, kind="stable")
    scores = np.take_along_axis(outputs["probabilities"], order, axis=1)
    same = np.array_equal(outputs["scores"], scores) and np.array_equal(outputs["classes"], np.array(labels)[order])
    words = "the probabilities in order" if same else "are not the probabilities in order"
    return Check("classes and scores", form.NAME, same, words)
