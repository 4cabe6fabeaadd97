"""`kerasnets benchmark train`: who runs, in which order, and what follows; timings themselves are not judged."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kerasnets.benchmark import turns
from kerasnets.benchmark.command import benchmark
from kerasnets.benchmark.train import arms, chart, peak, report
from kerasnets.benchmark.train.arms import AGAINST, Arm, Network, Task
from kerasnets.benchmark.train.measure import Bench
from kerasnets.benchmark.train.process import ArmProcess, Failed
from kerasnets.benchmark.train.result import Comparison, Peak, Result
from kerasnets.errors import UserError

GIGABYTE = 10**9
SECONDS = {"kerasnets": 0.1, "keras": 0.4, "torch": 0.2, "torch-compile": 0.25, "keras-applications": 0.5}


class Paced:
    """Stands for a process: float32 takes so long a step, bfloat16 half of it."""

    precision: str
    parameters, macs, device_memory, idle, loss = 7, 10**9, None, 0.0, 1.0
    first_step = 3.0

    def __init__(self, task: Task, log: list[str], fails: str = "") -> None:
        if str(task.arm) == fails:
            raise Failed("it ran out of memory")
        self.task, self.log, self.fails = task, log, fails
        self.precision = "bfloat16" if task.arm.precision == "auto" else task.arm.precision
        self.second_step = SECONDS[task.arm.kind] / (1 if self.precision == "float32" else 2)
        self.memory = 4 * GIGABYTE
        self.log.append(f"+{self.name}")

    @property
    def name(self) -> str:
        return f"{self.task.arm.kind}{'' if self.precision == 'float32' else '16'}"

    def steps(self, count: int) -> float:
        self.log.append(self.name)
        if self.fails == f"{self.task.arm} later":
            raise Failed("RuntimeError: no more")
        return self.second_step

    def close(self) -> None:
        self.log.append(f"-{self.name}")


@pytest.fixture
def with_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arms, "find_spec", lambda name: object())
    monkeypatch.setattr(arms.shutil, "which", lambda name: f"/usr/bin/{name}")


def bench(log: list[str], free: int | None = None, fails: str = "", **changes: Any) -> Comparison:
    start: Any = lambda task: Paced(task, log, fails)  # noqa: E731
    given: dict[str, Any] = {"against": ("keras", "torch"), "rounds": 2, "precision": "auto"} | changes
    with Bench(Network("resnet20", 32), start=start, free=lambda: free, **given) as made:
        return made.run()


def by_arm(found: Comparison) -> dict[tuple[str, str], Any]:
    return {(row.arm, row.precision): row for row in found.rows}


@pytest.mark.usefixtures("with_torch")
def test_arms_take_turns_and_are_compared_in_pairs() -> None:
    log: list[str] = []
    found = bench(log)
    begun = ["kerasnets16", "keras", "kerasnets", "keras16", "torch", "torch16", "torch-compile16"]
    assert [name[1:] for name in log if name.startswith("+")] == begun
    assert [name for name in log if name[0] not in "+-"] == [*begun, *reversed(begun)]
    rows = by_arm(found)
    ours = rows["kerasnets", "bfloat16"]
    assert found.rows[0] is ours and [row.rounds for row in found.rows] == [2] * 7
    assert ours.to_keras == pytest.approx(8) and ours.ours == 1
    assert rows["keras", "float32"].to_keras == 1 and rows["keras", "float32"].ours == pytest.approx(8)
    assert rows["torch-compile", "bfloat16"].ours == pytest.approx(2.5)
    assert ours.images_per_second == pytest.approx(32 / 0.05)
    assert ours.flops == pytest.approx(3 * 2 * 1e9 * 32 / 0.05)
    assert ours.share({"bfloat16": Peak(2 * ours.flops, "torch")}) == 0.5
    assert rows["kerasnets", "float32"].share({"bfloat16": Peak(1.0, "torch")}) is None


@pytest.mark.usefixtures("with_torch")
def test_what_does_not_fit_beside_the_others_comes_after_them() -> None:
    log: list[str] = []
    found = bench(log, free=4 * GIGABYTE)
    most = max(sum(1 if word[0] == "+" else -1 for word in log[:n] if word[0] in "+-") for n in range(len(log)))
    assert most == 3  # two that stay and one guest
    rows = by_arm(found)
    assert rows["keras", "float32"].rounds == rows["kerasnets", "bfloat16"].rounds == 10
    assert rows["torch", "float32"].rounds == 2 and rows["torch", "float32"].to_keras == pytest.approx(2)
    assert turns.ratio_of_rounds({1: 1.0}, {2: 1.0}) is None
    assert log.count("-torch") == log.count("-keras") == 1


@pytest.mark.usefixtures("with_torch")
def test_an_arm_that_fails_is_reported_and_the_others_go_on() -> None:
    found = bench([], fails="torch bfloat16")
    assert found.failed == {"torch bfloat16": "it ran out of memory"} and len(found.rows) == 6
    found = bench([], fails="torch float32 later")
    assert found.failed == {"torch float32": "RuntimeError: no more"} and ("torch", "float32") not in by_arm(found)
    found = bench([], fails="kerasnets auto")
    assert found.failed == {"kerasnets auto": "it ran out of memory"}
    assert all(row.ours is None and row.flops for row in found.rows)
    assert found.left_out == {"less than float32": "what pays here is not known, since ours failed"}
    assert by_arm(found)["torch", "float32"].to_keras == pytest.approx(2)


def test_rounds_take_about_half_a_minute() -> None:
    found = bench([], rounds=None, against=("keras",))
    assert found.steps == 2 and {row.rounds for row in found.rows} == {15}


def test_what_is_left_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arms, "find_spec", lambda name: None)
    found, left_out = arms.others("resnet20", AGAINST, "bfloat16", "")
    assert found == [Arm("kerasnets", "float32"), Arm("keras", "bfloat16")]
    assert left_out == {
        "keras-applications": "it has no resnet20; of the models here it has resnet50 as the paper has it",
        "torch": "needs torch: pip install torch",
        "torch-compile": "needs torch: pip install torch",
    }
    monkeypatch.setattr(arms, "find_spec", lambda name: object())
    monkeypatch.setattr(arms.shutil, "which", lambda name: None)
    monkeypatch.delenv("CXX", raising=False)
    found, left_out = arms.others("resnet50", AGAINST, "float32", "it was so asked")
    assert found == [Arm("keras-applications", "float32"), Arm("torch", "float32")]
    assert left_out["torch-compile"] == "needs a C++ compiler: apt-get install g++"
    assert left_out["less than float32"] == "it was so asked"
    _, left_out = arms.others("resnet50v2", ("torch",), "bfloat16", "")
    assert left_out["torch"] == "this benchmark has no PyTorch definition of resnet50v2"


def test_the_default_batch_goes_by_the_size() -> None:
    sizes = {name: Network.of(name, None).batch for name in ("resnet20", "lenet5", "resnet50", "googlenet")}
    assert sizes == {"resnet20": 128, "lenet5": 128, "resnet50": 32, "googlenet": 32}
    assert Network.of("resnet50", 4).batch == 4


def test_the_peak_is_that_of_the_best_size(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {1024: 0.01, 2048: 0.02, 4096: 0.4}
    asked: list[int] = []

    def prepared(side: int) -> Callable[[], object]:
        asked.append(side)
        return lambda: side

    monkeypatch.setattr(peak, "_timed", lambda product: seconds[product()])
    assert peak.best(prepared) == 2 * 2048**3 / 0.02
    assert asked == [1024, 2048, 4096]


@pytest.mark.usefixtures("with_torch")
def test_the_table_and_the_chart_name_each_arm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = Result((bench([], fails="torch bfloat16"),), {"float32": Peak(1e12, "torch")})
    report.show(found, report.about())
    shown = capsys.readouterr().out
    for words in (
        "resnet20, 32x32, batch 32",
        "8.00 x",
        "torch bfloat16 failed: it ran out of memory",
        "peak, float32: 1,000 GFLOP/s, the best matrix product (torch)",
        "torch-compile: the same with torch.compile(model), whose caches are empty",
        "the same for all: each arm in a process of its own",
    ):
        assert words in shown
    chart.write(found, tmp_path / "c.svg", "two cores")
    text = (tmp_path / "c.svg").read_text()
    for words in ("two cores", "resnet20", "torch-compile, bfloat16", "images/s", "640 (8x)", "peak memory, GB"):
        assert words in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--models", "resnt50"],
            "--models: model.name is 'resnt50', which is no model; `kerasnets models` lists them; "
            "did you mean 'resnet50'?",
        ),
        (["--models", "a:b"], "--models a:b: this measures models of `kerasnets models`"),
        (["--models", ","], "--models names none"),
        (["--against", "troch"], "--against troch: there are keras, keras-applications, torch; did you mean 'torch'?"),
        (["--chart", "c.gif"], "--chart c.gif: a chart is a .png or .svg file"),
    ],
)
def test_wrong_input(words: list[str], message: str) -> None:
    with pytest.raises(UserError) as error:
        CliRunner().invoke(benchmark, ["train", *words], catch_exceptions=False)
    assert str(error.value) == message


@pytest.mark.slow
def test_by_command() -> None:
    words = ["--models", "resnet8", "--against", "keras", "--batch", "4", "--rounds", "2", "--precision", "float32"]
    done = CliRunner().invoke(benchmark, ["train", *words, "--json"], catch_exceptions=False)
    found = json.loads(done.stdout)
    assert list(found)[0] == "schema" and found["machine"]["cores"] >= 1 and found["versions"]["tensorflow"]
    (model,) = found["models"]
    assert (model["model"], model["batch"], model["input_shape"]) == ("resnet8", 4, [32, 32, 3])
    assert model["failed"] == {} and model["left_out"] == {"less than float32": "--precision float32 was asked for"}
    ours, keras = model["rows"]
    assert (ours["arm"], keras["arm"], ours["precision"]) == ("kerasnets", "keras", "float32")
    assert keras["to_keras"] == ours["ours"] == 1 and ours["to_keras"] == pytest.approx(keras["ours"])
    assert ours["parameters"] == keras["parameters"] and ours["macs"] == keras["macs"] > 1e7
    for row in (ours, keras):
        assert row["rounds"] == 2 and row["images_per_second"] == pytest.approx(4 / row["seconds"])
        assert row["peak_share"] == pytest.approx(row["flops"] / found["peaks"]["float32"]["flops"])
        assert row["memory"] > 2e8 and row["first_step"] > row["seconds"] > 0 and math.isfinite(row["loss"])


def test_a_process_that_fails_says_why() -> None:
    task = Task(Arm("torch", "float32"), Network("no-such-model", 1))
    with pytest.raises(Failed, match="no-such-model"):
        ArmProcess(task)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet8", "resnet50", "googlenet", "googlenet_bn"])
def test_definitions_in_torch_are_our_networks(name: str) -> None:
    pytest.importorskip("torch")
    from torch_twins import difference

    assert difference(name) < 1e-4
