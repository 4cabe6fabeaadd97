"""report.html: what is on it, that it needs nothing else, and that other people's words stay words."""

import json
import re
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from made_runs import FINDING, make_run

from kerasnets.errors import UserError
from kerasnets.report import page
from kerasnets.report.command import report
from kerasnets.run import Run

CURVES = ["loss", "accuracy", "step-loss", "gradient-norm", "learning-rate", "images-per-second"]
HEADS = ["head-losses", "head-accuracies", "head-gradients"]
LAYERS = ["gradient-flow", "gradient-depth", "update-ratio", "activation-depth", "dead-units"]
ANSWERS = ["confusion", "calibration"]
HOSTILE = '<script>alert("x")</script>'


class Reader(HTMLParser):
    """Gathers the elements of a page, and what is between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self._hidden = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        self._hidden = tag == "style"

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data)

    @property
    def text(self) -> str:
        """All words, any white space as one space."""
        return re.sub(r"\s+", " ", " ".join(self.words))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def figures(self) -> list[str]:
        return [figure["id"] for figure in self.all("figure")]


def written(run: Run) -> Reader:
    path = page.write(run)
    assert path == run.path / "report.html"
    return Reader(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Reader]:
    """A run with everything: three heads, telemetry, a finding; and its page."""
    heads = ("softmax0", "softmax1", "softmax2")
    run = make_run(tmp_path_factory.mktemp("report") / "run", ["cat", "dog"], heads=heads, findings=[FINDING])
    return run, written(run)


def test_page_of_a_finished_run(tmp_path: Path) -> None:
    found = written(make_run(tmp_path / "run", ["cat", "dog", "owl"], findings=[FINDING]))
    assert found.figures == [*CURVES, *LAYERS, *ANSWERS]
    assert [row["id"] for row in found.all("section")] == [
        *("diagnosis", "training", "inside", "answers", "mistakes", "settings")
    ]
    assert {row["href"] for row in found.all("a")} == {f"#{row['id']}" for row in found.all("section")}
    for words in ("75.00 %", "1 h 57 min", "0.6 %", "of the time; 6.1 MB"):
        assert words in found.text
    for words in ("Vanishing gradient", "first at step 20", "The gradient falls by 5 powers of ten."):
        assert words in found.text
    assert "model.normalization=batch" in found.text
    assert "not finite" in found.text  # the evidence that is null
    assert "None" not in found.text


def test_three_heads(full: tuple[Run, Reader]) -> None:
    _, found = full
    assert set(found.figures) == {*CURVES, *HEADS, *LAYERS, *ANSWERS}
    assert "Of the head that is served, softmax2." in found.text


def test_nothing_is_asked_of_a_network_and_ids_are_unique(full: tuple[Run, Reader]) -> None:
    _, found = full
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert not found.all("script")
    for tag, attributes in found.elements:
        for key in ("src", "href", "xlink:href", "data", "srcset", "action", "poster"):
            if key in attributes:
                assert attributes[key].startswith(("#", "data:")), (tag, attributes)
                if attributes[key].startswith("#"):
                    assert attributes[key][1:] in ids
        for place in re.findall(r"url\((.*?)\)", json.dumps(attributes)):
            assert place.startswith("#") and place[1:] in ids
    (policy,) = (row["content"] for row in found.all("meta") if row.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_figures_are_labelled_and_take_their_colours_from_the_style_sheet(full: tuple[Run, Reader]) -> None:
    run, found = full
    text = (run.path / "report.html").read_text(encoding="utf-8")
    drawings = found.all("svg")
    assert len(drawings) == len(found.figures)
    assert all(row["role"] == "img" and len(row["aria-label"]) > 20 for row in drawings)
    assert all(row["alt"] for row in found.all("img"))
    inside = "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))
    assert not re.search(r"(fill|stroke): #", inside)
    assert "font-family" not in inside
    styles = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert styles is not None
    used, given = set(re.findall(r"var\((--[\w-]+)\)", text)), set(re.findall(r"(--[\w-]+):", styles[1]))
    assert used <= given
    dark = styles[1].split("prefers-color-scheme: dark")[1]
    assert {name for name in given if f"{name}:" in dark} == given


def test_words_of_others_stay_words(tmp_path: Path) -> None:
    finding = {**FINDING, "summary": HOSTILE, "layers": [HOSTILE], "evidence": {HOSTILE: 1.0}, "remedy": [HOSTILE]}
    labels = [HOSTILE, 'a" onload="x', "$x_$ \x08", "漢字", "&amp;", "](x)"]
    run = make_run(tmp_path / "<b>run", labels, findings=[finding])
    found = written(run)
    tags = {tag for tag, _ in found.elements}
    assert not tags & {"script", "b", "iframe", "object"}
    assert not [key for _, attributes in found.elements for key in attributes if key.startswith("on")]
    assert HOSTILE in found.text
    assert "漢字" in found.text and "&amp;" in found.text
    assert "<b>run" in found.text


def test_names_of_files_that_are_not_utf8(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", ["cat", "dog"], telemetry=False)
    rows = run.read_rows("predictions.csv")
    for row in rows:
        row["id"] = f"{row['id']}\udcff"
    run.write_rows("predictions.csv", list(rows[0]), [list(row.values()) for row in rows])
    assert "\ufffd" in written(run).text


def test_run_in_progress_says_what_is_missing(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", ["cat", "dog"], finished=False, epochs=0, telemetry=False, findings=None)
    (run.path / "predictions.csv").unlink()
    (run.path / "environment.json").unlink()
    found = written(run)
    assert found.figures == []
    for words in (
        "unfinished, 0 of 3 epochs so far",
        f"The doctor has not looked at this run: kerasnets doctor {run.path}",
        "No epoch has ended yet",
        "this run has no telemetry directory",
        "made of predictions.csv",
        "environment.json is missing",
    ):
        assert words in found.text


def test_epochs_but_no_end_yet(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", ["cat", "dog"], finished=False, epochs=2, findings=None)
    (run.path / "predictions.csv").unlink()
    with (run.path / "history.csv").open("a") as file:
        file.write("3,0.5,0.")  # cut off in the middle
    found = written(run)
    assert found.figures == [*CURVES, *LAYERS]
    assert "unfinished, 2 of 3 epochs so far" in found.text
    assert "best so far: epoch 2" in found.text


def test_without_telemetry_curves_are_those_of_epochs(tmp_path: Path) -> None:
    found = written(make_run(tmp_path / "run", ["cat", "dog"], telemetry=False))
    assert found.figures == [name for name in CURVES if name != "step-loss"] + ANSWERS


@pytest.mark.slow
def test_data_that_is_gone_costs_only_the_pictures(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", ["cat", "dog"], telemetry=False)
    assert len(written(run).all("img")) > 0
    (tmp_path / "run-data.npz").unlink()
    found = written(run)
    assert "The pictures cannot be shown: data.path: " in found.text
    assert set(ANSWERS) <= set(found.figures)
    assert not found.all("img")


def test_no_mistakes(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", ["cat", "dog"], telemetry=False)
    rows = [{**row, "predicted": row["label"]} for row in run.read_rows("predictions.csv")]
    run.write_rows("predictions.csv", list(rows[0]), [list(row.values()) for row in rows])
    assert "None: all 4 images are right." in written(run).text


@pytest.mark.parametrize(("classes", "shown"), [(2, 2), (25, 25), (30, 25)])
def test_confusion_matrix_of_many_classes_has_the_most_confused(classes: int, shown: int, tmp_path: Path) -> None:
    labels = [f"class {number}" for number in range(classes)]
    run = make_run(tmp_path / "run", labels, each=20, telemetry=False)
    found = written(run)
    text = (run.path / "report.html").read_text(encoding="utf-8")
    drawing = text[text.index('id="confusion"') :].partition("</figure>")[0]
    assert len(set(re.findall(r">(class \d+)</text>", drawing))) == shown
    assert ("Confusion matrix of the 25 classes confused most" in found.text) == (classes > shown)
    assert ("Most frequent mistakes" in found.text) == (classes > shown)
    assert len([1 for row in found.all("th") if row.get("scope") == "row"]) >= classes


def test_values_that_are_not_finite(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", ["cat", "dog"])
    rows = run.read_rows("history.csv")
    rows[-1] |= {"loss": "nan", "val_loss": "inf", "gradient_norm": "0.0"}
    run.write_rows("history.csv", list(rows[0]), [list(row.values()) for row in rows])
    statistics = run.telemetry / "statistics.csv"
    statistics.write_text(re.sub(r"(gradient,\w+/kernel,\S*?,)[^,]*", r"\1nan", statistics.read_text()))
    found = written(run)
    assert found.figures == [*CURVES, *LAYERS, *ANSWERS]


@pytest.mark.slow
def test_a_page_is_small_quick_and_without_tensorflow(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", [f"class {k}" for k in range(10)], heads=("softmax0", "softmax1", "softmax2"))
    code = (
        "import sys; from kerasnets.run import Run; from kerasnets.report import page;"
        f"page.write(Run.open({str(run.path)!r})); sys.exit('tensorflow' in sys.modules)"
    )
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert time.monotonic() - began < 30  # 4 s on an idle machine
    assert (run.path / "report.html").stat().st_size < 3e6


def test_the_same_run_gives_the_same_page(full: tuple[Run, Reader], tmp_path: Path) -> None:
    run, _ = full
    assert page.write(run, tmp_path / "again.html").read_bytes() == (run.path / "report.html").read_bytes()


def test_calibration_is_that_of_evaluate(tmp_path: Path) -> None:
    from kerasnets.measures.measure import calibration_error
    from kerasnets.report.headline import share
    from kerasnets.report.material import Material

    run = make_run(tmp_path / "run", ["cat", "dog"], each=50, telemetry=False)
    found = Material(run).predictions
    assert found is not None
    probabilities = np.zeros((len(found.ids), 2))
    rows = np.arange(len(found.ids))
    probabilities[rows, found.predicted] = found.confidence
    probabilities[rows, 1 - found.predicted] = 1 - found.confidence
    ece = calibration_error(probabilities, found.labels)
    words = f"Expected calibration error {share(ece)} in 15 bins".replace("\N{NO-BREAK SPACE}", " ")
    assert words in written(run).text


@pytest.mark.slow
def test_command_writes_one_run_or_compares_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = make_run(tmp_path / "one", ["cat", "dog"])
    two = make_run(tmp_path / "two", ["cat", "dog"], heads=("softmax0", "softmax1"), findings=[FINDING], name="two")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(report, ["one", "--json"], catch_exceptions=False)
    assert json.loads(done.stdout) == {"schema": 1, "path": "one/report.html", "runs": ["one"]}
    assert (one.path / "report.html").is_file()
    done = CliRunner().invoke(report, ["one", "two"], catch_exceptions=False)
    assert done.stdout.startswith("comparison.html")
    found = Reader(Path("comparison.html").read_text(encoding="utf-8"))
    assert [row["id"] for row in found.all("section")] == ["scores", "config", "curves", "diagnosis", "classes"]
    assert found.figures == [
        *("compared-val-accuracy", "compared-accuracy", "compared-val-loss", "compared-loss"),
        *("compared-gradient-norm", "compared-learning-rate", "compared-images-per-second", "compared-depth"),
    ]
    for words in ("model.name", "googlenet", "vanishing gradient", "no findings"):
        assert words in found.text
    assert "training.epochs" not in found.text  # the same in both
    assert two.path.is_dir()


def test_command_refuses(tmp_path: Path) -> None:
    make_run(tmp_path / "run", ["cat", "dog"])
    with pytest.raises(UserError, match="does not exist; did you mean 'run'"):
        CliRunner().invoke(report, [str(tmp_path / "ru")], catch_exceptions=False)
    with pytest.raises(UserError, match="is given 2 times"):
        CliRunner().invoke(report, [str(tmp_path / "run")] * 2, catch_exceptions=False)
    with pytest.raises(UserError, match="No such file or directory"):
        words = [str(tmp_path / "run"), "--output", str(tmp_path / "none" / "x.html")]
        CliRunner().invoke(report, words, catch_exceptions=False)
