"""`kerasnets data check`: each kind of finding in real files, and nothing found in what is sound."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from photos import write_photos
from pictures import chunk, encoded, photo, raw_png
from PIL import Image, ImageEnhance

from kerasnets import config as configs
from kerasnets.config import Data
from kerasnets.data.check import labels, likeness
from kerasnets.data.check.examine import Report, examine
from kerasnets.data.check.findings import NOTE, PROBLEM, RULES
from kerasnets.errors import UserError


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("sound") / "photos", each=6)


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    shutil.copytree(sound, tmp_path / "photos")
    return tmp_path / "photos"


def look(path: Path, source: str = "folder", seed: int | None = None, **keys: object) -> Report:
    return examine(Data(source=source, path=path, **keys), seed)  # type: ignore[arg-type]


def found(report: Report, root: Path) -> dict[str, list[tuple[str, ...]]]:
    """Return the kinds of findings with the files of each, relative to `root`."""
    kinds: dict[str, list[tuple[str, ...]]] = {}
    for finding in report.findings:
        kinds.setdefault(finding.kind, []).append(tuple(os.path.relpath(path, root) for path in finding.paths))
    return kinds


def test_sound_images_have_no_findings(sound: Path) -> None:
    report = look(sound)
    assert report.findings == ()
    assert (report.images, report.splits) == (24, {"train": 24})
    assert report.classes == {"astronaut": 6, "chelsea": 6, "coffee": 6, "rocket": 6}


def palette_animation() -> bytes:
    return encoded(photo(), "GIF", save_all=True, append_images=[photo().rotate(90)])


def large_png() -> bytes:
    content = bytearray(encoded(photo(), "PNG"))
    content[16:24] = (20_000).to_bytes(4, "big") * 2
    return bytes(content)


FILES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "empty": ("rocket/e.jpg", lambda: b""),
    "not_image": ("rocket/t.jpg", lambda: encoded(photo(), "TIFF")),
    "truncated": ("rocket/s.jpg", lambda: encoded(photo(), "JPEG")[:-40]),
    "bomb": ("rocket/l.png", large_png),
    "broken": ("rocket/b.png", lambda: raw_png(8, 2)[:60] + b"?" + raw_png(8, 2)[61:]),
    "animated": (
        "rocket/a.webp",
        lambda: encoded(photo(), "WEBP", save_all=True, append_images=[photo().rotate(90)]),
    ),
    "wrong_extension": ("rocket/w.png", lambda: encoded(photo(), "JPEG")),
    "first_frame": ("rocket/g.gif", palette_animation),
    "aspect": ("rocket/r.png", lambda: encoded(photo(300, 50), "PNG")),
    "small": ("rocket/m.png", lambda: encoded(photo(9, 8), "PNG")),
    "ignored": ("rocket/notes.txt", lambda: b"hello"),
    "left_aside": ("rocket/photo", lambda: encoded(photo(), "JPEG")),
}


@pytest.mark.parametrize("kind", FILES)
def test_one_file(kind: str, folder: Path) -> None:
    name, content = FILES[kind]
    (folder / name).write_bytes(content())
    assert found(look(folder), folder) == {kind: [(name,)]}


def test_an_animated_png_counts_as_one(folder: Path) -> None:
    (folder / "rocket/a.png").write_bytes(raw_png(8, 2, chunk(b"acTL", bytes(8)), size=(60, 70)))
    assert found(look(folder), folder) == {"first_frame": [("rocket/a.png",)]}


def test_what_other_content_is(folder: Path) -> None:
    (folder / "rocket/a.jpg").write_bytes(b"<!DOCTYPE html><title>404 Not Found</title>")
    (folder / "rocket/b.jpg").write_bytes(b"hello")
    details = [finding.detail for finding in look(folder).findings]
    assert details == ["its content is HTML or XML", "not a JPEG, PNG, GIF, BMP or WebP image"]


def test_links_pipes_and_devices(folder: Path) -> None:
    os.symlink("nowhere.jpg", folder / "rocket/gone.jpg")
    os.symlink("self.jpg", folder / "rocket/self.jpg")
    os.symlink("..", folder / "rocket/again")
    os.mkfifo(folder / "rocket/pipe.jpg")
    os.symlink("/dev/zero", folder / "rocket/zero.png")
    gone = [("rocket/gone.jpg",), ("rocket/self.jpg",)]
    assert found(look(folder), folder) == {
        "broken_link": gone,
        "special": [("rocket/pipe.jpg",), ("rocket/zero.png",)],
        "unreadable": gone,
        "link_again": [("rocket/again",)],
    }


def test_names_that_are_not_utf8(folder: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    (folder / "rocket/000.jpg").rename(folder / "rocket" / name)
    assert found(look(folder), folder) == {"not_utf8": [(f"rocket/{name}",)]}


def test_what_lies_beside_the_classes(folder: Path) -> None:
    for split in ("train", "val", "valid", "dev"):
        shutil.copytree(folder / "coffee", folder / split / "coffee")
        shutil.copytree(folder / "rocket", folder / split / "rocket")
    (folder / "loose.png").write_bytes(encoded(photo(), "PNG"))
    (folder / "README").write_text("hello")
    kinds = found(look(folder), folder)
    named = {"astronaut", "chelsea", "coffee", "rocket", "dev", "val", "loose.png"}
    assert {name for (name,) in kinds["left_aside"]} == named
    assert kinds["ignored"] == [("README",)]


def test_copies(folder: Path) -> None:
    shutil.copy(folder / "rocket/000.jpg", folder / "rocket/copy.jpg")
    shutil.copy(folder / "rocket/001.jpg", folder / "coffee/copy.jpg")
    assert found(look(folder), folder) == {
        "two_classes": [("coffee/copy.jpg", "rocket/001.jpg")],
        "duplicate": [("rocket/000.jpg", "rocket/copy.jpg")],
    }


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.resize((image.width // 2, image.height // 2)),
        lambda image: image.resize((image.width * 2, image.height * 2)),
        lambda image: image.convert("L"),
        lambda image: ImageEnhance.Brightness(image).enhance(0.8),
    ],
    ids=["half", "double", "grey", "darker"],
)
def test_images_that_look_alike(change: Callable[[Image.Image], Image.Image], folder: Path) -> None:
    with Image.open(folder / "rocket/000.jpg") as image:
        change(image).save(folder / "coffee/again.jpg", quality=80)
    with Image.open(folder / "rocket/001.jpg") as image:
        change(image).save(folder / "rocket/again.jpg", quality=80)
    assert found(look(folder), folder) == {
        "near_two_classes": [("coffee/again.jpg", "rocket/000.jpg")],
        "near_duplicate": [("rocket/001.jpg", "rocket/again.jpg")],
    }


def test_images_of_one_colour_are_not_alike(folder: Path) -> None:
    for value in range(6):
        Image.new("RGB", (100, 100), (value * 40,) * 3).save(folder / f"rocket/plain{value}.png")
    assert look(folder).findings == ()


def test_copies_across_splits_that_are_given(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "split/train")
    shutil.copytree(folder / "rocket", tmp_path / "split/val/rocket")
    (tmp_path / "split/val/rocket/000.jpg").unlink()
    kinds = found(look(tmp_path / "split"), tmp_path / "split")
    assert sorted(kinds) == ["leak", "missing_in_split"]
    assert len(kinds["leak"]) == 5
    assert len(kinds["missing_in_split"]) == 3


def test_copies_across_splits_that_a_run_draws(folder: Path) -> None:
    for number in range(6):
        shutil.copy(folder / f"rocket/{number:03}.jpg", folder / f"rocket/copy{number}.jpg")
    assert sorted(found(look(folder), folder)) == ["duplicate"]
    kinds = found(look(folder, seed=0, validation_split=0.5), folder)
    assert sorted(kinds) == ["duplicate", "leak"]
    assert len(kinds["leak"]) + len(kinds["duplicate"]) == 6


def test_empty_classes_and_imbalance(folder: Path) -> None:
    (folder / "moon").mkdir()
    for path in sorted((folder / "rocket").iterdir())[1:]:
        path.unlink()
    for number in range(12):
        image = np.random.default_rng(number).integers(0, 256, (20, 20, 3), np.uint8).repeat(5, 0).repeat(5, 1)
        Image.fromarray(image).save(folder / f"coffee/more{number}.png")
    report = look(folder)
    assert [(finding.kind, finding.detail) for finding in report.findings] == [
        ("empty_class", "'moon'"),
        ("imbalance", "'coffee' has 18 training images, 'rocket' 1"),
    ]


def test_data_that_training_refuses_are_looked_at_all_the_same(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "split/train")
    shutil.copytree(folder / "rocket", tmp_path / "split/val/rokcet")
    report = look(tmp_path / "split")
    assert report.images == 30
    kinds = found(report, tmp_path / "split")
    assert sorted(kinds) == ["empty_class", "label_typo", "leak", "missing_in_split", "refused", "two_classes"]
    assert report.findings[0].detail.endswith(
        "class 'rokcet' of the validation split has no training images; did you mean 'rocket'?"
    )


def table(folder: Path, rows: list[tuple[str, ...]]) -> Path:
    with (folder / "list.csv").open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        csv.writer(file).writerows([("path", "label", "split"), *rows])
    return folder / "list.csv"


def test_a_table(folder: Path) -> None:
    (folder / "rocket/pipe.jpg").mkdir()
    os.symlink("nowhere", folder / "rocket/link.jpg")
    rows = [(f"{name}/{i:03}.jpg", name, "train") for name in ("coffee", "rocket") for i in range(6)]
    rows += [
        ("chelsea/000.jpg", "cofee", "train"),
        ("chelsea/001.jpg", "Rocket ", "train"),
        ("coffee/../rocket/000.jpg", "rocket", "train"),
        ("gone.jpg", "rocket", "train"),
        ("rocket/link.jpg", "rocket", ""),
        ("rocket/pipe.jpg", "rocket", ""),
        ("chelsea/002.jpg", "", ""),
        ("chelsea/003.jpg", "coffee", "vla"),
    ]
    report = look(table(folder, rows), "csv")
    assert [(f.kind, tuple(os.path.relpath(p, folder) for p in f.paths), f.detail) for f in report.findings[1:]] == [
        ("row", ("chelsea/002.jpg",), "line 20: path or label is empty"),
        ("row", ("chelsea/003.jpg",), "line 21: split 'vla' is unknown"),
        ("missing", ("gone.jpg",), "line 17"),
        ("broken_link", ("rocket/link.jpg",), "line 18"),
        ("special", ("rocket/pipe.jpg",), "line 19"),
        ("listed_twice", ("rocket/000.jpg",), "lines 8 and 16"),
        ("label_typo", (), "'Rocket ' (1 images) beside 'rocket'"),
        ("label_typo", (), "'cofee' (1 images) beside 'coffee'"),
        ("duplicate", ("rocket/000.jpg", "rocket/000.jpg"), "rocket"),
    ]
    assert report.findings[0].kind == "refused"


@pytest.mark.parametrize(
    ("names", "counts", "expected"),
    [
        (["dog", "dgo"], [100, 3], [("dgo", "dog")]),
        (["dog", "dogs"], [100, 3], [("dogs", "dog")]),
        (["dog", "dag"], [100, 3], [("dag", "dog")]),
        (["T-shirt", "t shirt"], [10, 10], [("t shirt", "T-shirt")]),
        (["dog", "dag"], [100, 90], []),
        (["class1", "class2"], [100, 1], []),
        (["c1", "c"], [100, 1], []),
        (["dog", "god"], [100, 1], []),
        (["cat", "dog"], [100, 1], []),
    ],
)
def test_misspelt_names(names: list[str], counts: list[int], expected: list[tuple[str, str]]) -> None:
    assert list(labels.misspelt(names, np.array(counts))) == expected


def test_arrays(tmp_path: Path) -> None:
    images = np.stack([np.asarray(photo(40, 40).rotate(angle)) for angle in range(0, 360, 12)])
    images[29] = images[0]
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(30) % 3)
    assert found(look(tmp_path / "a.npz", "npz"), tmp_path)["two_classes"]


def test_hashes_are_compared_in_linear_time() -> None:
    """A hundred thousand images, two of which look alike; then half of them with the same hash."""
    rng = np.random.default_rng(0)
    hashes, pictures = rng.integers(0, 2**64, 100_000, np.uint64), rng.integers(0, 256, (100_000, 64), np.uint8)
    hashes[77_000], pictures[77_000] = hashes[5] ^ np.uint64(0x8100_0000_0200_0410), pictures[5]
    assert [group.tolist() for group in likeness.alike(hashes, pictures)] == [[5, 77_000]]
    hashes[:50_000] = hashes[5]
    compared = sum(len(pairs) for pairs in likeness._candidates(hashes, np.arange(100_000)))
    assert compared < 100_000 * likeness.EQUALS


def test_every_kind_says_what_helps() -> None:
    assert {rule.severity for rule in RULES.values()} == {PROBLEM, NOTE}
    assert all(rule.words and rule.remedy for rule in RULES.values())


def test_wrong_paths(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no images under"):
        look(tmp_path)


def kerasnets(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kerasnets", "data", "check", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=cwd, check=False)


def test_the_command(folder: Path, tmp_path: Path) -> None:
    (folder / "rocket" / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"")
    done = kerasnets("photos", "--json", "--output", "found.csv", cwd=tmp_path)
    assert done.returncode == 3
    assert done.stderr == "Refused: 1 problems in photos\n"
    document = json.loads(done.stdout)
    assert (document["schema"], document["problems"], document["notes"]) == (1, 1, 1)
    assert document["findings"][0]["kind"] == "empty"
    assert document["findings"][0]["paths"] == ["photos/rocket/caf\ufffd.jpg"]
    assert "data.skip_corrupt=true" in document["findings"][0]["remedy"]
    with (tmp_path / "found.csv").open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    assert [(row["severity"], row["kind"]) for row in rows] == [("problem", "empty"), ("note", "not_utf8")]
    assert rows[0]["path"] == os.fsdecode(b"photos/rocket/caf\xe9.jpg")


def test_the_command_for_people(folder: Path, tmp_path: Path) -> None:
    (folder / "rocket" / "note[1].txt").write_text("hello")
    config = {"name": "p", "model": {"name": "resnet20"}, "data": {"source": "folder", "path": "photos"}}
    (tmp_path / "p.yaml").write_text(configs.check(config, "test").dump())
    done = kerasnets("p.yaml", "data.validation_split=0.5", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("24 images (12 train, 12 validation) in 4 classes\n")
    assert "note[1]" in done.stdout
    assert "0 problems, 1 notes" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["photo"], "photo is neither a path nor a shipped config; did you mean 'photos'?"),
        (["photos/rocke"], "did you mean 'photos/rocket'?"),
        (["digits-resnet21"], "did you mean 'digits-resnet20'?"),
        (["photos", "seed=1"], "'seed=1' changes a config, but photos is none"),
    ],
)
def test_wrong_words(words: list[str], message: str, folder: Path, tmp_path: Path) -> None:
    done = kerasnets(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip().endswith(message)
    assert done.stdout == ""
