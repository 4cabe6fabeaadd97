"""`kerasnets runs list`, `compare` and `prune`; prune deletes runs and nothing else."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from made_runs import FINDING, make_run

from kerasnets.errors import UserError
from kerasnets.run import Run
from kerasnets.runs.command import runs


def call(*words: object) -> Result:
    return CliRunner().invoke(runs, [str(word) for word in words], catch_exceptions=False)


def age(run: Run, days: float) -> None:
    """Have every file of a run look as if written so many days ago."""
    moment = time.time() - days * 86400
    for path in run.path.rglob("*"):
        os.utime(path, (moment, moment))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three runs: the best, a worse one, one that did not finish; and things that are no runs."""
    folder = tmp_path / "runs"
    best = make_run(folder / "made-2", ["cat", "dog"], findings=[FINDING])
    best.write_json("metrics.json", {"validation": {"accuracy": 0.9, "loss": 0.3}, **_ends(61.0)})
    make_run(folder / "made-10", ["cat", "dog"], heads=("softmax0", "softmax1"), findings=None, telemetry=False)
    begun = make_run(folder / "begun", ["cat", "dog"], finished=False, epochs=2, telemetry=False)
    age(begun, 1)
    (folder / "notes").mkdir()
    (folder / "photos").mkdir()
    shutil.copy(best.path / "config.yaml", folder / "photos" / "config.yaml")  # a user's own config beside pictures
    (folder / "photos" / "cat.png").write_bytes(b"precious")
    for data in folder.glob("*.npz"):
        data.rename(tmp_path / data.name)
    return folder


def _ends(seconds: float) -> dict[str, float]:
    return {"best_epoch": 2, "epochs": 3, "seconds": seconds}


def test_list(root: Path) -> None:
    lines = [line.split() for line in call("list", root).stdout.splitlines()]
    assert lines[0] == ["name", "model", "data", "epochs", "validation", "test", "loss", "time", "findings", "state"]
    assert [line[0] for line in lines[1:]] == ["begun", "made-2", "made-10", "photos"]
    assert lines[2][1:] == [
        *("resnet20", "made-2-data.npz", "(npz)", "3", "90.00%", "–", "0.3000", "61", "s", "1", "finished")
    ]
    assert lines[1][-1] == "unfinished"


def test_list_as_json(root: Path) -> None:
    found = {row["name"]: row for row in json.loads(call("list", root, "--json").stdout)["runs"]}
    assert found["made-10"]["validation"] == found["made-10"]["test"] == 0.75
    assert found["made-10"]["findings"] is None
    assert found["begun"]["findings"] == 0
    assert found["begun"]["validation"] == pytest.approx(0.65)
    assert found["begun"]["loss"] == pytest.approx(1.25)
    assert found["begun"]["seconds"] == 3.0
    assert found["photos"]["epochs"] == 0


@pytest.mark.parametrize(
    ("column", "order"),
    [
        ("validation", ["made-2", "made-10", "begun", "photos"]),
        ("loss", ["made-2", "made-10", "begun", "photos"]),
        ("time", ["begun", "made-2", "made-10", "photos"]),
        ("model", ["made-10", "begun", "made-2", "photos"]),
    ],
)
def test_list_sorted(column: str, order: list[str], root: Path) -> None:
    rows = json.loads(call("list", root, "--sort", column, "--json").stdout)["runs"]
    assert [row["name"] for row in rows] == order


def test_list_shows_runs_that_cannot_be_read(root: Path) -> None:
    (root / "made-2" / "config.yaml").write_text("name: [")
    (root / "made-10" / "metrics.json").write_text("{")
    states = {row["name"]: row["state"] for row in json.loads(call("list", root, "--json").stdout)["runs"]}
    assert states["made-2"].startswith("unreadable: ")
    assert states["made-10"].startswith("unreadable: ")
    assert states["begun"] == "unfinished"
    assert "unreadable" in call("list", root).stdout


def test_values_that_are_not_finite_are_null(root: Path) -> None:
    document = {"validation": {"accuracy": 0.1, "loss": float("nan")}, **_ends(1.0)}
    Run.open(root / "made-2").write_json("metrics.json", document)
    assert "NaN" not in call("list", root, "--json").stdout
    rows = json.loads(call("list", root, "--sort", "loss", "--json").stdout)["runs"]
    assert rows[-1]["name"] == "photos" and rows[-2]["name"] == "made-2"


