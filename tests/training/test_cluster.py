"""TF_CONFIG: what it means, and what is wrong with it."""

import json
import socket
from typing import Any

import pytest

from kerasnets.errors import UserError
from kerasnets.training import distribute
from kerasnets.training.cluster import Cluster, cluster

TWO = ["a:1", "b:2"]


def read(jobs: Any, kind: Any = "worker", index: Any = 0) -> Cluster:
    return cluster({"TF_CONFIG": json.dumps({"cluster": jobs, "task": {"type": kind, "index": index}})})


def test_the_chief_is_worker_0() -> None:
    assert read({"worker": TWO, "chief": ["c:3"]}, "worker", 1) == Cluster(
        ("c:3", "a:1", "b:2"), 2, (("chief", 1), ("worker", 2))
    )
    assert read({"worker": TWO, "chief": ["c:3"]}, "chief").chief
    assert read({"worker": TWO}, index="1").index == 1  # some set it as text
    assert not read({"worker": TWO}, index=1).chief


@pytest.mark.parametrize("text", ["", "  ", "{}", '{"cluster": {}, "task": {"type": "worker", "index": 0}}'])
def test_without_a_cluster_there_is_one_worker(text: str) -> None:
    assert cluster({"TF_CONFIG": text}) == cluster({}) == Cluster()
    assert len(Cluster()) == 1 and Cluster().chief


@pytest.mark.parametrize(
    ("jobs", "kind", "index", "words"),
    [
        (
            {"worker": TWO},
            "worker",
            2,
            "TF_CONFIG: task worker 2, but the cluster has 2 of type worker, counted from 0",
        ),
        ({"worker": TWO}, "worker", -1, "TF_CONFIG: task worker -1, but the cluster has 2 of type worker"),
        ({"worker": TWO}, "chief", 0, "TF_CONFIG: task chief 0, but the cluster has 0 of type chief"),
        ({"worker": TWO}, "worker", "first", 'TF_CONFIG: "task" has no "index" that is a number'),
        (
            {"worker": TWO},
            "wroker",
            0,
            "TF_CONFIG: task type 'wroker', allowed: chief or worker; did you mean 'worker",
        ),
        (
            {"worker": TWO, "ps": ["c:3"]},
            "worker",
            0,
            "TF_CONFIG has 'ps', parameter servers: kerasnets trains in",
        ),
        (
            {"worker": TWO},
            "evaluator",
            0,
            "TF_CONFIG has 'evaluator', an evaluator: kerasnets validates on the",
        ),
        ({"chief": TWO}, "chief", 0, "TF_CONFIG has several chiefs"),
        ({"worker": ["a:1", "a:1"]}, "worker", 0, "TF_CONFIG gives an address twice: a:1, a:1"),
        ({"worker": ["a", "b:2"]}, "worker", 0, "TF_CONFIG: 'a' is no host:port"),
        ({"worker": ["a:99999", "b:2"]}, "worker", 0, "TF_CONFIG: 'a:99999' is no host:port"),
        ({"worker": "a:1"}, "worker", 0, 'TF_CONFIG: "cluster" must give a list of host:port'),
    ],
)
def test_what_is_wrong_is_named(jobs: Any, kind: Any, index: Any, words: str) -> None:
    with pytest.raises(UserError) as error:
        read(jobs, kind, index)
    assert str(error.value).startswith(words)


def test_not_json() -> None:
    with pytest.raises(UserError, match="^TF_CONFIG is not JSON: Expecting property name"):
        cluster({"TF_CONFIG": "{cluster"})


def test_a_port_in_use_and_workers_that_do_not_listen() -> None:
    with socket.socket() as taken, socket.socket() as free:
        for each in (taken, free):
            each.bind(("127.0.0.1", 0))
        taken.listen()
        addresses = tuple(f"127.0.0.1:{each.getsockname()[1]}" for each in (taken, free))
        with pytest.raises(UserError, match=f"port {taken.getsockname()[1]} of worker 0 .* cannot be used: Address"):
            Cluster(addresses, 0).check_port()
        assert Cluster(addresses, 0).unreachable() == [f"worker 1 ({addresses[1]})"]
        assert Cluster(addresses, 1).unreachable() == []


def test_strategy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert distribute.resolve("auto") == "none"
    assert distribute.resolve("mirrored") == "mirrored"
    with pytest.raises(UserError, match="^training.strategy=multi_worker: TF_CONFIG"):
        distribute.resolve("multi_worker")
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": TWO}, "task": {"type": "worker", "index": 0}}))
    assert distribute.resolve("auto") == "multi_worker"
    assert distribute.resolve("none") == "none"
    monkeypatch.setattr(distribute.tf.config, "list_physical_devices", lambda kind: ["GPU:0", "GPU:1"])
    monkeypatch.delenv("TF_CONFIG")
    assert distribute.resolve("auto") == "mirrored"
