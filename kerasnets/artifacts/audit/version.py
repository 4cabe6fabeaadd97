"""All checks of a published version: nothing but its directory is needed, neither the run nor its data."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from kerasnets.artifacts.audit import artefact
from kerasnets.artifacts.audit.check import Check
from kerasnets.artifacts.formats import FORMATS, as_written
from kerasnets.artifacts.golden import check as held
from kerasnets.artifacts.golden import pictures
from kerasnets.artifacts.golden.stored import DOCUMENT, Golden
from kerasnets.artifacts.manifest import Manifest
from kerasnets.data.decode import DecodeError
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.errors import CheckFailed, UserError, nearest


def audit(manifest: Manifest, formats: Sequence[str] | None = None) -> Iterator[Check]:
    """Yield the checks of a version as they are made.

    Args:
        manifest: The version's.
        formats: Those to check; default: all that the manifest names.

    Raises:
        UserError: the version has no such format, or one of its files cannot be read.
    """
    wanted = _wanted(manifest, formats)
    files = _files(manifest)
    yield files
    if not files.ok:
        remedy = "what they hold now was not opened"
        yield Check("all else", None, False, "not checked, because files differ from those published", remedy)
        return
    preprocessing = Preprocessing.load(manifest.directory)
    golden = _golden(manifest, preprocessing)
    drawn = golden.pictures if golden is not None else pictures()
    try:
        raw = held.raw(drawn, preprocessing.channels)
    except DecodeError as error:
        yield Check("golden pixels", None, False, f"cannot be decoded here: {error}", "what follows was not checked")
        return
    yield _pixels(manifest, golden, raw, preprocessing)
    subject = artefact.Subject(manifest, preprocessing, golden, drawn, raw)
    for name in wanted:
        if name in FORMATS:
            yield from artefact.checks(as_written(name, manifest.directory), subject)
        else:
            yield Check("opens", name, False, f"this kerasnets does not know the format; {manifest.release} wrote it")
    yield from _parity(subject)


def _wanted(manifest: Manifest, formats: Sequence[str] | None) -> tuple[str, ...]:
    for form in formats or ():
        if form not in manifest.formats:
            hint = nearest(form, manifest.formats)
            raise UserError(f"--formats: {manifest.directory} holds {', '.join(manifest.formats)}, not {form}{hint}")
    return tuple(dict.fromkeys(formats)) if formats else manifest.formats


def _files(manifest: Manifest) -> Check:
    try:
        manifest.check_files()
    except CheckFailed as error:
        return Check("files", None, False, str(error))
    return Check("files", None, True, f"{len(manifest.document['files'])} with the sha256 of the manifest")


def _golden(manifest: Manifest, preprocessing: Preprocessing) -> Golden | None:
    if DOCUMENT not in manifest.document["files"]:
        return None
    size, channels = preprocessing.image_size, preprocessing.channels
    return Golden.read(manifest.directory, classes=len(manifest.labels), image_size=size, channels=channels)


def _pixels(manifest: Manifest, golden: Golden | None, raw: list[np.ndarray], preprocessing: Preprocessing) -> Check:
    if golden is None:
        found = f"the version was written by kerasnets {manifest.release}, which kept no golden images"
        return Check("golden images", None, False, found, "export the run again to have them")
    difference = held.pixels(golden, (preprocessing.resized(image, np)[0] for image in raw))
    return Check("golden pixels", None, difference.ok, difference.found, f"at most {held.PIXELS:g} grey level")


def _parity(subject: artefact.Subject) -> Iterator[Check]:
    exact = [name for name in subject.said if not as_written(name, subject.manifest.directory).LOSSY]
    for first, second in pairwise(exact):
        allowed = FORMATS[first].TOLERANCE + FORMATS[second].TOLERANCE
        difference = held.probabilities(subject.pictures, subject.said[second], subject.said[first], allowed)
        words = f"at most {allowed:g}, the same top-1"
        yield Check("parity", f"{first}, {second}", difference.ok, difference.found, words)
