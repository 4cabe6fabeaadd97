"""What a server is sent that is no request: each of these returns a row for the table and whether it holds."""

import base64
import json
import random
import socket
import tempfile
import time
from collections import Counter
from pathlib import Path

import requests
from bombs import png, scans
from serving import Connection, Server

Row = tuple[str, str, bool]
_PIXEL = {"instances": [[[[1, 2, 3]]]]}


def _serves(server: Server, model: str) -> bool:
    return requests.post(f"{server.url}/v1/models/{model}:predict", json=_PIXEL, timeout=60).status_code == 200


def random_bodies(server: Server, model: str, count: int) -> Row:
    """Random bytes, and good requests with a few bytes exchanged, by both protocols."""
    draw, connection, seen = random.Random(0), Connection(server.address), Counter[int]()
    tensor = {"name": "image", "shape": [1, 1, 1, 3], "datatype": "FP32", "data": [1, 2, 3]}
    good = json.dumps({"inputs": [tensor], "outputs": [{"name": "classes"}]}).encode()
    paths = [f"/v1/models/{model}:predict", f"/v2/models/{model}/infer"]
    before = server.memory()
    for number in range(count):
        body = bytearray(draw.randbytes(draw.randrange(400)) if number % 2 else good)
        for _ in range(draw.randrange(1, 4) * (number % 2 == 0)):
            body[draw.randrange(len(body))] = draw.randrange(256)
        head = f"POST {draw.choice(paths)} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        head += f"Inference-Header-Content-Length: {draw.randrange(500)}\r\n" * (number % 5 == 0)
        seen[connection.ask(f"{head}\r\n".encode() + body)[0]] += 1
    connection.close()
    grown = (server.memory() - before) >> 20
    words = ", ".join(f"{n:,} times {status}" for status, n in sorted(seen.items()))
    holds = all(status < 500 for status in seen) and grown < 200 and _serves(server, model)
    return f"{count:,} random bodies", f"{words}; memory {grown:+} MiB; serves on", holds


def slow_clients(server: Server, model: str, seconds: float, each: int) -> Row:
    """Connections that say nothing, stop in their headers, or stop in their body, beside one that asks."""
    starts = (
        b"",
        b"POST / HTTP/1.1\r\nHost:",
        b"POST /v2/models/%s/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\na",
    )
    clients = []
    for start in starts:
        for _ in range(each):
            client = socket.create_connection(server.address, timeout=60)
            client.sendall(start.replace(b"%s", model.encode()))
            clients.append(client)
    began, latencies = time.monotonic(), list[float]()
    while time.monotonic() - began < seconds / 2:
        asked = time.monotonic()
        _ = _serves(server, model) or latencies.append(60.0)
        latencies.append(time.monotonic() - asked)
    ended = [_ended(client) for client in clients]
    took, slowest = time.monotonic() - began, max(latencies) * 1000
    holds = all(ended) and took < 3 * seconds + 5 and slowest < 2000 and _serves(server, model)
    words = f"all ended within {took:.1f} s (--timeout {seconds:g}); meanwhile the slowest answer took {slowest:.0f} ms"
    return f"{3 * each:,} slow clients", words, holds


def _ended(client: socket.socket) -> bool:
    with client:
        try:
            return not client.recv(4096) or not client.recv(4096)
        except ConnectionResetError:
            return True


def large_body(server: Server, model: str) -> Row:
    """1 GiB with its length in the header, and again without."""
    before, url, said = server.memory(), f"{server.url}/v2/models/{model}/infer", []
    with tempfile.TemporaryFile() as file:
        file.truncate(1 << 30)
        for body in (file, (bytes(1 << 20) for _ in range(1024))):
            try:
                said.append(str(requests.post(url, data=body, timeout=120).status_code))
            except requests.ConnectionError:
                said.append("cut off")
    grown = (server.memory() - before) >> 20
    holds = set(said) <= {"413", "cut off"} and grown < 200 and _serves(server, model)
    return "a body of 1 GiB, with and without its length", f"{', '.join(said)}; memory {grown:+} MiB; serves on", holds


def bombs(server: Server, model: str) -> Row:
    """Images that unpack to far more than they are, or take long; JSON that is deep or wide."""
    url, before, statuses, slowest = f"{server.url}/v1/models/{model}:predict", server.memory(), Counter[int](), 0.0
    files = [png(20_000, 20_000), png(60_000, 60), scans(4096, 60), scans(1024, 400)]
    bodies = [json.dumps({"instances": [{"b64": base64.b64encode(file).decode()}]}).encode() for file in files]
    bodies += [b'{"instances":' + b"[" * 100_000, b'{"instances":[' + b"[]," * 5_000_000 + b"[]]}"]
    bodies.append(json.dumps({"instances": ["a" * 8_000_000, *"b" * 1_000_000]}).encode())
    for body in bodies:
        began = time.monotonic()
        statuses[requests.post(url, data=body, timeout=120).status_code] += 1
        slowest = max(slowest, time.monotonic() - began)
    grown = (server.memory() - before) >> 20
    holds = set(statuses) <= {200, 400, 503} and grown < 1500 and slowest < 20 and _serves(server, model)
    words = ", ".join(f"{n} times {status}" for status, n in sorted(statuses.items()))
    return f"{len(bodies)} bombs (PNG, JPEG, JSON)", f"{words}; slowest {slowest:.1f} s; memory {grown:+} MiB", holds


def all_rows(store: Path, model: str, count: int) -> list[Row]:
    """Return a row for each, all against one server."""
    with Server(store, "--model", model, "--timeout", "5") as server:
        rows = [bombs(server, model), large_body(server, model), random_bodies(server, model, count)]
        return [*rows, slow_clients(server, model, 5, 100)]
