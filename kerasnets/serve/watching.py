"""Which versions of the store are served: looked up again and again, opened aside, exchanged as a whole."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kerasnets.artifacts import store
from kerasnets.artifacts.manifest import Manifest
from kerasnets.console import err
from kerasnets.errors import UserError
from kerasnets.serve.metrics import Metrics
from kerasnets.serve.opened import Opened
from kerasnets.serve.repository import Repository
from kerasnets.serve.served import Served

_Stamp = frozenset[tuple[str, int, int]]


@dataclass(frozen=True)
class Choice:
    """What of a store is served.

    Attributes:
        store: Its folder.
        models: Names; none: all models that are in it at the time.
        versions: Numbers, of the one model that is named; none: the highest `keep`.
        keep: How many versions of a model are served at a time.
        form: Name of the format.
    """

    store: Path
    models: tuple[str, ...]
    versions: tuple[int, ...]
    keep: int
    form: str

    def names(self) -> list[str]:
        """Return the names of the models to serve."""
        if self.models:
            return list(self.models)
        try:
            there = sorted(path.name for path in self.store.iterdir() if store.is_name(path.name))
        except OSError:  # on its way out or in: what was loaded is served on
            return []
        return [name for name in there if self.numbers(name)]

    def numbers(self, name: str) -> list[int]:
        """Return the versions of a model that may be served, the best first; none where they cannot be read."""
        if self.versions:
            return sorted(self.versions, reverse=True)
        try:
            return store.versions(self.store / name)[::-1]
        except OSError:
            return []

    def holds(self, name: str, number: int) -> bool:
        """Say whether a version holds the format; raises UserError where its manifest cannot be read."""
        return self.form in Manifest.read(self.store / name / str(number)).formats

    def check(self) -> None:
        """Raise UserError unless there is something to serve; names the nearest."""
        if not self.store.is_dir():
            raise UserError(f"model store {self.store} does not exist")
        if store.is_model(self.store):
            raise UserError(f"{self.store} is a model, not a store; give {self.store.parent} --model {self.store.name}")
        for name in self.models:
            for number in self.versions or ("",):
                store.resolve(self.store / name / str(number))
        if not self.names():
            raise UserError(f"{self.store} holds no published model; `kerasnets export` makes one")


class Watcher:
    """Keeps a repository in step with a store."""

    def __init__(
        self, choice: Choice, repository: Repository, metrics: Metrics, batch: int, serve: Callable[[Opened], Served]
    ) -> None:
        self._choice, self._repository, self._metrics = choice, repository, metrics
        self._batch, self._serve = batch, serve
        self._failed: dict[Path, _Stamp] = {}
        """Version that could not be opened -> its files then: they may be others later, or may still be coming."""
        self._said: dict[Path, str] = {}
        """Version that could not be opened -> what was said of it."""

    async def begin(self) -> None:
        """Open all models; of those that are not named, all that hold the format.

        Raises:
            UserError: the highest version of one cannot be opened, or there is none to serve.
            CheckFailed: likewise, as a file of it is not the one that was published.
        """
        for name in self._choice.names():
            first, *others = self._choice.numbers(name)
            if not self._choice.models and not self._choice.holds(name, first):
                await self._tried(name, first)
                continue
            found = {first: await self._open(name, first)}
            for number in others:
                if len(found) < self._choice.keep or self._choice.versions:
                    found |= await self._tried(name, number)
            self._repository.put(name, found)
        if not self._repository.names():
            raise UserError(f"no model in {self._choice.store} holds {self._choice.form}")

    async def run(self, seconds: float) -> None:
        """Look again every so many seconds, until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            for name in await asyncio.to_thread(self._choice.names):
                await self._refresh(name)

    async def _refresh(self, name: str) -> None:
        """Exchange a model's versions if others are there now; the last one that works is never given up."""
        there, now = self._repository.versions(name), await asyncio.to_thread(self._choice.numbers, name)
        found: dict[int, Served] = {}
        most = max(self._choice.keep, len(self._choice.versions))
        for number in now:
            if len(found) < most:
                found |= {number: there[number]} if number in there else await self._tried(name, number)
        if found and found.keys() != there.keys():
            self._repository.put(name, found)
            err.print(f"{name}: now serving version {', '.join(map(str, sorted(found)))}")

    async def _tried(self, name: str, number: int) -> dict[int, Served]:
        """Return the version, or nothing and say why: once, until its files are others."""
        directory = self._choice.store / name / str(number)
        try:
            stamp = await asyncio.to_thread(_stamp, directory)
        except OSError:  # taken away since it was listed
            return {}
        if self._failed.get(directory) == stamp:
            return {}
        try:
            found = await self._open(name, number)
        except Exception as error:  # whatever is wrong with it, those that are served go on
            if not isinstance(error, OSError):  # which may pass, and is tried again
                self._failed[directory] = stamp
            self._report(directory, f"{name}: version {number} is not served: {error}")
            return {}
        self._said.pop(directory, None)
        return {number: found}

    def _report(self, directory: Path, sentence: str) -> None:
        if self._said.get(directory) != sentence:
            self._said[directory] = sentence
            self._metrics.failed(directory.parent.name)
            err.print(sentence)

    async def _open(self, name: str, number: int) -> Served:
        directory = self._choice.store / name / str(number)
        return self._serve(await asyncio.to_thread(Opened.open, directory, self._choice.form, self._batch))


def _stamp(directory: Path) -> _Stamp:
    """Return each file's path, size and time of its last change; raises OSError where there is no manifest."""
    found = ((str(path), path.stat()) for path in (directory / store.MANIFEST, *directory.rglob("*")))
    return frozenset((path, stat.st_size, stat.st_ctime_ns) for path, stat in found)
