"""Going back: an old version is published once more, under a number above all others.

TensorFlow Serving and Triton take the highest version, and a version is never changed: so what was right before
becomes the highest, by hard links, which take no room and no time.
"""

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kerasnets.artifacts import manifest, store
from kerasnets.artifacts.kit import beside, card
from kerasnets.artifacts.manifest import Manifest
from kerasnets.errors import UserError


def rollback(model: Path, to: int | None = None) -> Manifest:
    """Publish version `to` of `<store>/<name>` again; return the new one's manifest.

    Args:
        model: Its directory in the store.
        to: Default: the version before the one that is served now; where that is itself a copy, before its original.

    Raises:
        UserError: there is no such version, or it is the one that is served, or would not fit in its place.
        CheckFailed: a file of the old version is not the one that was published.
    """
    with store.incoming(model.parent, model.name) as incoming:
        source = _chosen(model, to)
        source.check_files()
        _check_fits(model, source)
        number, of = int(incoming.target.name), original(source)
        document = _document(source, number, of)
        _link(source, incoming.directory, document)
        manifest.write(incoming.directory, document)
        beside.write_before(model, document)
        path = incoming.publish()
        beside.refresh(model)
    return Manifest.read(path)


def original(version: Manifest) -> int:
    """Return the number of a version, or of the one that it is a copy of."""
    number: int = version.document.get("rollback_of", version.document["version"])
    return number


def _chosen(model: Path, to: int | None) -> Manifest:
    there = store.versions(model)
    served = Manifest.read(store.resolve(model))
    number = original(served)
    if to is None:
        before = [version for version in there if version < number]
        if not before:
            raise UserError(f"version {number} of {model.name} is the oldest there is: there is none to go back to")
        return Manifest.read(model / str(before[-1]))
    if to not in there:
        raise UserError(f"model {model} has no version {to}; it has {', '.join(map(str, there))}")
    wanted = Manifest.read(model / str(to))
    if original(wanted) == number:
        raise UserError(f"version {to} of {model.name} is what is served now, as version {there[-1]}")
    return wanted


def _check_fits(model: Path, source: Manifest) -> None:
    interface = {endpoint: {"inputs": inputs} for endpoint, inputs in source.document["inputs"].items()}
    try:
        manifest.check_compatible(model, source.labels, interface, source.formats)
    except UserError as error:
        raise UserError(f"version {source.document['version']} cannot be published again: {error}") from error


def _document(source: Manifest, number: int, of: int) -> dict[str, Any]:
    kept = {key: value for key, value in source.complete.items() if key not in ("schema", "files")}
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return {**kept, "version": number, "created": created, "rollback_of": of}


def _link(source: Manifest, directory: Path, document: dict[str, Any]) -> None:
    """Put the files of a version into another directory: links to them, and a card of its own."""
    for name in source.document["files"]:
        place = directory / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if name == card.FILE:
            text = (source.directory / name).read_text(encoding="utf-8")
            again = card.again(text, document["name"], document["version"], document["rollback_of"])
            place.write_text(again, encoding="utf-8")
        else:
            _link_or_copy(source.directory / name, place)


def _link_or_copy(file: Path, place: Path) -> None:
    try:
        os.link(file, place, follow_symlinks=False)
    except OSError:  # a file system without hard links, or with too many of this file
        shutil.copy2(file, place)
