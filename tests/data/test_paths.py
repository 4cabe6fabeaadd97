"""Names and links that trip programs up: each is read, or refused in words; nothing hangs, nothing is listed twice."""

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from pictures import encoded, photo

from kerasnets import config as configs
from kerasnets.config import Data
from kerasnets.data import audit, pipeline, sources, tree
from kerasnets.data.check.examine import examine
from kerasnets.data.encoded import Files
from kerasnets.data.preprocessing import fit
from kerasnets.data.sources import Dataset
from kerasnets.errors import UserError
from kerasnets.inference import predict
from kerasnets.run import Run
from kerasnets.training.unreadable import naming_bad_files

ODD = (
    " two  spaces .png",
    "line\nbreak\r\n.png",
    "-dash.png",
    "--json.png",
    "'quotes\".png",
    "comma,semi;.png",
    "[0-9]*?.png",
    "~home$PATH`x`.png",
    "日本語.png",
    os.fsdecode(b"caf\xe9 \xff.png"),
    "\x1b[31mred.png",
)
pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes; the images of the first have odd names, each of another size, which tells them apart."""
    root = tmp_path / "odd 'folder'"
    for label in ("cat", "dog"):
        (root / label).mkdir(parents=True)
    for number, name in enumerate(ODD):
        (root / "cat" / name).write_bytes(encoded(photo(20 + number, 20), "PNG"))
        (root / "dog" / f"{number}.png").write_bytes(encoded(photo(20, 40 + number), "PNG"))
    return root


def load(root: Path, source: str = "folder") -> Dataset:
    return sources.load(Data(source=source, path=root, validation_split=0.2), seed=0)  # type: ignore[arg-type]


def ids(dataset: Dataset) -> list[str]:
    return sorted(name for split in dataset.splits.values() for name in split.ids)


def widths_in_training(dataset: Dataset) -> dict[str, int]:
    """Return the width of each training image as TensorFlow reads it."""
    files = dataset.train.files
    assert files is not None
    read = files.reader()
    return {name: tf.io.decode_image(read(tf.constant(i))).shape[1] for i, name in enumerate(dataset.train.ids)}


def write_table(root: Path) -> Path:
    path = root / "list.csv"
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = [(f"{label}/{name.name}", label) for label in ("cat", "dog") for name in (root / label).iterdir()]
        csv.writer(file).writerows([("path", "label"), *rows])
    return path


@pytest.mark.parametrize("source", ["folder", "csv"])
def test_odd_names_are_read(source: str, folder: Path) -> None:
    dataset = load(folder if source == "folder" else write_table(folder), source)
    assert ids(dataset) == sorted([f"cat/{name}" for name in ODD] + [f"dog/{n}.png" for n in range(len(ODD))])
    assert all(audit.unreadable(split) == [] for split in dataset.splits.values())
    widths = widths_in_training(dataset)
    assert len(widths) > len(ODD)
    for name, width in widths.items():
        assert width == (20 + ODD.index(name[4:]) if name.startswith("cat") else 20)


def test_odd_names_in_batches_and_the_tables_of_a_run(folder: Path, tmp_path: Path) -> None:
    dataset = load(folder)
    data = Data(source="folder", path=folder, image_size=16)
    preprocessing = fit(data, dataset, seed=0)
    options = {"classes": 2, "batch_size": 4, "seed": 0, "training": False}
    batches = list(pipeline.batches(dataset.train, preprocessing, **options))
    assert sum(len(images) for images, _ in batches) == len(dataset.train)
    config = configs.check({"name": "x", "model": {"name": "resnet20"}, "data": data.model_dump(mode="json")}, "test")
    run = Run.create(config, tmp_path / "run")
    run.write_rows("splits.csv", ("split", "id"), (("train", name) for name in dataset.train.ids))
    assert [row["id"] for row in run.read_rows("splits.csv")] == list(dataset.train.ids)


def test_a_config_whose_path_is_not_utf8(folder: Path, tmp_path: Path) -> None:
    odd = folder.rename(tmp_path / os.fsdecode(b"caf\xe9"))
    raw = {"name": "x", "model": {"name": "resnet20"}, "data": {"source": "folder", "path": os.fspath(odd)}}
    run = Run.create(configs.check(raw, "test"), tmp_path / "run")
    assert Run.open(run.path).config.data.path == odd
    assert len(ids(load(odd))) == 2 * len(ODD)


def test_odd_names_in_predict(folder: Path) -> None:
    found = list(predict.find([os.fspath(folder)]))
    assert sorted(found) == sorted(os.fspath(path) for path in folder.rglob("*.png"))
    decoded = {os.path.basename(path): predict.read_image(path, 3) for path in found}
    for number, name in enumerate(ODD):
        result = decoded[name]
        assert isinstance(result, predict.Decoded)
        assert result.pixels.shape == (20, 20 + number, 3)


def test_odd_names_in_check(folder: Path) -> None:
    report = examine(Data(source="folder", path=folder), None)
    kinds = {finding.kind: finding.paths for finding in report.findings if not finding.kind.startswith("near")}
    assert report.images == 2 * len(ODD)
    assert kinds == {"not_utf8": (os.fspath(folder / "cat" / ODD[9]),)}


def test_a_class_whose_name_is_not_utf8_is_refused(folder: Path) -> None:
    (folder / "dog").rename(folder / os.fsdecode(b"d\xf6g"))
    with pytest.raises(UserError, match=r"the name of class b'd\\xf6g' is not UTF-8$"):
        load(folder)


def deep(root: Path, length: int) -> Path:
    """Make folders below `root` until the path of an image in the last has `length` bytes."""
    at = os.open(root, os.O_RDONLY)
    path = os.fspath(root)
    while len(path) + 210 < length:
        os.mkdir("d" * 200, dir_fd=at)
        path, above = f"{path}/{'d' * 200}", at
        at = os.open("d" * 200, os.O_RDONLY, dir_fd=above)
        os.close(above)
    name = "x" * (length - len(path) - 5) + ".png"
    file = os.open(name, os.O_WRONLY | os.O_CREAT, dir_fd=at)
    os.write(file, encoded(photo(), "PNG"))
    os.close(file)
    os.close(at)
    return Path(path, name)


@pytest.fixture
def removed(tmp_path: Path) -> Iterator[None]:
    """Remove deep folders afterwards: pytest cannot, by their whole paths."""
    yield
    for directory, folders, files, at in os.fwalk(tmp_path, topdown=False):
        for name in files:
            os.unlink(name, dir_fd=at)
        for name in folders:
            os.rmdir(name, dir_fd=at)
        del directory


@pytest.mark.usefixtures("removed")
def test_a_path_of_4000_bytes(folder: Path) -> None:
    path = deep(folder / "dog", 4000)
    assert len(os.fspath(path)) == 4000
    dataset = load(folder)
    name = path.relative_to(folder).as_posix()
    assert name in ids(dataset)
    assert all(audit.unreadable(split) == [] for split in dataset.splits.values())
    assert tf.io.read_file(os.fspath(path)).numpy() == path.read_bytes()
    assert os.fspath(path) in predict.find([os.fspath(folder)])
    assert isinstance(predict.read_image(os.fspath(path), 3), predict.Decoded)
    assert examine(Data(source="folder", path=folder), None).images == 2 * len(ODD) + 1


@pytest.mark.usefixtures("removed")
def test_a_path_longer_than_the_system_takes_is_named(folder: Path) -> None:
    deep(folder / "dog", 4500)
    with pytest.raises(UserError, match="^folder .* cannot be read: File name too long$"):
        load(folder)


def test_folders_deeper_than_pythons_stack(folder: Path) -> None:
    folders = [folder / "dog"]
    for _ in range(1500):
        folders.append(folders[-1] / "d")
        os.mkdir(folders[-1])
    image = folders[-1] / "x.png"
    image.write_bytes(encoded(photo(), "PNG"))
    try:
        assert len(ids(load(folder))) == 2 * len(ODD) + 1
    finally:  # pytest's own way to remove them is too deep for the stack
        image.unlink()
        for path in folders[:0:-1]:
            path.rmdir()


def test_links_that_go_round(folder: Path, tmp_path: Path) -> None:
    before = ids(load(folder))
    (tmp_path / "outside/inner").mkdir(parents=True)
    (tmp_path / "outside/inner/new.png").write_bytes(encoded(photo(), "PNG"))
    (folder / "dog/deeper").mkdir()
    for name, target in {
        "dog/all": "..",
        "dog/self": ".",
        "dog/deeper/up": "../..",
        "dog/other": folder / "cat",
        "dog/first": tmp_path / "outside",
        "dog/second": tmp_path / "outside/inner",
        "dog/third": "first",
        "dog/world": "/",
        "dog/loop": "loop",
        "loop": "loop",
    }.items():
        os.symlink(target, folder / name)
    os.symlink(folder, tmp_path / "outside/back")
    names = ids(load(folder))
    linked = [f"dog/other/{name}" for name in ODD]
    assert names == sorted([*before, *linked, "dog/first/inner/new.png"])
    notes = [finding for finding in examine(Data(source="folder", path=folder), None).findings]
    assert sum(finding.kind == "link_again" for finding in notes) == 7


def test_a_class_may_be_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "some").mkdir()
    for label in ("cat", "dog"):
        os.symlink(folder / label, tmp_path / "some" / label)
    assert ids(load(tmp_path / "some")) == ids(load(folder))


def test_a_link_that_leads_nowhere_is_an_image_that_cannot_be_read(folder: Path) -> None:
    os.symlink("nowhere.png", folder / "dog/gone.png")
    os.symlink("round.png", folder / "dog/round.png")
    dataset = load(folder)
    problems = [problem for split in dataset.splits.values() for problem in audit.unreadable(split)]
    assert sorted((os.path.basename(problem.path), problem.reason) for problem in problems) == [
        ("gone.png", "No such file or directory"),
        ("round.png", "Too many levels of symbolic links"),
    ]
    failure = predict.read_image(os.fspath(folder / "dog/gone.png"), 3)
    assert isinstance(failure, predict.Failure)
    assert list(predict.find([os.fspath(folder / "dog/gone.png")])) == [os.fspath(folder / "dog/gone.png")]


def specials(folder: Path) -> list[Path]:
    os.mkfifo(folder / "dog/pipe.png")
    os.symlink("/dev/zero", folder / "dog/zero.png")
    os.symlink("pipe.png", folder / "dog/link.png")
    return [folder / "dog" / name for name in ("pipe.png", "zero.png", "link.png")]


def test_pipes_and_devices_are_left_aside(folder: Path) -> None:
    before = ids(load(folder))
    specials(folder)
    dataset = load(folder)
    assert ids(dataset) == before
    assert dataset.ignored == 3
    assert sorted(predict.find([os.fspath(folder)])) == sorted(os.fspath(folder / name) for name in before)


def test_pipes_and_devices_are_never_waited_for(folder: Path) -> None:
    said = "not a file but a pipe, socket or device"
    for path in specials(folder):
        with pytest.raises(OSError, match=said):
            Files.of([path]).read(0)
        assert predict.read_image(os.fspath(path), 3) == predict.Failure(os.fspath(path), said)
    report = examine(Data(source="folder", path=folder), None)
    assert sum(finding.kind == "special" for finding in report.findings) == 3
    table = write_table(folder)
    with pytest.raises(UserError, match="is not a file and 2 more$"):
        load(table, "csv")


def test_a_file_larger_than_any_image_is_not_read(folder: Path) -> None:
    with (folder / "dog/large.png").open("wb") as file:
        file.truncate(tree.MOST_BYTES + 1)
    with pytest.raises(OSError, match="1,073,741,825 bytes are more than an image has"):
        Files.of([folder / "dog/large.png"]).read(0)


@pytest.mark.parametrize("instead", ["nothing", "folder", "pipe"])
def test_files_that_change_after_they_were_listed(instead: str, folder: Path) -> None:
    data = Data(source="folder", path=folder, image_size=16, normalize="unit")
    dataset = load(folder)
    preprocessing = fit(data, dataset, seed=0)
    assert dataset.train.files is not None
    path = dataset.train.files.name(3)
    os.unlink(path)
    if instead == "folder":
        os.mkdir(path)
    if instead == "pipe":
        os.mkfifo(path)
    problem = audit.unreadable(dataset.train)[0]
    assert (problem.index, problem.path) == (3, path)
    failure = predict.read_image(path, 3)
    assert isinstance(failure, predict.Failure)
    assert failure.reason.startswith(problem.reason)
    if instead == "pipe":
        return  # TensorFlow would wait for it: it was no pipe when it was listed
    with pytest.raises(UserError) as error, naming_bad_files(data, dataset):
        options = {"classes": 2, "batch_size": 4, "seed": 0, "training": False}
        list(pipeline.batches(dataset.train, preprocessing, **options))
    assert str(error.value).splitlines()[1] == f"  {path}: {problem.reason}"


def test_a_list_of_names_with_bytes_that_no_path_has() -> None:
    assert list(predict.find(["-"], ["a\0b.png\n"])) == ["a\0b.png"]
    assert predict.read_image("a\0b.png", 3) == predict.Failure("a\0b.png", "embedded null byte")


def test_names_come_in_order(folder: Path) -> None:
    names = [entry.name for entry in tree.below(os.fspath(folder), "x/")]
    assert names[0].startswith("x/cat/")
    assert len(names) == len(set(names)) == 2 * len(ODD)
    assert np.array_equal(names, sorted(names, key=lambda name: name.split("/")))
