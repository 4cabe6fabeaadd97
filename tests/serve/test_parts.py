"""Parts of the server alone: batches, inputs of other kinds, memory, what is said without the extra."""

import asyncio
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kerasnets.artifacts.feed import Feed
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.errors import UserError
from kerasnets.serve import encoded
from kerasnets.serve.batching import Batcher
from kerasnets.serve.limits import Limits
from kerasnets.serve.opened import Opened
from kerasnets.serve.question import Question
from kerasnets.serve.refusals import Busy, Refused
from kerasnets.serve.repository import Repository
from kerasnets.serve.room import Place, Room
from kerasnets.serve.served import Served
from kerasnets.serve.state import State
from kerasnets.serve.tensors import Tensor, question
from kerasnets.serve.watching import Choice, Watcher


class Quiet:
    """Metrics that nobody reads."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


@dataclass
class Mean:
    """A runner whose probabilities are each image's mean and what is left of 255; keeps the batches that it saw."""

    batches: list[tuple[int, ...]] = field(default_factory=list)
    labels: tuple[str, ...] = ("light", "dark")
    signatures: Any = None

    def outputs(self, images: np.ndarray) -> dict[str, np.ndarray]:
        self.batches.append(images.shape)
        light = images.mean(axis=(1, 2, 3), dtype=np.float32) / 255
        return {"probabilities": np.stack([light, 1 - light], axis=1), "unknown": light < 0.9}

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return self.outputs(images)["probabilities"]


def opened(feed: Feed | None = None) -> Opened:
    """Return a version of that runner, 4 x 4 pixels."""
    pixels = Preprocessing((4, 4), 3, "squash", 1.0, (0.0,) * 3, (1.0,) * 3)
    outputs = {"probabilities": {"dtype": "float32", "shape": [None, 2]}, "unknown": {"dtype": "bool", "shape": [None]}}
    return Opened("mean", 1, "onnx", ("light", "dark"), pixels, feed or Feed(), outputs, Mean())


def asked(version: Opened, limits: Limits, *questions: Question) -> list[Any]:
    """Ask all questions at the same time and return the answers, or what was raised."""

    async def run() -> list[Any]:
        batcher = Batcher(limits, Quiet())  # type: ignore[arg-type]
        with ThreadPoolExecutor(2) as decoders:
            served = Served(version, batcher, decoders, limits)
            task = asyncio.create_task(batcher.run())
            try:
                return list(await asyncio.gather(*(served.ask(q) for q in questions), return_exceptions=True))
            finally:
                task.cancel()
                batcher.close()

    return asyncio.run(run())


def pixels(value: int, count: int = 1, size: int = 4, outputs: tuple[str, ...] = ("probabilities",)) -> Question:
    """Return a question with images of one colour."""
    return Question(Place(Room(1 << 20)), np.full((count, size, size, 3), value, np.uint8), (), outputs)


def test_images_of_one_size_are_computed_together_and_answered_apart() -> None:
    version = opened()
    found = asked(version, Limits(delay=0.05), pixels(255), pixels(0, 2), pixels(51, size=5), pixels(0))
    assert sorted(version.runner.batches) == [(1, 5, 5, 3), (4, 4, 4, 3)]  # type: ignore[attr-defined]
    assert [(f["probabilities"][:, 0] * 255).round().tolist() for f in found] == [[255], [0, 0], [51], [0]]


def test_batches_are_cut_by_images_and_by_pixels() -> None:
    version = opened()
    found = asked(version, Limits(batch=3, delay=0.05), pixels(255, 7))
    assert [shape[0] for shape in version.runner.batches] == [3, 3, 1]  # type: ignore[attr-defined]
    assert found[0]["probabilities"].shape == (7, 2)
    version = opened()
    asked(version, Limits(pixels=40, delay=0.05), pixels(255, 5))
    assert [shape[0] for shape in version.runner.batches] == [2, 2, 1]  # type: ignore[attr-defined]


def test_a_full_queue_refuses() -> None:
    found = asked(opened(), Limits(queue=3, delay=0.05), pixels(0, 2), pixels(0, 2))
    assert [type(f) for f in found] == [dict, Busy]


def test_a_request_of_several_sizes_is_queued_whole_or_not_at_all() -> None:
    version, waiting = opened(), []

    async def run() -> None:
        batcher = Batcher(Limits(queue=3), Quiet())  # type: ignore[arg-type]
        with pytest.raises(Busy):
            await batcher(version, [np.zeros((2, 4, 4, 3), np.uint8), np.zeros((2, 5, 5, 3), np.uint8)])
        waiting.append(batcher._images)
        batcher.close()

    asyncio.run(run())
    assert waiting == [0]


def test_after_a_refused_file_no_more_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []

    def pixels_of(content: bytes, channels: int) -> np.ndarray:
        decoded.append(content)
        time.sleep(0.01)
        raise Refused("broken")

    monkeypatch.setattr(encoded, "pixels", pixels_of)
    monkeypatch.setattr(encoded, "size", lambda content, most: 1)
    found = asked(opened(), Limits(), Question(Place(Room(1 << 20)), None, (b"x",) * 50, ("probabilities",)))
    assert isinstance(found[0], Refused)
    assert len(decoded) < 10


