"""Parts of the server alone: batches, inputs of other kinds, memory, what is said without the extra."""

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from kerasnets.artifacts.feed import Feed
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.serve.batching import Batcher
from kerasnets.serve.limits import Limits
from kerasnets.serve.opened import Opened
from kerasnets.serve.question import Question
from kerasnets.serve.refusals import Busy, Refused
from kerasnets.serve.room import Place, Room
from kerasnets.serve.served import Served
from kerasnets.serve.tensors import Tensor, question


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


def test_without_the_sdk_the_command_that_installs_it_is_given() -> None:
    code = "import sys; sys.modules['kserve'] = None; sys.argv[1:] = ['serve', 'x']"
    code += "; from kerasnets.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "kerasnets serve needs kserve; install it with: pip install 'kerasnets[serve]'" in done.stderr
