"""Memory: what is free, and that running out of it is an error with advice, also where the process has to end."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from small_runs import FLOAT32, SMALL

from kerasnets import config as configs
from kerasnets.errors import UserError
from kerasnets.training import memory
from kerasnets.training.exhausted import Guard, bytes_per_image, smaller_part
from kerasnets.training.job import Job, assemble, evaluation_batch

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems do not tell what is free")
MIB = 1 << 20


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def free(root: Path, cgroup: str, **groups: tuple[str, int, int]) -> int | None:
    """Return what is free of a machine with 1,000 MiB, in groups of (limit, usage, cached)."""
    write(root, {"proc/meminfo": "MemFree: 5 kB\nMemAvailable: 1024000 kB\n", "proc/self/cgroup": cgroup})
    for name, (limit, usage, cached) in groups.items():
        place = "cgroup/" + name.replace("__", "/")
        names = ("limit_in_bytes", "usage_in_bytes", "total_") if "memory" in name else ("max", "current", "")
        statistics = f"anon 1\n{names[2]}inactive_file {cached * MIB}\n{names[2]}active_file {MIB}\n"
        write(root, {f"{place}/memory.{names[0]}": f"{limit}\n", f"{place}/memory.stat": statistics})
        write(root, {f"{place}/memory.{names[1]}": f"{usage * MIB}\n"})
    return memory.Free(root / "proc", root / "cgroup")()


def test_a_machine_alone(tmp_path: Path) -> None:
    assert free(tmp_path, "0::/\n") == 1000 * MIB


def test_the_tightest_of_the_groups_around_a_process_counts_and_files_pages_are_free(tmp_path: Path) -> None:
    pod, inner = (str(400 * MIB), 300, 50), ("max", 290, 0)
    assert free(tmp_path, "0::/pod/inner\n", pod=pod, pod__inner=inner) == (400 - 300 + 50 + 1) * MIB


def test_version_one_by_the_path_of_the_host_that_a_container_does_not_see(tmp_path: Path) -> None:
    lines = "9:cpuset:/docker/ab\n4:cpu,memory:/docker/ab\n0::/docker/ab\n"
    assert free(tmp_path, lines, memory=(str(600 * MIB), 500, 0)) == 101 * MIB


def test_version_one_without_a_limit(tmp_path: Path) -> None:
    assert free(tmp_path, "4:memory:/a\n", memory__a=(str(9223372036854771712), 10, 0)) == 1000 * MIB


def test_a_system_that_does_not_tell(tmp_path: Path) -> None:
    assert memory.Free(tmp_path, tmp_path)() is None
    assert memory.used(tmp_path) is None


@LINUX
def test_used_is_what_is_taken_not_what_is_asked_for() -> None:
    before = memory.used()
    asked = np.empty(64 * MIB, np.uint8)
    untouched = memory.used()
    asked[:] = 1
    after = memory.used()
    assert before is not None and untouched is not None and after is not None
    assert untouched - before < 16 * MIB and after - before > 56 * MIB


@LINUX
def test_limits() -> None:
    assert memory.Limit.of(None) is None
    limit, most = memory.Limit.of("auto"), memory.Limit.of(1000)
    now = memory.Free()()
    assert limit is not None and most is not None and now is not None
    assert 0.01 * now < limit.reserve < 0.3 * now
    assert 0 < most.left() < 1000e9
    with pytest.raises(UserError, match=r"^training.max_memory=0.01: \d+\.\d GB are taken before the first step$"):
        memory.Limit.of(0.01)


@LINUX
@pytest.mark.parametrize("room", [20, 500])
def test_the_watch_calls_when_this_process_takes_more_than_it_may(room: int) -> None:
    spent = threading.Event()
    most = (memory.used() or 0) + room * MIB
    with memory.watching(memory.Limit(memory.Free(), most=most), spent.set):
        taken = np.ones(100 * MIB, np.uint8)
        called = spent.wait(2 if room == 20 else 0.5)
    assert called == (room == 20) and taken[-1] == 1


def test_what_another_process_takes_does_not_end_this_one() -> None:
    spent = threading.Event()
    with memory.watching(memory.Limit(lambda: 0, reserve=100), spent.set):
        assert not spent.wait(0.3)


def plenty(size: int) -> bool:
    return True


@pytest.mark.parametrize(
    ("part", "fits", "validating", "expected"),
    [
        *((256, plenty, False, 128), (200, plenty, False, 64), (2, plenty, False, 1), (1, plenty, False, None)),
        *((4096, lambda size: size < 100, False, 64), (64, lambda size: False, False, 1)),
        *((128, plenty, True, 16), (512, plenty, True, 128), (8, plenty, True, 4)),
    ],
)
def test_the_size_to_try(part: int, fits: Callable[[int], bool], validating: bool, expected: int | None) -> None:
    assert smaller_part(part, fits, validating) == expected


def test_passes_without_gradients_take_more_images() -> None:
    assert [evaluation_batch(part) for part in (1, 8, 32, 100, 128, 200, 1024)] == [4, 32, 128, 128, 128, 200, 256]


@pytest.fixture(scope="module")
def job() -> Job:
    words = [*SMALL, "training.batch_size=64", "training.accumulate=2", "telemetry.every=0"]
    return assemble(configs.load("digits-resnet20", words), check_files=False)[0]


def fail(job: Job, cause: Callable[[], object], stage: str = "training") -> str:
    guard = Guard(job)
    with pytest.raises(UserError) as raised, guard.watching():
        guard.stage = stage
        cause()
    return str(raised.value)


@pytest.mark.slow  # TensorFlow waits ten seconds for memory to become free
def test_tensorflows_error_names_the_tensor_and_what_to_try(job: Job) -> None:
    assert fail(job, lambda: tf.zeros([1 << 20, 1 << 20])) == (
        "out of memory in training with training.batch_size=64 in 2 parts: a tensor of 1048576 x 1048576 (float) did "
        "not fit on CPU:0; try training.batch_size=32, or training.accumulate=4, which keeps the batch"
    )


def test_numpys_error_while_validating(job: Job) -> None:
    said = fail(job, lambda: np.zeros(1 << 50), "validation")
    assert said.startswith("out of memory in validation with training.batch_size=64 in 2 parts: Unable to allocate 8.")
    assert said.endswith("; try training.batch_size=32, or training.accumulate=4, which keeps the batch")


def test_a_full_disk_is_not_out_of_memory(job: Job) -> None:
    full = tf.errors.ResourceExhaustedError(None, None, "/runs/x/events; No space left on device")
    with pytest.raises(tf.errors.ResourceExhaustedError), Guard(job).watching():
        raise full


def test_stages_follow_fit(job: Job) -> None:
    guard = Guard(job)
    guard.on_test_begin()
    assert guard.stage == "validation"
    guard.on_test_end()
    assert guard.stage == "training"


def test_images_need_all_layers_outputs(job: Job) -> None:
    pixels = 8 * 8
    assert 1.5 * 4 * 16 * pixels * 5 < bytes_per_image(job.fast.net) < 1.5 * 4 * 16 * pixels * 30


def run(words: Sequence[str], out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kerasnets", "train", "digits-resnet20", *words, "--out", str(out)]
    environment = os.environ | {"COLUMNS": "500"}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)


@LINUX
@pytest.mark.slow
def test_a_run_that_needs_too_much_ends_with_advice(tmp_path: Path) -> None:
    words = ["model.blocks=[1, 1, 1]", "data.image_size=64", "training.batch_size=1024", "telemetry.every=0", FLOAT32]
    done = run([*words, "training.max_memory=0.8"], tmp_path / "run")
    assert done.returncode == 2, done.stderr[-2000:]
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: out of memory in training with training.batch_size=1024: 0.8 GB are taken, 0.")
    size = int(last.partition("try training.batch_size=")[2].partition(",")[0])
    assert 8 <= size <= 128 and f"training.accumulate={1024 // size}, which keeps the batch" in last
    small = ["data.image_size=8", "training.epochs=1", "training.max_memory=2", "telemetry.images=false"]
    done = run([*words, *small, "training.batch_size=256"], tmp_path / "small")
    assert done.returncode == 0, done.stderr[-2000:]
