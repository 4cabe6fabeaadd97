"""TF_CONFIG: which machines train together, and which of them this process is. Imports no TensorFlow."""

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kerasnets.errors import UserError, nearest

_WORKERS = ("chief", "worker")
_REFUSED = {
    "ps": "parameter servers: kerasnets trains in step, with workers alone",
    "evaluator": "an evaluator: kerasnets validates on the workers themselves",
}
_CONNECT = 1.0  # seconds


@dataclass(frozen=True)
class Cluster:
    """Workers that train together.

    Attributes:
        addresses: host:port of each; the first is the chief, which writes the run directory.
        index: which of them this process is.
        jobs: (task type, tasks) in TensorFlow's words, the chief's first.
    """

    addresses: tuple[str, ...] = ("",)
    index: int = 0
    jobs: tuple[tuple[str, int], ...] = ()

    @property
    def chief(self) -> bool:
        """Whether this process writes."""
        return self.index == 0

    def __len__(self) -> int:
        return len(self.addresses)

    def unreachable(self) -> list[str]:
        """Return, as words, the other workers at whose address nobody listens."""
        others = (index for index in range(len(self)) if index != self.index)
        return [self.name(index) for index in others if not self._listens(index)]

    def name(self, index: int) -> str:
        """Return a worker in words."""
        return f"worker {index} ({self.addresses[index]})"

    def listen(self) -> socket.socket:
        """Return a socket that listens at this worker's own port.

        Raises:
            UserError: the port is in use.
        """
        port = _port(self.addresses[self.index])
        try:
            if socket.has_dualstack_ipv6():
                return socket.create_server(("", port), family=socket.AF_INET6, backlog=len(self), dualstack_ipv6=True)
            return socket.create_server(("", port), backlog=len(self))
        except OSError as error:
            raise UserError(
                f"TF_CONFIG: port {port} of {self.name(self.index)} cannot be used: {error.strerror or error}"
            ) from error

    def check_port(self) -> None:
        """See that this worker's own port is free.

        Raises:
            UserError: it is not.
        """
        self.listen().close()

    def connect(self, index: int, seconds: float) -> socket.socket:
        """Return a connection to a worker.

        Raises:
            OSError: nobody listens there.
        """
        address = self.addresses[index]
        return socket.create_connection((address.rpartition(":")[0].strip("[]"), _port(address)), seconds)

    def _listens(self, index: int) -> bool:
        try:
            self.connect(index, _CONNECT).close()
        except OSError:
            return False
        return True


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def cluster(environment: Mapping[str, str] = os.environ) -> Cluster:
    """Return the cluster that TF_CONFIG names, as Kubernetes' training operator and others set it; else one worker.

    Raises:
        UserError: TF_CONFIG is wrong, or has task types that kerasnets does not use.
    """
    text = environment.get("TF_CONFIG", "").strip()
    if not text:
        return Cluster()
    try:
        config = json.loads(text)
    except ValueError as error:
        raise UserError(f"TF_CONFIG is not JSON: {error}") from error
    jobs = config.get("cluster") if isinstance(config, dict) else None
    if not jobs:
        return Cluster()
    if not isinstance(jobs, dict) or not all(isinstance(found, list) for found in jobs.values()):
        raise UserError('TF_CONFIG: "cluster" must give a list of host:port for each task type, such as "worker"')
    task = config.get("task")
    kind = task.get("type") if isinstance(task, dict) else None
    for name in (*jobs, kind):
        _check_type(name)
    if len(jobs.get("chief", ())) > 1:
        raise UserError("TF_CONFIG has several chiefs; there is one, and the others are workers")
    addresses = tuple(_address(address) for name in _WORKERS for address in jobs.get(name, ()))
    if len(set(addresses)) < len(addresses):
        raise UserError(f"TF_CONFIG gives an address twice: {', '.join(addresses)}")
    counts = tuple((name, len(jobs[name])) for name in _WORKERS if jobs.get(name))
    return Cluster(addresses, _index(task, kind, jobs), counts)


def _check_type(name: Any) -> None:
    if name in _REFUSED:
        raise UserError(f"TF_CONFIG has '{name}', {_REFUSED[name]}; give it chief and worker alone")
    if name not in _WORKERS:
        raise UserError(f"TF_CONFIG: task type '{name}', allowed: chief or worker{nearest(str(name), _WORKERS)}")


def _address(address: Any) -> str:
    host, _, port = str(address).rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UserError(f"TF_CONFIG: '{address}' is no host:port")
    return str(address)


def _index(task: Any, kind: Any, jobs: Mapping[str, list[Any]]) -> int:
    """Return the place among all workers, the chief first."""
    try:
        index = int(task["index"])
    except (KeyError, TypeError, ValueError):
        raise UserError(f'TF_CONFIG: "task" has no "index" that is a number: {json.dumps(task)}') from None
    count = len(jobs.get(kind, ()))
    if not 0 <= index < count:
        raise UserError(f"TF_CONFIG: task {kind} {index}, but the cluster has {count} of type {kind}, counted from 0")
    return index + (len(jobs.get("chief", ())) if kind == "worker" else 0)
