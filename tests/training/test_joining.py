"""Workers wait for each other, and say for whom."""

import threading
import time

import pytest
from workers import ports

from kerasnets.errors import UserError
from kerasnets.training import joining
from kerasnets.training.cluster import Cluster
from kerasnets.training.joining import join


def addresses(count: int) -> tuple[str, ...]:
    return tuple(f"127.0.0.1:{port}" for port in ports(count))


@pytest.mark.parametrize("last", [0, 2])
def test_all_go_once_the_last_is_there(last: int) -> None:
    where, gone = addresses(3), []

    def work(index: int) -> None:
        join(Cluster(where, index), lambda words: None, 20)
        gone.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(3)]
    for index in (k for k in range(3) if k != last):
        threads[index].start()
    time.sleep(0.3)
    assert not gone
    threads[last].start()
    for thread in threads:
        thread.join(20)
    assert sorted(gone) == [0, 1, 2]


def test_who_does_not_come_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "SAY_EVERY", 0.2)
    where, said = addresses(2), []
    with pytest.raises(UserError) as error:
        join(Cluster(where, 0), said.append, 1)
    assert str(error.value) == f"worker 0 waited in vain for worker 1 ({where[1]})"
    assert said[0] == f"worker 0 waits for worker 1 ({where[1]})"
    with pytest.raises(UserError, match=r"^worker 1 waited in vain for worker 0 \(127"):
        join(Cluster(where, 1), said.append, 0.7)


def test_a_port_in_use() -> None:
    where = addresses(2)
    with Cluster(where, 1).listen(), pytest.raises(UserError, match=r"of worker 1 \(127.* cannot be used: Address"):
        join(Cluster(where, 1), print, 1)


def test_what_does_not_greet_is_not_worker_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "_ANSWER", 0.5)
    where = addresses(2)
    listener = Cluster(where, 0).listen()
    with listener, pytest.raises(UserError, match="^worker 1 waited in vain for worker 0"):
        threading.Thread(target=lambda: listener.accept()[0].close()).start()
        join(Cluster(where, 1), print, 0.7)
