"""Which versions are in the way, and their removal."""

import stat
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from kerasnets.artifacts import store
from kerasnets.artifacts.kit import beside
from kerasnets.errors import UserError
from kerasnets.stores.summary import LEFT_BEHIND, SERVED, Version


@dataclass(frozen=True)
class Doomed:
    """What to delete, why, and how large it is."""

    path: Path
    reason: str
    bytes: int


def choose(
    versions: Sequence[Version], *, keep: int | None = None, older_than: float | None = None, leftovers: bool = False
) -> list[Doomed]:
    """Return what to delete: whole versions that any of the rules names, never the one that is served.

    Args:
        versions: All there are.
        keep: Keep so many versions of each model, the newest; delete the others.
        older_than: Delete those published more than so many days ago.
        leftovers: Delete what killed processes left behind.
    """
    reasons: dict[str, str] = {}
    whole = [version for version in versions if version.whole and not _is_link(version)]
    if keep is not None:
        for _, group in groupby(whole, key=lambda version: version.name):
            newest = sorted(group, key=lambda version: -(version.version or 0))
            reasons |= {version.path: f"not among the newest {keep}" for version in newest[keep:]}
    if older_than is not None:
        old = [version for version in whole if version.age_days is not None and version.age_days > older_than]
        reasons |= {version.path: f"published {version.age_days:.0f} days ago" for version in old}
    if leftovers:
        reasons |= {version.path: LEFT_BEHIND for version in versions if version.state == LEFT_BEHIND}
    wanted = [version for version in versions if version.path in reasons and version.state != SERVED]
    return [Doomed(Path(version.path), reasons[version.path], version.bytes) for version in wanted]


def freed(doomed: Iterable[Doomed]) -> int:
    """Return the bytes of room that deleting all of it makes: files that a version beside them shares stay."""
    links: Counter[tuple[int, int]] = Counter()
    found = {}
    for file in (file for each in doomed for file in each.path.rglob("*")):
        status = file.lstat()
        if stat.S_ISREG(status.st_mode):
            place = status.st_dev, status.st_ino
            links[place] += 1
            found[place] = status
    return sum(status.st_size for place, status in found.items() if links[place] == status.st_nlink)


def _is_link(version: Version) -> bool:
    """Say whether something on the way is a link: what it leads to is not ours to delete."""
    path = Path(version.path)
    return path.is_symlink() or path.parent.is_symlink()


def delete(doomed: Iterable[Doomed]) -> None:
    """Delete versions and leftovers, model by model; an export of the model is waited for.

    Raises:
        UserError: a version became the highest meanwhile, the highest is damaged, or something cannot be deleted.
    """
    for model, group in groupby(doomed, key=lambda each: each.path.parent):
        with store.changing(model):
            beside.refresh(model)  # reads the highest version: where that is damaged, the others stay
            try:
                _delete(model, [each.path for each in group])
            except OSError as error:
                raise UserError(f"{error.filename or model}: {error.strerror}") from error


def _delete(model: Path, paths: Sequence[Path]) -> None:
    if any(not store.is_version(path.name) for path in paths):
        store.clean(model)
    for path in paths:
        if not store.is_version(path.name) or not path.is_dir():
            continue
        if int(path.name) == max(store.versions(model), default=None):
            raise UserError(f"{path} is the highest version now, which servers take; it was not deleted")
        store.remove(model, int(path.name))
