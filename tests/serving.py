"""A server in a process of its own, and what tests and proofs do to it. Imports neither kserve nor a client."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import requests

_LISTENING = re.compile(r"listening: REST (http://\S+), gRPC (\S+)")


def publish(version: Path, store: Path, name: str, number: int) -> Path:
    """Put a copy of a published version into a store under another name and number, at once as the real store does."""
    target = store / name / str(number)
    aside = store / name / f".incoming-{number}"
    shutil.copytree(version, aside)
    manifest = json.loads((aside / "manifest.json").read_text())
    (aside / "manifest.json").write_text(json.dumps({**manifest, "name": name, "version": number}))
    aside.rename(target)
    return target


class Server:
    """`kerasnets serve` on free ports; `with` waits until it listens and ends it with SIGTERM."""

    def __init__(self, store: Path, *options: str) -> None:
        line = [sys.executable, "-m", "kerasnets", "serve", str(store), "--port", "0", "--grpc-port", "0", *options]
        self.process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        self._said = 0
        self.url, self.grpc = "", ""
        self._listens = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.lines.append(line.rstrip())
            if found := _LISTENING.search(line):
                self.url, self.grpc = found.groups()
                self._listens.set()
        self._listens.set()

    def __enter__(self) -> Self:
        assert self._listens.wait(120) and self.url, "\n".join(self.lines)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.stop(signal.SIGTERM if kind is None else signal.SIGKILL)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of REST."""
        host, port = self.url.removeprefix("http://").split(":")
        return host, int(port)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, and return the exit code."""
        os.kill(self.process.pid, number)
        return self.wait()

    def wait(self) -> int:
        """Wait for the end and return the exit code."""
        code = self.process.wait(60)
        self._reader.join()
        assert self.process.stderr
        self.process.stderr.close()
        return code

    def says(self, words: str, seconds: float = 30.0) -> str:
        """Wait for a line with these words, after the one that the last call found, and return it."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for place in range(self._said, len(self.lines)):
                if words in self.lines[place]:
                    self._said = place + 1
                    return self.lines[place]
            time.sleep(0.02)
        raise AssertionError(f"no line with '{words}' in {self.lines[self._said :]}")

    def metric(self, name: str) -> float:
        """Return the sum of a metric over its labels."""
        lines = requests.get(f"{self.url}/metrics", timeout=30).text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if re.match(rf"{name}[ {{]", line))

    def memory(self) -> int:
        """Return the resident bytes of the process."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]

    def cpu(self) -> float:
        """Return the seconds of processor time that the process has taken."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def tensor_request(model: str, images: np.ndarray) -> bytes:
    """Return a whole HTTP request of the Open Inference Protocol, its tensor in binary."""
    raw = images.tobytes()
    given = {"name": "image", "datatype": "FP32" if images.dtype == np.float32 else "UINT8", "shape": images.shape}
    inputs = [{**given, "parameters": {"binary_data_size": len(raw)}}]
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    lines = [f"POST /v2/models/{model}/infer HTTP/1.1", "Host: test", f"Content-Length: {len(head) + len(raw)}"]
    lines += [f"Inference-Header-Content-Length: {len(head)}", "", ""]
    return "\r\n".join(lines).encode() + head + raw


class Connection:
    """A keep-alive HTTP connection that costs its client little: the request is made once, sent again and again."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._socket: socket.socket | None = None

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a whole request and return status and body; connects where there is no connection.

        Raises:
            ConnectionRefusedError: nobody listens any more, so nothing was sent.
            ConnectionError: the connection broke before there was an answer.
        """
        if self._socket is None:
            self._socket = socket.create_connection(self._address, timeout=60)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        got = b""
        while b"\r\n\r\n" not in got:
            got += self._received()
        head, _, body = got.partition(b"\r\n\r\n")
        names = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        while len(body) < int(names[b"content-length"]):
            body += self._received()
        if names.get(b"connection") == b"close":
            self.close()
        return int(head.split(b" ", 2)[1]), body

    def close(self) -> None:
        """Close it, if it is open."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _received(self) -> bytes:
        assert self._socket
        if not (found := self._socket.recv(65536)):
            raise ConnectionResetError("the server closed the connection before it answered")
        return found


class Load:
    """So many clients, each asking again as soon as it is answered, in threads."""

    def __init__(self, address: tuple[str, int], request: bytes, clients: int) -> None:
        self.seconds: list[float] = []
        """Of each answer."""
        self.errors: list[str] = []
        self.refused = 0
        """Clients that ended as nobody listened any more."""
        self.bodies: set[bytes] = set()
        self._address, self._request = address, request
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._client) for _ in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ends.set()
        self.wait()

    def wait(self) -> None:
        """Wait until all clients have ended."""
        for thread in self._threads:
            thread.join()

    def _client(self) -> None:
        connection = Connection(self._address)
        while not self._ends.is_set():
            began = time.monotonic()
            try:
                status, body = connection.ask(self._request)
            except ConnectionRefusedError:
                self.refused += 1
                break
            except OSError as error:
                self.errors.append(repr(error))
                break
            if status != 200:
                self.errors.append(f"{status} {body[:200]!r}")
            self.seconds.append(time.monotonic() - began)
            self.bodies.add(body)
        connection.close()


def main() -> None:
    """Load in a process of its own: `python serving.py HOST PORT MODEL CLIENTS SECONDS N,H,W,C` prints JSON."""
    host, port, model, clients, seconds, shape = sys.argv[1:]
    images = np.random.default_rng(0).integers(0, 256, [int(n) for n in shape.split(",")]).astype(np.float32)
    cpu, began = time.process_time(), time.monotonic()
    with Load((host, int(port)), tensor_request(model, images), int(clients)) as load:
        time.sleep(float(seconds))
    took = time.monotonic() - began
    found = {"seconds": took, "cpu": time.process_time() - cpu, "latencies": load.seconds, "errors": load.errors}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