def test_a_fault_in_a_runner_ends_its_batch_alone() -> None:
    version = opened()
    good, mean = pixels(255), version.runner.outputs

    def faulty(images: np.ndarray) -> dict[str, np.ndarray]:
        if images.shape[1] == 5:
            raise RuntimeError("broken")
        return mean(images)

    version.runner.outputs = faulty  # type: ignore[method-assign]
    found = asked(version, Limits(), pixels(0, size=5), good)
    assert isinstance(found[0], RuntimeError) and isinstance(found[1], dict)


def test_unknown_is_answered_where_the_artefact_says_it() -> None:
    found = asked(opened(), Limits(), pixels(51, outputs=("unknown", "classes", "scores")))[0]
    assert (found["unknown"].tolist(), found["classes"].tolist()) == ([True], [["dark", "light"]])
    assert np.allclose(found["scores"], [[0.8, 0.2]])


@pytest.mark.parametrize(
    ("feed", "datatype", "shape", "sentence"),
    [
        (Feed("uint8"), "FP32", (1, 4, 4, 3), "image has the datatype FP32; mean takes UINT8"),
        (Feed(static=True), "FP32", (1, 5, 4, 3), "image has the shape [1, 5, 4, 3]; mean takes [N, 4, 4, 3]"),
    ],
)
def test_other_kinds_of_input_are_refused_in_words(
    feed: Feed, datatype: str, shape: tuple[int, ...], sentence: str
) -> None:
    served = Served(opened(feed), None, None, Limits())  # type: ignore[arg-type]
    with pytest.raises(Refused) as refused:
        question([Tensor("image", datatype, shape, raw=bytes(240))], [], served, Limits(), Place(Room(1 << 20)))
    assert str(refused.value) == sentence


def test_a_static_version_gets_files_at_its_size() -> None:
    version = opened(Feed("uint8", static=True))
    asked(version, Limits(delay=0.05), pixels(255, size=9), pixels(0, size=9))
    assert version.runner.batches == [(2, 4, 4, 3)]  # type: ignore[attr-defined]


def test_memory_is_given_back() -> None:
    room = Room(10)
    with Place(room) as place:
        place.take(6)
        with pytest.raises(Busy):
            place.take(5)
    assert room.held == 0
    with pytest.raises(Busy):
        place.take(1)  # a thread that went on after the time was over
    assert room.held == 0


def test_a_document_whose_sender_left_is_parsed_alone_too() -> None:
    began, ends, order = threading.Event(), threading.Event(), []

    def first() -> None:
        began.set()
        ends.wait(10)
        order.append("first")

    async def run() -> None:
        with ThreadPoolExecutor(2) as decoders:
            state = State(Limits(), Quiet(), Repository(Quiet()), decoders, Room(1))  # type: ignore[arg-type]
            left = asyncio.create_task(state.parsed(1 << 20, first))
            await asyncio.to_thread(began.wait, 10)
            left.cancel()
            second = asyncio.create_task(state.parsed(1 << 20, lambda: order.append("second")))
            await asyncio.wait([left, second], timeout=0.05)
            ends.set()
            await second

    asyncio.run(run())
    assert order == ["first", "second"]


def test_a_folder_that_cannot_be_read_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("birds", "flowers", "lost+found"):
        (tmp_path / name / "1").mkdir(parents=True)
        (tmp_path / name / "1" / "manifest.json").write_text("{}")
    choice, iterdir = Choice(tmp_path, (), (), 2, "onnx"), Path.iterdir
    assert choice.names() == ["birds", "flowers"]

    def locked(path: Path) -> Any:
        if path.name == "birds":
            raise PermissionError("locked")
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", locked)
    assert choice.names() == ["flowers"]


@pytest.mark.parametrize(("error", "again"), [(RuntimeError("no"), False), (FileNotFoundError("gone"), True)])
def test_a_version_that_fails_is_said_once_and_tried_when_its_files_change(
    error: Exception, again: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    version, tries = tmp_path / "birds" / "1", []
    version.mkdir(parents=True)
    (version / "manifest.json").write_text("{}")

    def failing(*_: Any) -> Opened:
        tries.append(1)
        raise error

    monkeypatch.setattr(Opened, "open", failing)
    choice, metrics = Choice(tmp_path, (), (), 2, "onnx"), Quiet()
    watcher = Watcher(choice, Repository(metrics), metrics, 1, lambda opened: None)  # type: ignore[arg-type, return-value]
    for _ in range(2):
        asyncio.run(watcher._refresh("birds"))
    assert len(tries) == 1 + again
    (version / "model.onnx").write_text("still coming")
    asyncio.run(watcher._refresh("birds"))
    assert len(tries) == 2 + again
    assert capsys.readouterr().err == f"birds: version 1 is not served: {error}\n"


def test_a_version_that_cannot_compute_is_a_users_error() -> None:
    version = opened()
    version.runner.outputs = lambda images: 1 / 0  # type: ignore[method-assign]
    with pytest.raises(
        UserError, match=r"mean version 1: onnx cannot compute images of the shape \[2, 4, 4, 3\]: Zero"
    ):
        version._warm(2)


def test_without_the_sdk_the_command_that_installs_it_is_given() -> None:
    missing = ("kserve", "uvicorn", "fastapi", "starlette", "orjson", "prometheus_client")
    code = f"import sys; sys.modules.update(dict.fromkeys({missing})); sys.argv[1:] = ['serve', 'x']"
    code += "; from kerasnets.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "kerasnets serve needs kserve; install it with: pip install 'kerasnets[serve]'" in done.stderr
