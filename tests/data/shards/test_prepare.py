"""Shards hold a data set as it is, say when they are damaged, and are finished by the same command after any kill."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from PIL import Image

from kerasnets import durable
from kerasnets.config import Data
from kerasnets.data import audit, sources
from kerasnets.data.raw import picture
from kerasnets.data.shards import prepare as preparing
from kerasnets.data.shards.command import prepare as command
from kerasnets.data.sources import Dataset
from kerasnets.errors import UserError
from kerasnets.training.unreadable import naming_bad_files

SIZE = 0.002  # megabytes of a shard: four images or so


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """30 pictures in three classes, two of them for validation, one with a name that is not UTF-8."""
    rng = np.random.default_rng(0)
    for split, label, count in (("train", "ant", 15), ("train", "bee", 13), ("val", "ant", 2)):
        folder = tmp_path / "photos" / split / label
        folder.mkdir(parents=True)
        for i in range(count):
            Image.fromarray(rng.integers(0, 256, (9, 8, 3), np.uint8)).save(folder / f"{i:02}.png")
    named = tmp_path / "photos/train/bee"
    (named / "00.png").rename(named / "\udcff \n.png")
    return tmp_path / "photos"


def write(source: Path, out: Path, megabytes: float = SIZE) -> tuple[int, int]:
    examples = sources.read(Data(source="folder", path=source))
    return preparing.prepare(examples, out, megabytes=megabytes, workers=2, progress=int)


def load(source: str, path: Path) -> Dataset:
    return sources.load(Data(source=source, path=path), seed=3)  # type: ignore[arg-type]


def message(source: Path, out: Path) -> str:
    with pytest.raises(UserError) as error:
        write(source, out)
    return str(error.value)


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir()}


def test_the_data_set_is_that_of_the_folder(photos: Path, tmp_path: Path) -> None:
    assert write(photos, tmp_path / "out") == (9, 0)
    folder, shards = load("folder", photos), load("tfrecord", tmp_path / "out")
    assert folder.class_names == shards.class_names
    assert {"train", "validation"} == set(folder.splits) == set(shards.splits)
    for name, split in folder.splits.items():
        other = shards.split(name)
        assert split.ids == other.ids
        np.testing.assert_array_equal(split.labels, other.labels)
        assert split.files is not None and other.files is not None
        assert [split.files.read(i) for i in range(len(split))] == [other.files.read(i) for i in range(len(split))]


def test_other_tools_read_the_shards(photos: Path, tmp_path: Path) -> None:
    write(photos, tmp_path / "out")
    paths = sorted(map(str, (tmp_path / "out").glob("train-*.tfrecord")))
    features = {
        "image/encoded": tf.io.FixedLenFeature((), tf.string),
        "image/class/label": tf.io.FixedLenFeature((), tf.int64),
        "image/class/text": tf.io.FixedLenFeature((), tf.string),
        "image/filename": tf.io.FixedLenFeature((), tf.string),
    }
    found = [tf.io.parse_single_example(record, features) for record in tf.data.TFRecordDataset(paths)]
    assert len(found) == 28
    for example in found:
        path = photos / example["image/filename"].numpy().decode("utf-8", "surrogateescape")
        assert path.read_bytes() == example["image/encoded"].numpy()
        label = int(example["image/class/label"])
        assert path.parent.name == ("ant", "bee")[label] == example["image/class/text"].numpy().decode()
    labels = [int(example["image/class/label"]) for example in found]
    assert sorted(labels) != labels  # shuffled


def test_stopped_at_any_point_it_goes_on(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(photos, tmp_path / "whole")
    expected, sync, stops = contents(tmp_path / "whole"), preparing.sync, 0
    for point in range(0, 40, 3):
        out, calls = tmp_path / str(point), iter(range(1000))

        def stop(path: Path, point: int = point, calls: object = calls) -> None:
            if next(calls) == point:  # type: ignore[call-overload]
                raise KeyboardInterrupt
            sync(path)

        with monkeypatch.context() as patch:
            patch.setattr(preparing, "sync", stop)
            patch.setattr(durable, "sync", stop)
            try:
                write(photos, out)
            except KeyboardInterrupt:
                stops += 1
        if not (out / "shards.json").exists():
            with pytest.raises(UserError, match="`kerasnets data prepare` did not finish there$"):
                load("tfrecord", out)
        write(photos, out)
        assert contents(out) == expected
    assert stops > 8


def test_what_is_there_is_kept_and_what_is_damaged_is_made_anew(photos: Path, tmp_path: Path) -> None:
    write(photos, tmp_path / "out")
    expected = contents(tmp_path / "out")
    assert write(photos, tmp_path / "out") == (9, 9)
    shard = tmp_path / "out/train-00002-of-00008.tfrecord"
    flip(shard, 300)
    (tmp_path / "out/train-00004-of-00008.tfrecord").unlink()
    assert write(photos, tmp_path / "out") == (9, 7)
    flip(tmp_path / "out/shards.npz", 600)
    assert write(photos, tmp_path / "out") == (9, 0)
    assert contents(tmp_path / "out") == expected


def test_it_does_not_mix(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert message(photos, photos) == f"{photos} is there already, is not empty and holds no shards; name a new folder"
    write(photos, out)
    other = f"{out} holds shards of other data, of data that changed since, or cut at another size; name a new folder"
    with pytest.raises(UserError, match="cut at another size"):
        write(photos, out, 0.01)
    (photos / "train/ant/00.png").rename(photos / "train/ant/99.png")
    assert message(photos, out) == other


def test_it_says_what_cannot_be(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="there is nothing to prepare$"):
        preparing.prepare(sources.read(Data(source="digits")), tmp_path / "out", megabytes=1, workers=1, progress=int)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 1000))  # type: ignore[attr-defined]
        assert message(photos, tmp_path / "out") == f"{tmp_path / 'out'}: about 0 MB are needed, 0 MB are free"
    (tmp_path / "file").write_text("")
    assert message(photos, tmp_path / "file") == f"{tmp_path / 'file'}: Not a directory"
    broken = photos / "train/ant/04.png"
    monkeypatch.setattr(preparing, "_check_space", lambda *_: broken.unlink())
    assert message(photos, tmp_path / "new") == f"{broken}: No such file or directory"
    broken.write_bytes(b"other")
    monkeypatch.setattr(preparing, "_check_space", lambda *_: broken.write_bytes(b"longer"))
    assert message(photos, tmp_path / "newer") == f"{broken} changed while it was read; start again"


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_a_flipped_byte_is_noticed_when_it_is_read(photos: Path, tmp_path: Path) -> None:
    write(photos, tmp_path / "out")
    data = Data(source="tfrecord", path=tmp_path / "out")
    dataset = load("tfrecord", tmp_path / "out")
    shard = tmp_path / "out/train-00003-of-00008.tfrecord"
    flip(shard, 200)
    split = dataset.train
    assert split.files is not None
    problems = audit.unreadable(split)
    assert [(p.path.startswith(f"{shard} (train/"), p.reason) for p in problems] == [
        (True, "damaged: the bytes are not those of the index")
    ]
    with pytest.raises(UserError, match="damaged: the bytes are not those of the index$"):
        picture(split, problems[0].index)
    read = split.files.reader()
    with pytest.raises(UserError, match=r"tfrecord \(train/") as error, naming_bad_files(data, dataset):
        read(tf.constant(problems[0].index, tf.int64))
    assert str(error.value).startswith("1 of the images cannot be read; data.skip_corrupt=true leaves them out:\n")


@pytest.mark.parametrize("at", [0, 9, 12, -1], ids=["length", "its checksum", "content", "checksum"])
def test_both_readers_notice_the_same(photos: Path, tmp_path: Path, at: int) -> None:
    write(photos, tmp_path / "out", 1)
    files = load("tfrecord", tmp_path / "out").train.files
    assert files is not None
    place = files.places[5]  # type: ignore[attr-defined]
    flip(files.paths[0], int(place["at"]) + (at if at >= 0 else int(place["size"]) + at))  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="damaged"):
        files.read(5)
    with pytest.raises(tf.errors.DataLossError):
        files.reader()(tf.constant(5, tf.int64))
    assert files.read(6) == files.reader()(tf.constant(6, tf.int64)).numpy()


class TestIndex:
    @pytest.fixture
    def out(self, photos: Path, tmp_path: Path) -> Path:
        write(photos, tmp_path / "out", 1)
        return tmp_path / "out"

    def refusal(self, out: Path) -> str:
        with pytest.raises(UserError) as error:
            load("tfrecord", out)
        return str(error.value).removeprefix(f"{out}/")

    def edit(self, out: Path, **changes: object) -> None:
        document = json.loads((out / "shards.json").read_text())
        (out / "shards.json").write_text(json.dumps(document | changes))

    def rewrite(self, out: Path, **changes: np.ndarray) -> None:
        """Change arrays of the index, with a digest that fits."""
        with np.load(out / "shards.npz") as archive:
            arrays = {name: archive[name] for name in archive.files}
        for name, value in changes.items():
            arrays[name] = value(arrays[name])  # type: ignore[operator]
        np.savez(out / "shards.npz", **arrays)
        self.edit(out, index_sha256=preparing.sha256(out / "shards.npz"))

    def test_missing_and_short_files(self, out: Path) -> None:
        shard = out / "train-00000-of-00001.tfrecord"
        content = shard.read_bytes()
        shard.write_bytes(content[:-1])
        size = len(content)
        assert self.refusal(out) == (f"{shard.name} has {size - 1:,} bytes, not {size:,}; prepare the data once more")
        shard.unlink()
        assert self.refusal(out) == f"{shard.name} is missing; prepare the data once more, which makes it anew"
        shard.write_bytes(content)
        flip(out / "shards.npz", 700)
        assert self.refusal(out).startswith("shards.npz is damaged: its SHA-256 is not the one in shards.json")
        (out / "shards.npz").unlink()
        assert self.refusal(out) == "shards.npz is missing; prepare the data once more"
        (out / "shards.json").unlink()
        assert self.refusal(out) == f"data.path: {out} holds no shards (it has no shards.json)"

    def test_documents_that_cannot_be(self, out: Path) -> None:
        self.edit(out, schema=2)
        assert self.refusal(out) == "shards.json has schema 2; this kerasnets reads 1"
        self.edit(out, schema=1, shards=[{"file": "../x", "examples": 1, "bytes": 1, "sha256": ""}])
        assert self.refusal(out) == "shards.json: '../x' is not the name of a file beside it"
        self.edit(out, shards=[{"fle": "x"}])
        assert self.refusal(out).startswith("shards.json: not an index of shards (")
        (out / "shards.json").write_text("[]")
        assert self.refusal(out).startswith("shards.json: not an index of shards (")

    @pytest.mark.parametrize(
        ("name", "field", "value"),
        [
            ("places", "file", 7),
            ("places", "at", 2**62),
            ("places", "size", 2**63 - 1),
            ("places", "start", 0),
            ("places", "length", 2**63 - 1),
            ("labels", None, 2),
            ("labels", None, -1),
            ("given", None, 3),
            ("id_lengths", None, 100),
        ],
    )
    def test_numbers_that_cannot_be(self, out: Path, name: str, field: str | None, value: int) -> None:
        def change(array: np.ndarray) -> np.ndarray:
            (array if field is None else array[field])[3] = value
            return array

        self.rewrite(out, **{name: change})  # type: ignore[arg-type]
        assert self.refusal(out) == "shards.npz: numbers in it cannot be; prepare the data once more"

    def test_no_pickles(self, out: Path) -> None:
        self.rewrite(out, labels=lambda array: array.astype(object))  # type: ignore[arg-type]
        assert self.refusal(out).startswith("shards.npz: not an index of shards (")


def test_the_command_says_what_it_did(photos: Path, tmp_path: Path) -> None:
    arguments = [str(photos), str(tmp_path / "out"), "--shard-megabytes", str(10 * SIZE), "--json"]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    document = json.loads(result.stdout)
    assert document == {"schema": 1, "path": str(tmp_path / "out"), "images": 30, "shards": 2, "kept": 0}
    result = CliRunner().invoke(command, arguments[:-1], catch_exceptions=False)
    assert result.stdout.startswith("30 images in 2 files, of which 2 were there and whole\ntrain on them with")


@pytest.mark.slow
def test_killed_and_run_again(photos: Path, tmp_path: Path) -> None:
    """SIGKILL after the third shard: what was finished is kept."""
    out, arguments = tmp_path / "out", ["data", "prepare", str(photos), str(tmp_path / "out"), "--shard-megabytes"]
    slow = (
        "import time, sys; from kerasnets import cli; from kerasnets.data.shards import prepare as p; whole = p.sync\n"
        "p.sync = lambda path: (time.sleep(0.05), whole(path)); cli.main()"
    )
    process = subprocess.Popen([sys.executable, "-c", slow, *arguments, str(SIZE)])
    while len(list(out.glob(".prepare/[!.]*.npz"))) < 3 and process.poll() is None:  # what is written aside is hidden
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    shards, kept = write(photos, out)
    assert shards == 9 and 3 <= kept < 9
    write(photos, tmp_path / "whole")
    assert contents(out) == contents(tmp_path / "whole")
