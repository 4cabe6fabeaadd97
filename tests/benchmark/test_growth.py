"""`kerasnets benchmark growth`: which points it measures, what it makes of them; timings themselves are not judged."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from kerasnets.benchmark import children
from kerasnets.benchmark.command import benchmark
from kerasnets.benchmark.growth import chart, measure
from kerasnets.benchmark.growth.axes import AXES, Point, chosen
from kerasnets.benchmark.growth.measure import Cost, Law, Row, exponent, laws
from kerasnets.errors import CheckFailed, UserError
from kerasnets.models import specs
from kerasnets.training.trials import SPENT


def test_axes_meet_in_one_point_and_change_one_thing_each() -> None:
    start = Point.of("resnet20")
    assert start == Point("resnet20", 32, 32)
    points = chosen(start, None, ["depth=8,1202"])
    assert [point.batch for point in points["batch"]] == [8, 32, 128, 512]
    assert [point.size for point in points["size"]] == [16, 32, 64, 128]
    assert points["depth"] == [Point("resnet8", 8, 32), Point("resnet1202", 8, 32)]
    assert [point.width for point in points["width"]] == [0.5, 1, 2, 4]
    for name, along in points.items():
        assert name == "depth" or start in along
        assert sorted(AXES[name].where(point) for point in along) == [AXES[name].where(point) for point in along]


def test_width_is_an_option_of_the_model() -> None:
    assert Point("resnet20", 8, 32, 2.0).options() == {"widths": [32, 64, 128]}
    assert Point("googlenet", 8, 224, 0.5).options() == {"width": 0.5}
    assert Point("resnet20", 8, 32).options() == {}
    for point in (Point("resnet20", 8, 32, 0.01), Point("googlenet", 8, 224, 4.0)):
        specs.options(point.model, point.options())


def test_a_small_image_changes_no_stem() -> None:
    """`stem=auto` would give ResNet-50 another one up to 64 pixels: then two things would change."""
    assert Point("resnet50", 8, 64).options() == {"stem": "imagenet"}
    assert Point("resnet50", 8, 64, 0.5).options() == {"stem": "imagenet", "widths": [32, 64, 128, 256]}
    assert Point("resnet50", 8, 65).options() == Point("resnet20", 8, 128).options() == {}


@pytest.mark.parametrize("name", specs.MODELS)
def test_what_is_measured_by_default_can_be_built(name: str) -> None:
    points = chosen(Point.of(name), None, [])
    assert {"batch", "size"} <= points.keys()


def test_values_of_an_axis_that_comes_twice_are_all_measured() -> None:
    points = chosen(Point.of("resnet20"), "batch,batch", ["batch=16,8", "batch=8,64"])
    assert [point.batch for point in points["batch"]] == [8, 16, 64]


def test_depths_of_plain_networks_and_residual_ones_are_the_same() -> None:
    for kind in ("resnet", "plain"):
        points = chosen(Point.of(f"{kind}20"), "depth", [])["depth"]
        assert points == [Point(f"{kind}{layers}", 8, 32) for layers in (20, 56, 110, 326, 1202)]


def test_a_model_has_the_axes_that_it_has() -> None:
    assert list(chosen(Point.of("plain20"), None, [])) == ["batch", "size", "depth", "width"]
    assert list(chosen(Point.of("resnet50"), None, [])) == ["batch", "size", "width"]
    assert list(chosen(Point.of("lenet5"), None, [])) == ["batch", "size"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["resnt20"], "model.name is 'resnt20', which is no model"),
        (["nets:small"], "nets:small is a model of your own; this measures models of `kerasnets models`"),
        (["--over", "dept"], "--over dept: there are batch, size, depth, width; did you mean 'depth'?"),
        (["resnet50", "--over", "depth"], "--over depth: that is of the CIFAR family alone, as resnet20; resnet50 has"),
        (
            ["lenet5", "--over", "width"],
            "--over width: that is of ResNets and GoogLeNets alone; lenet5 has batch, size",
        ),
        (["--over", "batch", "--at", "size=8"], "--at size=…: --over batch leaves size out"),
        (["--at", "batch=0"], "--at batch=0: give an axis and numbers above 0, such as batch=8,32,128"),
        (["--at", "batch"], "--at batch: give an axis and numbers above 0, such as batch=8,32,128"),
        (["--at", "batch=8,nan"], "--at batch=8,nan: give an axis and numbers above 0, such as batch=8,32,128"),
        (["--at", "batch=inf"], "--at batch=inf: give an axis and numbers above 0, such as batch=8,32,128"),
        (["--at", "dept=20"], "--at dept: there are batch, size, depth, width; did you mean 'depth'?"),
        (["resnet50", "--at", "size=31"], "input_shape (31, 31, 3) is too small for resnet50; the smallest is 32x32"),
        (["--at", "batch=1.5"], "--at batch=…: give whole numbers"),
        (["--at", "depth=21"], "a resnet has 18, 34, 50, 101, 152 layers, or 6n+2"),
        (["--chart", "growth.gif"], "--chart growth.gif: a chart is a .png or .svg file"),
    ],
)
def test_wrong_input(words: list[str], message: str) -> None:
    with pytest.raises(UserError) as error:
        CliRunner().invoke(benchmark, ["growth", *words], catch_exceptions=False)
    assert message in str(error.value)


def cost(speed: float, megabytes: float = 100.0, seconds: float = 5.0) -> Cost:
    return Cost("float32", speed, seconds, 10**9, int(1e9 + megabytes * 1e6), int(1.1 * megabytes * 1e6))


def rows() -> list[Row]:
    start = Point.of("resnet20")
    found = [Row("batch", n, start, cost(100 * n**0.5, 100 * n, 5)) for n in (8, 32, 128)]
    depths = [Row("depth", n, start, cost(3000 / n, 10, n / 4)) for n in (20, 110)]
    return [*found, *depths, Row("depth", 1202, start, None, "out of memory")]


def test_power_laws() -> None:
    assert exponent([1, 2, 4], [3, 12, 48]) == pytest.approx(2)
    assert exponent([5, 5], [1, 2]) is None and exponent([], []) is None
    assert [law.words() for law in laws(rows())] == [
        "speed, in images/s, grows as batch^0.50",
        "memory above TensorFlow's own grows as batch^1.00",
        "start-up hardly changes with batch",
        "speed, in images/s, falls as depth^-1.00",
        "memory above TensorFlow's own hardly changes with depth",
        "start-up grows as depth^1.00",
    ]
    assert Law("width", "start-up", -0.04).words() == "start-up hardly changes with width"


def test_a_prediction_beside_what_was_measured() -> None:
    document = rows()[0].document()
    assert (document["peak"] - document["base"], document["predicted"]) == (800e6, 880e6)
    assert document["prediction_error"] == pytest.approx(0.1) and document["failure"] is None
    assert rows()[-1].document()["failure"] == "out of memory" and "peak" not in rows()[-1].document()


def test_a_point_on_two_axes_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def ask(point: Point, precision: str, timeout: float) -> tuple[Cost | None, str | None]:
        asked.append(point)
        return (None, "out of memory") if point.batch > 32 else (cost(1.0), None)

    monkeypatch.setattr(measure, "ask", ask)
    start = Point.of("resnet20")
    found = measure.measure(chosen(start, "batch,size", ["batch=32,64", "size=16,32"]), "float32", 1.0)
    assert len(asked) == len(set(asked)) == 3
    assert [(row.axis, row.value, row.failure) for row in found] == [
        *(("batch", 32, None), ("batch", 64, "out of memory")),
        *(("size", 16, None), ("size", 32, None)),
    ]


def test_auto_is_settled_once_and_what_settled_it_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def ask(point: Point, precision: str, timeout: float) -> tuple[Cost | None, str | None]:
        asked.append((point.batch, precision))
        if point.batch == 1:
            return None, "it ran out of memory"
        found = "bfloat16" if precision == "auto" else precision
        return replace(cost(len(asked)), precision=found), None

    monkeypatch.setattr(measure, "ask", ask)
    found = measure.measure(chosen(Point.of("resnet20"), "batch", ["batch=1,2,4"]), "auto", 1.0)
    assert asked == [(1, "auto"), (1, "auto"), (2, "auto"), (2, "bfloat16"), (4, "bfloat16")]
    assert [row.cost and row.cost.images_per_second for row in found] == [None, 4, 5]


def test_nothing_measured_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "ask", lambda *about: (None, "it ran out of memory"))
    with pytest.raises(CheckFailed) as error:
        CliRunner().invoke(benchmark, ["growth", "resnet8", "--over", "batch"], catch_exceptions=False)
    assert str(error.value) == "resnet8: nothing could be measured; it ran out of memory"


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        (f"sys.exit({SPENT})", "it ran out of memory"),
        ("os.kill(os.getpid(), 9)", "it was killed, as the system does when memory runs out"),
        ("raise ValueError('no')", "ValueError: no"),
        ("os.kill(os.getpid(), 11)", "resnet20: the fresh process ended with code -11, asked to measure it"),
        ("send({'error': 'OSError: gone'})", "OSError: gone"),
        ("time.sleep(60)", "took more than 0.5 s"),
    ],
)
def test_why_a_point_failed(code: str, failure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (
        "import os, sys, time",
        "def send(header):",
        "    from kerasnets.artifacts import checker",
        "    checker.send(checker.replies_alone(), header)",
        code,
    )
    (tmp_path / "failing_worker.py").write_text("\n".join(lines))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(measure.worker, "__name__", "failing_worker")
    timeout = 0.5 if "sleep" in code else 60.0
    assert measure.ask(Point.of("resnet20"), "float32", timeout) == (None, failure)


def test_a_point_ends_with_the_process_that_asked() -> None:
    child = children.start("resnet20", measure.worker.__name__, json.dumps({"point": {}}), timeout=20.0)
    child._process.stdin.close()  # type: ignore[union-attr]
    assert child._process.wait(timeout=20) == 1
    child.close()


def test_the_chart_has_a_row_an_axis(tmp_path: Path) -> None:
    chart.write(rows(), tmp_path / "c.svg", "Training resnet20: how cost grows")
    text = (tmp_path / "c.svg").read_text()
    for words in ("Training resnet20", "batch, images", "depth, layers", "images/s", "seconds", "MB", "predicted"):
        assert words in text
    assert text.count("out of memory") == 3 and "times the channels" not in text


def test_an_axis_of_which_nothing_could_be_measured(tmp_path: Path) -> None:
    wide = Row("width", 2, Point.of("resnet20"), None, "took more than 300 s")
    chart.write([*rows(), wide], tmp_path / "c.svg", "t")
    text = (tmp_path / "c.svg").read_text()
    assert text.count("took more than 300 s") == 3 and text.count("width, times the channels") == 3


@pytest.mark.slow
def test_by_command(tmp_path: Path) -> None:
    words = ["growth", "resnet8", "--over", "batch", "--at", "batch=2,1", "--chart", str(tmp_path / "c.png"), "--json"]
    done = CliRunner().invoke(benchmark, [*words, "--precision", "float32"], catch_exceptions=False)
    found = json.loads(done.stdout)
    assert found["schema"] == 1 and found["machine"]["cores"] >= 1
    assert [(row["value"], row["batch"], row["failure"]) for row in found["rows"]] == [(1, 1, None), (2, 2, None)]
    for row in found["rows"]:
        assert (row["model"], row["size"], row["precision"]) == ("resnet8", 32, "float32")
        assert row["images_per_second"] > 0 and row["start_up"] > 0
        assert 1e8 < row["base"] < row["peak"] and row["predicted"] > 1e6
    assert [law["what"] for law in found["growth"]] == list(measure.QUANTITIES)
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
