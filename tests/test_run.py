"""The run directory."""

from pathlib import Path

import pytest

from kerasnets import config as configs
from kerasnets.errors import UserError
from kerasnets.run import Run


@pytest.fixture
def config() -> configs.Config:
    return configs.load("digits-resnet20", ["name=a"])


def test_runs_are_numbered_upwards(config: configs.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/a-7").mkdir(parents=True)
    (tmp_path / "runs/a-old").mkdir()
    assert [str(Run.create(config).path) for _ in range(2)] == ["runs/a-8", "runs/a-9"]


def test_the_config_is_dumped_first_and_read_back(config: configs.Config, tmp_path: Path) -> None:
    run = Run.create(config, tmp_path / "run")
    assert Run.open(run.path).config == config


def test_a_run_is_never_overwritten(config: configs.Config, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/precious").write_text("x")
    with pytest.raises(UserError, match="is there already and not empty; a run never overwrites one"):
        Run.create(config, tmp_path / "mine")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["precious"]


def test_a_place_that_cannot_be_written_is_named(config: configs.Config, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=rf"run directory {tmp_path}/file.*: Not a directory"):
        Run.create(config, tmp_path / "file/run")


def test_open_names_the_nearest_run(config: configs.Config, tmp_path: Path) -> None:
    Run.create(config, tmp_path / "digits-1")
    with pytest.raises(UserError) as caught:
        Run.open(tmp_path / "digit-1")
    assert str(caught.value) == f"run {tmp_path}/digit-1 does not exist; did you mean 'digits-1'?"
    with pytest.raises(UserError, match="is not a run directory \\(it has no config.yaml\\)"):
        Run.open(tmp_path)


def test_what_is_missing_is_named(config: configs.Config, tmp_path: Path) -> None:
    run = Run.create(config, tmp_path / "run")
    with pytest.raises(UserError, match=r"has no model\.keras: it stopped before that was written"):
        _ = run.model_file


def test_labels_with_line_breaks_are_refused(config: configs.Config, tmp_path: Path) -> None:
    run = Run.create(config, tmp_path / "run")
    run.write_labels(["Ähre", "b c"])
    assert run.labels == ("Ähre", "b c")
    with pytest.raises(UserError, match=r"class name 'a\\nb' is empty or has a line break"):
        run.write_labels(["a\nb"])


def test_json_bears_its_schema(config: configs.Config, tmp_path: Path) -> None:
    run = Run.create(config, tmp_path / "run")
    run.write_json("metrics.json", {"a": 1})
    assert run.read_json("metrics.json") == {"schema": 1, "a": 1}
    (run.path / "metrics.json").write_text('{"schema": 9}')
    with pytest.raises(UserError, match="has schema 9; this kerasnets reads 1"):
        run.read_json("metrics.json")


def test_skipped_files_are_read_back_by_split(config: configs.Config, tmp_path: Path) -> None:
    run = Run.create(config, tmp_path / "run")
    assert run.skipped("train") == frozenset()
    run.write_skipped([("train", 3, "a\nb.jpg", "broken"), ("test", 4, "c.jpg", "empty"), ("train", 9, "d.png", "x")])
    assert run.skipped("train") == {3, 9}
    assert run.skipped("test") == {4}
