"""manifest.json: what a published version is, whence it came and how well it was verified. Imports no TensorFlow."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from kerasnets import config as configs
from kerasnets import documents, environment
from kerasnets.artifacts import store
from kerasnets.artifacts.feed import Feed
from kerasnets.artifacts.formats import FORMATS
from kerasnets.config import Config
from kerasnets.errors import UserError
from kerasnets.run import Run, write_json

if TYPE_CHECKING:
    from kerasnets.artifacts.temperature import Calibration

_HELD_OUT = ("validation", "test")
_WRITTEN = ("created", "outputs", "preprocessing", "metrics", "parity", "versions")


def describe(
    run: Run,
    name: str,
    version: int,
    interface: dict[str, Any],
    parity: dict[str, Any],
    calibration: "Calibration | None" = None,
) -> dict[str, Any]:
    """Return the manifest of a version, all but the hashes of its files."""
    metrics = run.read_json("metrics.json") if (run.path / "metrics.json").is_file() else {}
    endpoints = sorted({endpoint for form in parity for endpoint in FORMATS[form].ENDPOINTS if endpoint in interface})
    runtimes = [needs[0] for needs in (FORMATS[form].NEEDS for form in parity) if needs]
    skipped = {split: sorted(run.skipped(split)) for split in ("train", *_HELD_OUT)}
    return {
        "name": name,
        "version": version,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "formats": list(parity),
        "inputs": {endpoint: interface[endpoint]["inputs"] for endpoint in endpoints},
        "outputs": {endpoint: interface[endpoint]["outputs"] for endpoint in endpoints},
        "labels": list(run.labels),
        "preprocessing": run.read_json("preprocessing.json"),
        "calibration": calibration.document() if calibration is not None else None,
        "unknown_below": run.config.export.unknown_below,
        "metrics": {split: metrics[split] for split in _HELD_OUT if split in metrics},
        "parity": parity,
        "versions": environment.versions(*dict.fromkeys(needed.replace("_", "-") for needed in runtimes)),
        "run": {"path": str(run.path.resolve()), "config": run.config.model_dump(mode="json"), "skipped": skipped},
    }


def write(directory: Path, document: dict[str, Any]) -> dict[str, str]:
    """Write manifest.json over all files that are in `directory`; return their hashes."""
    files = store.hashes(directory)
    write_json(directory / store.MANIFEST, {**document, "files": files})
    return files


@dataclass(frozen=True)
class Manifest:
    """A version's manifest, read."""

    directory: Path
    document: dict[str, Any]

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Return the manifest of a version's directory.

        Raises:
            UserError: it cannot be read, is of another schema, or not of the shape that it should have.
        """
        path = directory / store.MANIFEST
        document = documents.read(path)
        if len(document["inputs"].get("image", {}).get("image", {}).get("shape", ())) != 4:
            raise UserError(f"{path} is damaged: inputs: there is no image of four dimensions")
        return cls(directory, document)

    def check_files(self) -> None:
        """Raise CheckFailed unless the version's files are those that were verified, byte for byte."""
        store.compare(self.directory, self.document["files"])

    @property
    def complete(self) -> dict[str, Any]:
        """The document, with all that every export writes.

        Raises:
            UserError: something of it is missing.
        """
        outputs = self.document.get("outputs", {}).get("image", {})
        missing = [key for key in _WRITTEN if key not in self.document] or ["outputs.image"] * (not outputs)
        if missing:
            raise UserError(f"{self.directory / store.MANIFEST} is damaged: there is no {missing[0]}")
        return self.document

    @property
    def formats(self) -> tuple[str, ...]:
        """Names of the formats that the version holds."""
        return tuple(self.document["formats"])

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in order."""
        return tuple(self.document["labels"])

    @property
    def config(self) -> Config:
        """The config of the run that the version was exported from."""
        return configs.check(self.document["run"]["config"], f"{self.directory / store.MANIFEST}: run.config")

    @property
    def feed(self) -> Feed:
        """How the version wants its pixels."""
        image = self.document["inputs"]["image"]["image"]
        return Feed(image["dtype"], static=image["shape"][1] is not None)

    @property
    def unknown_below(self) -> float | None:
        """The best probability below which the version says "unknown"; None where it always answers."""
        below: float | None = self.document.get("unknown_below")
        return below

    @property
    def release(self) -> str:
        """The release of kerasnets that wrote the version."""
        return str(self.document.get("versions", {}).get("kerasnets", "of an unknown number"))

    def skipped(self, split: str) -> frozenset[int]:
        """Indices of the examples of `split` that training left out as unreadable."""
        return frozenset(self.document["run"]["skipped"].get(split, ()))


def check_compatible(model: Path, labels: tuple[str, ...], interface: dict[str, Any], formats: tuple[str, ...]) -> None:
    """Check that a new version of `<store>/<name>` can take the place of the one that is there.

    Raises:
        UserError: it has other classes or another input, or lacks the file that Triton's config.pbtxt names.
    """
    versions = store.versions(model)
    if not versions:
        return
    there = Manifest.read(model / str(versions[-1]))
    last, remedy = f"version {versions[-1]} of {model.name}", "publish it under a new --name"
    if there.labels != labels:
        raise UserError(f"{last} has other classes ({_difference(there.labels, labels)}); {remedy}")
    shapes = [there.document["inputs"]["image"], interface["image"]["inputs"]]
    if shapes[0] != shapes[1]:
        raise UserError(f"{last} takes another input ({shapes[0]['image']}, now {shapes[1]['image']}); {remedy}")
    if "onnx" in there.formats and "onnx" not in formats:
        raise UserError(f"{last} has the format onnx, which Triton's config.pbtxt names; export it too, or {remedy}")


def _difference(before: tuple[str, ...], now: tuple[str, ...]) -> str:
    if len(before) != len(now):
        return f"{len(before)}, now {len(now)}"
    place = next(i for i, (old, new) in enumerate(zip(before, now, strict=True)) if old != new)
    return f"class {place} is '{before[place]}', now '{now[place]}'"
