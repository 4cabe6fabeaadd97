"""The model store: versions that are published whole or not at all, and are never changed.

<store>/<name>/<version>/…      what TensorFlow Serving and Triton read; <version> is an integer
<store>/<name>/.incoming-…      a version being written; no server takes a name that is not a number for a version
<store>/<name>/.outgoing-…      a version being removed
<store>/.<name>.lock            held while a version is written
"""

import errno
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kerasnets.console import err
from kerasnets.durable import sha256, sync
from kerasnets.errors import CheckFailed, UserError, nearest

MANIFEST = "manifest.json"
INCOMING = ".incoming-"
OUTGOING = ".outgoing-"
_FILES = ("models.config",)
"""Beside the models."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def is_version(name: str) -> bool:
    """Say whether a directory's name is a version: a positive integer without leading zeros."""
    return name.isascii() and name.isdecimal() and not name.startswith("0")


def is_name(name: str) -> bool:
    """Say whether a model in a store may be called so."""
    return _NAME.fullmatch(name) is not None


def versions(model: Path) -> list[int]:
    """Return the versions under `<store>/<name>` that hold a manifest, lowest first."""
    if not model.is_dir():
        return []
    return sorted(int(p.name) for p in model.iterdir() if is_version(p.name) and (p / MANIFEST).is_file())


def _taken(model: Path) -> list[int]:
    """Return every number that a directory under `model` uses, with a manifest or without."""
    return [int(p.name) for p in model.iterdir() if is_version(p.name)]


def hashes(directory: Path) -> dict[str, str]:
    """Return the sha256 of each file below `directory`, by its path there; the manifest itself is left out."""
    found = {}
    for path in sorted(p for p in directory.rglob("*") if p.is_file() and p != directory / MANIFEST):
        found[path.relative_to(directory).as_posix()] = sha256(path)
    return found


def compare(directory: Path, expected: dict[str, str]) -> None:
    """Check that a version's files are those of its manifest, byte for byte.

    Raises:
        CheckFailed: a file is missing, changed or was added; names the first.
    """
    found = hashes(directory)
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            what = "is missing" if name not in found else "was added" if name not in expected else "was changed"
            raise CheckFailed(f"{directory}: {name} {what} since the version was published")


class Incoming:
    """A version being written: fill `directory`, then `publish`."""

    def __init__(self, directory: Path, target: Path) -> None:
        self.directory, self.target = directory, target

    def publish(self) -> Path:
        """Put the version into its place; whatever kills the process, it is then there whole or not at all."""
        for path in [p for p in self.directory.rglob("*") if p.is_file()]:
            sync(path)
        for path in [self.directory, *(p for p in self.directory.rglob("*") if p.is_dir())]:
            sync(path)
        os.chmod(self.directory, 0o777 & ~_umask())  # mkdtemp makes it private; servers run as other users
        os.rename(self.directory, self.target)
        sync(self.target.parent)
        return self.target


@contextmanager
def incoming(store: Path, name: str, version: int | None = None) -> Iterator[Incoming]:
    """Reserve a version of `<store>/<name>` (default: the highest + 1) and yield where to write it.

    Leftovers of killed exports are removed first. Unless it was published, what was written is gone afterwards.

    Raises:
        UserError: the name or version cannot be used.
    """
    if not is_name(name):
        raise UserError(f"model name '{name}': use letters, digits, dot, dash and underscore, a letter or digit first")
    if name in _FILES:
        raise UserError(f"model name '{name}': a store has a file of that name for TensorFlow Serving; take another")
    model = store / name
    _make(store)
    with changing(model):
        _make(model)
        try:
            clean(model)
            number = _free(model, version)
            directory = Path(tempfile.mkdtemp(prefix=INCOMING, dir=model))
            try:
                yield Incoming(directory, model / str(number))
            finally:
                shutil.rmtree(directory, ignore_errors=True)
        finally:
            _remove_if_empty(model)


@contextmanager
def changing(model: Path) -> Iterator[None]:
    """Keep every other process from changing `<store>/<name>`; waits for one that does."""
    with locked(model.parent, model.name, waiting=f"waiting for another export of {model.name} to finish"):
        yield


def in_use(model: Path) -> bool:
    """Say whether a process changes `<store>/<name>` now."""
    try:
        with (model.parent / f".{model.name}.lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def clean(model: Path) -> None:
    """Remove what killed processes left in `<store>/<name>`; call it within `changing`."""
    for leftover in (*model.glob(f"{INCOMING}*"), *model.glob(f"{OUTGOING}*")):
        shutil.rmtree(leftover)


def remove(model: Path, version: int) -> None:
    """Remove a version: at once for whoever looks, then from the disk; call it within `changing`."""
    aside = Path(tempfile.mkdtemp(prefix=OUTGOING, dir=model))
    os.rename(model / str(version), aside)
    sync(model)
    shutil.rmtree(aside)


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        writable = os.access(directory, os.W_OK | os.X_OK)
    except OSError as error:
        raise UserError(f"model store: {directory} cannot be made: {error.strerror}") from error
    if not writable:
        raise UserError(f"model store: {directory} cannot be written to")


def _free(model: Path, version: int | None) -> int:
    taken = _taken(model)
    following = max(taken, default=0) + 1
    if version is None:
        return following
    if version < 1:
        raise UserError(f"version {version}: versions are 1, 2, 3 …")
    if version in taken:
        raise UserError(f"{model} has a version {version}, and a version is never changed; the next one is {following}")
    return version


@contextmanager
def locked(store: Path, name: str, *, waiting: str) -> Iterator[None]:
    """Hold the exclusive lock of something in a store; it ends with this process, however it ends."""
    path = store / f".{name}.lock"
    while True:
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                err.print(waiting)
                fcntl.flock(file, fcntl.LOCK_EX)
            if not _is_at(path, file.fileno()):  # the owner before us removed it: this lock keeps nobody out
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _remove_if_empty(directory: Path) -> None:
    try:
        directory.rmdir()
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def is_model(path: Path) -> bool:
    """Say whether `path` is a MODEL-DIR: a version, or a name with at least one."""
    return (path / MANIFEST).is_file() or bool(versions(path))


def resolve(path: Path) -> Path:
    """Return the version directory that MODEL-DIR stands for: itself, or the highest version of a name.

    Raises:
        UserError: there is no model; names the nearest that is.
    """
    if (path / MANIFEST).is_file():
        return path
    found = versions(path)
    if found:
        return path / str(found[-1])
    if (path / "config.yaml").is_file():
        raise UserError(f"{path} is a run, not an exported model; `kerasnets export {path}` makes one of it")
    if is_version(path.name) and (siblings := versions(path.parent)):
        raise UserError(f"model {path.parent} has no version {path.name}; it has {', '.join(map(str, siblings))}")
    there = [p.name for p in path.iterdir() if is_model(p)] if path.is_dir() else []
    if there:
        raise UserError(f"{path} is a model store; name one of its models: {', '.join(sorted(there))}")
    beside = [p.name for p in path.parent.iterdir() if is_model(p)] if path.parent.is_dir() else []
    what = "holds no published version" if path.exists() else "does not exist"
    raise UserError(f"model {path} {what}{nearest(path.name, beside)}")
