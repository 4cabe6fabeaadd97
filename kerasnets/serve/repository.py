"""What is served: model -> version -> its `Served`, behind KServe's `ModelRepository`, changed as a whole."""

from kserve import ModelRepository

from kerasnets.errors import nearest
from kerasnets.serve.metrics import Metrics
from kerasnets.serve.refusals import Unknown
from kerasnets.serve.served import Served


class Repository(ModelRepository):
    """For the event loop's thread alone: requests find the old versions or the new ones, never a mixture."""

    def __init__(self, metrics: Metrics) -> None:
        super().__init__()
        self._metrics = metrics
        self._versions: dict[str, dict[int, Served]] = {}

    def names(self) -> list[str]:
        """Return the models' names."""
        return sorted(self._versions)

    def versions(self, name: str) -> dict[int, Served]:
        """Return a model's versions, lowest first; empty for an unknown one."""
        return self._versions.get(name, {})

    def put(self, name: str, versions: dict[int, Served]) -> None:
        """Serve these versions of a model from now on; requests that are being answered keep the ones they have."""
        before = self.versions(name)
        self._versions[name] = dict(sorted(versions.items()))
        self.models[name] = versions[max(versions)]
        for number in versions.keys() - before.keys():
            self._metrics.loaded(name, number)
        for number in before.keys() - versions.keys():
            self._metrics.unloaded(name, number)

    def find(self, name: str, version: str | None = None) -> Served:
        """Return a version, by default the highest.

        Raises:
            Unknown: there is no such model or version here.
        """
        found = self.versions(name)
        if not found:
            raise Unknown(f"there is no model '{name:.80}' here{nearest(name, self._versions)}")
        if not version:
            return found[max(found)]
        number = int(version) if version.isascii() and version.isdecimal() and len(version) < 20 else -1
        if number not in found:
            raise Unknown(f"model {name} has no version '{version:.20}' here; it has {', '.join(map(str, found))}")
        return found[number]
