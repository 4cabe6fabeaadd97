"""One line about each version in a model store, and about what is none. Imports no TensorFlow."""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kerasnets.artifacts import store
from kerasnets.artifacts.manifest import Manifest
from kerasnets.errors import UserError, nearest

SERVED, PUBLISHED, LEFT_BEHIND = "served", "published", "left behind by a process that was killed"


@dataclass(frozen=True)
class Version:
    """What `store list` shows of a directory; None where it is unknown.

    Attributes:
        name: Of the model.
        version: None for what is no version.
        path: Of the directory.
        state: "served" (servers take the highest), "published", or what is wrong with it.
        bytes: Of its files; those of a version that was published again count in both.
        formats: That it holds.
        accuracy: On the validation split.
        created: When it was published, in ISO 8601.
        age_days: Days since then.
        rollback_of: The version that this one is a copy of.
    """

    name: str
    version: int | None
    path: str
    state: str
    bytes: int
    formats: tuple[str, ...] = ()
    accuracy: float | None = None
    created: str | None = None
    age_days: float | None = None
    rollback_of: int | None = None

    @property
    def whole(self) -> bool:
        """Whether servers can take it."""
        return self.state in (SERVED, PUBLISHED)

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {**asdict(self), "formats": list(self.formats)}


def directories(root: Path) -> list[Path]:
    """Return the directories right below a store, by name; those whose name begins with a dot are left out.

    Raises:
        UserError: there is no such store, or it is a model or a version itself.
    """
    if not root.is_dir():
        siblings = [path.name for path in root.parent.iterdir() if path.is_dir()] if root.parent.is_dir() else []
        raise UserError(f"no model store {root}{nearest(root.name, siblings)}")
    if (root / store.MANIFEST).is_file() or store.versions(root):
        above = root.parent.parent if (root / store.MANIFEST).is_file() else root.parent
        raise UserError(f"{root} is a model itself; name the store that holds it, {above}")
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def model(root: Path, name: str) -> Path:
    """Return the directory of a model in a store.

    Raises:
        UserError: there is no such store or model; names the nearest.
    """
    names = [path.name for path in directories(root)]
    if name not in names:
        there = f"; it has {', '.join(names)}" if names else "; it is empty"
        raise UserError(f"store {root} has no model '{name}'{nearest(name, names) or there}")
    return root / name


def versions(root: Path) -> Iterator[Version]:
    """Yield a line for each version below `root`, and for each thing there that is none."""
    for path in directories(root):
        yield from of(path)


def of(path: Path) -> list[Version]:
    """Return the lines about one model: its versions, lowest first, then what is left behind in it."""
    if not store.is_name(path.name):
        return [_odd(path, path, "no model: its name has other characters than letters, digits, dot, dash, underscore")]
    try:
        return _inside(path)
    except OSError as error:
        return [_odd(path, path, f"unreadable: {error.strerror}")]


def _inside(path: Path) -> list[Version]:
    numbered = sorted((p for p in path.iterdir() if store.is_version(p.name) and p.is_dir()), key=lambda p: int(p.name))
    served = max(store.versions(path), default=None)
    found = [_version(path, version, SERVED if int(version.name) == served else PUBLISHED) for version in numbered]
    left = [p for pattern in (store.INCOMING, store.OUTGOING) for p in sorted(path.glob(f"{pattern}*"))]
    if left:
        state = "being written or removed" if store.in_use(path) else LEFT_BEHIND
        found += [_odd(path, p, state) for p in left]
    return found or [_odd(path, path, "no model: it holds no version")]


def _version(path: Path, version: Path, state: str) -> Version:
    number = int(version.name)
    if not (version / store.MANIFEST).is_file():
        return _odd(path, version, f"no version: it has no {store.MANIFEST}", number)
    try:
        document = Manifest.read(version).complete
    except UserError as error:
        return _odd(path, version, f"unreadable: {str(error).splitlines()[0]}", number)
    if (document["name"], document["version"]) != (path.name, number):
        state = f"misplaced: its manifest says {document['name']}, version {document['version']}"
    return Version(
        name=path.name,
        version=number,
        path=str(version),
        state=state,
        bytes=size(version),
        formats=tuple(document["formats"]),
        accuracy=accuracy(document),
        created=document["created"],
        age_days=age(document["created"]),
        rollback_of=document.get("rollback_of"),
    )


def _odd(path: Path, place: Path, state: str, number: int | None = None) -> Version:
    return Version(name=path.name, version=number, path=str(place), state=state, bytes=size(place))


def accuracy(document: dict[str, Any]) -> float | None:
    """Return the accuracy on the validation split: as training measured it, else as verification did."""
    recorded = document["metrics"].get("validation", {}).get("accuracy")
    measured = [figures.get("accuracy") for figures in document["parity"].values()]
    found = [value for value in (recorded, *measured) if isinstance(value, float)]
    return found[0] if found else None


def age(created: str) -> float | None:
    """Return the days since a moment in ISO 8601; None where it is none."""
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (datetime.now(UTC) - aware).total_seconds() / 86400


def size(path: Path) -> int:
    """Return the bytes of a directory's files; links count for themselves alone."""
    return sum(sizes(path).values())


def sizes(path: Path) -> dict[str, int]:
    """Return the size of each file below a directory, by its path there."""
    found = {}
    for folder, _, names in os.walk(path):
        for name in names:
            file = Path(folder, name)
            try:
                found[file.relative_to(path).as_posix()] = file.lstat().st_size
            except FileNotFoundError:  # a process that writes or removes it is at work
                continue
    return dict(sorted(found.items()))