def test_wrong_words(root: Path) -> None:
    with pytest.raises(UserError, match="^no command 'lst'; did you mean 'list'?"):
        call("lst")
    with pytest.raises(UserError, match="^--sort validaton: no such column; did you mean 'validation'"):
        call("list", root, "--sort", "validaton")
    with pytest.raises(UserError, match="no folder .*rns; did you mean 'runs'"):
        call("list", root.with_name("rns"))
    with pytest.raises(UserError, match="is a run itself; name the folder"):
        call("list", root / "made-2")
    with pytest.raises(UserError, match="^say which runs may go"):
        call("prune", root)
    with pytest.raises(UserError, match="two different runs"):
        call("compare", root / "made-2", root / "made-2")
    with pytest.raises(UserError, match="did you mean 'made-2'"):
        call("compare", root / "made-2", root / "made2")


def test_compare(root: Path) -> None:
    found = json.loads(call("compare", root / "made-2", root / "begun", "--json").stdout)
    assert [row["name"] for row in found["runs"]] == ["made-2", "begun"]
    assert set(found["differences"]) == {"data.path"}
    table = call("compare", root / "made-2", root / "made-10").stdout
    assert "model.name" in table and "googlenet" in table
    assert "training.epochs" not in table


def test_compare_of_equal_configs(root: Path) -> None:
    shutil.copytree(root / "made-2", root / "twin")
    assert call("compare", root / "made-2", root / "twin").stdout.endswith("the configs are the same\n")


def test_prune_shows_first_and_deletes_when_told(root: Path) -> None:
    before = sorted(path.name for path in root.iterdir())
    shown = call("prune", root, "--keep", 1).stdout
    assert "made-10" in shown and "not among the best 1" in shown and "add --yes to delete them" in shown
    assert "made-2" not in shown
    assert sorted(path.name for path in root.iterdir()) == before
    size = sum(path.stat().st_size for path in (root / "made-10").rglob("*") if path.is_file())
    assert json.loads(call("prune", root, "--keep", 1, "--json").stdout)["bytes"] == size
    assert "1 of 4 runs deleted" in call("prune", root, "--keep", 1, "--yes").stdout
    assert sorted(path.name for path in root.iterdir()) == [name for name in before if name != "made-10"]


def test_prune_unfinished_leaves_what_may_still_train_and_what_training_did_not_write(root: Path) -> None:
    busy = make_run(root / "busy", ["cat", "dog"], finished=False, telemetry=False)
    age(Run.open(root / "photos"), 30)
    found = json.loads(call("prune", root, "--unfinished", "--yes", "--json").stdout)
    assert [row["path"] for row in found["runs"]] == [str(root / "begun")]
    assert not (root / "begun").exists()
    assert busy.path.is_dir()
    assert (root / "photos" / "cat.png").read_bytes() == b"precious"


def test_a_run_in_use_is_training_and_is_not_pruned(root: Path) -> None:
    path = root / "made-2"
    age(Run.open(path), 30)
    with Run.open(path).locked():
        rows = json.loads(call("list", root, "--json").stdout)["runs"]
        assert {row["name"]: row["state"] for row in rows}["made-2"] == "training"
        assert "0 of 4" in call("prune", root, "--older-than", 20, "--yes").stdout
    assert "1 of 4" in call("prune", root, "--older-than", 20, "--yes").stdout
    assert not path.exists()


def test_prune_older_than(root: Path) -> None:
    age(Run.open(root / "made-2"), 20)
    age(Run.open(root / "photos"), 20)
    assert "0 of 4" in call("prune", root, "--older-than", 21).stdout
    found = json.loads(call("prune", root, "--older-than", 19.5, "--yes", "--json").stdout)
    assert [(row["path"], row["reason"]) for row in found["runs"]] == [(str(root / "made-2"), "unchanged for 20 days")]
    assert (root / "photos" / "cat.png").exists()


def test_prune_follows_no_links(root: Path, tmp_path: Path) -> None:
    outside = make_run(tmp_path / "outside", ["cat", "dog"], telemetry=False)
    (root / "link").symlink_to(outside.path, target_is_directory=True)
    (root / "made-10" / "data").symlink_to(outside.path, target_is_directory=True)
    before = sorted(path.name for path in outside.path.iterdir())
    call("prune", root, "--keep", 0, "--yes")
    assert not (root / "made-10").exists() and not (root / "made-2").exists()
    assert (root / "link").is_symlink()
    assert sorted(path.name for path in outside.path.iterdir()) == before


def test_nothing_to_show(tmp_path: Path) -> None:
    assert call("list", tmp_path).stdout == f"no runs in {tmp_path}\n"
    assert call("prune", tmp_path, "--unfinished").stdout == "0 of 0 runs would be deleted, 0.0 MB\n"
