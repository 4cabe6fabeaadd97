"""Every source yields the same splits every time, and says what is wrong with what it was given."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from kerasnets import config as configs
from kerasnets.config import Data
from kerasnets.data import arrays, sources
from kerasnets.data.encoded import Files
from kerasnets.data.sources import Dataset, Split
from kerasnets.errors import UserError

FASHION = Path("/usr/share/datasets/fashion-mnist")


def load(source: str, path: Path | None = None, seed: int = 0, **keys: object) -> Dataset:
    return sources.load(Data(source=source, path=path, **keys), seed=seed)  # type: ignore[arg-type]


def message(source: str, path: Path | None, **keys: object) -> str:
    with pytest.raises(UserError) as error:
        load(source, path, **keys)
    return str(error.value)


def image(path: Path, value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3), (value, value, value)).save(path)
    return path


def tree(root: Path, counts: dict[str, int]) -> Path:
    for folder, count in counts.items():
        for i in range(count):
            image(root / folder / f"{i:03}.png", i)
    return root


def idx_file(path: Path, array: np.ndarray) -> None:
    content = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def test_digits_are_those_of_scikit_learn() -> None:
    found, expected = arrays.digits(), load_digits()
    assert found.images is not None
    np.testing.assert_array_equal(found.images[..., 0], np.round(expected.images * 255 / 16))
    np.testing.assert_array_equal(found.labels, expected.target)
    assert found.class_names == tuple(str(name) for name in expected.target_names)


class TestSplits:
    def test_digits(self) -> None:
        dataset = load("digits")
        assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 1438, "validation": 359}
        assert dataset.class_names == tuple("0123456789")
        assert (dataset.native_size, dataset.channels) == ((8, 8), 1)
        assert dataset.train.images is not None
        assert (dataset.train.images.dtype, dataset.train.images.max()) == (np.dtype("uint8"), 255)

    def test_stratified_disjoint_and_complete(self) -> None:
        dataset = load("digits", validation_split=0.2, test_split=0.1)
        ids = [name for split in dataset.splits.values() for name in split.ids]
        assert len(ids) == len(set(ids)) == 1797
        everyone = np.bincount(np.concatenate([split.labels for split in dataset.splits.values()]))
        np.testing.assert_array_equal(np.bincount(dataset.validation.labels), np.round(everyone * 0.2))
        assert dataset.test is not None
        np.testing.assert_array_equal(np.bincount(dataset.test.labels), np.round(everyone * 0.1))

    def test_a_function_of_the_seed(self) -> None:
        first, again, other = load("digits"), load("digits"), load("digits", seed=1)
        assert first.validation.ids == again.validation.ids
        assert first.validation.ids != other.validation.ids

    def test_labels_stay_with_their_images(self) -> None:
        whole = sources.read(Data(source="digits"))
        dataset = load("digits", seed=3)
        assert whole.images is not None and dataset.validation.images is not None
        for i in range(0, 300, 50):
            at = whole.ids.index(dataset.validation.ids[i])
            assert whole.labels[at] == dataset.validation.labels[i]
            np.testing.assert_array_equal(whole.images[at], dataset.validation.images[i])

    def test_nothing_left_for_validation(self) -> None:
        assert message("digits", None, validation_split=0) == (
            "the data has no validation images; give a validation split, or raise data.validation_split (0)"
        )

    def test_split_by_name(self) -> None:
        with pytest.raises(UserError, match="^the data has no test split; it has train, validation$"):
            load("digits").split("test")

    def test_a_split_has_images_or_files(self) -> None:
        labels = np.zeros(1, np.int32)
        with pytest.raises(ValueError, match="either images or files"):
            Split(labels, None, None, ("a",))
        with pytest.raises(ValueError, match="differ in number"):
            Split(labels, None, Files.of([Path("a"), Path("b")]), ("a",))


class TestIdx:
    IMAGES = np.random.default_rng(0).integers(0, 256, (20, 5, 4), np.uint8)
    LABELS = (np.arange(20) % 3).astype(np.uint8)

    def write(self, root: Path, suffix: str = "", prefix: str = "train") -> Path:
        idx_file(root / f"{prefix}-images-idx3-ubyte{suffix}", self.IMAGES)
        idx_file(root / f"{prefix}-labels-idx1-ubyte{suffix}", self.LABELS)
        return root

    @pytest.mark.parametrize("suffix", ["", ".gz"])
    def test_reads(self, tmp_path: Path, suffix: str) -> None:
        self.write(self.write(tmp_path, suffix), suffix, "t10k")
        dataset = load("idx", tmp_path)
        assert {name: len(split) for name, split in dataset.splits.items()} == {
            "train": 17,
            "validation": 3,
            "test": 20,
        }
        assert (dataset.native_size, dataset.channels, dataset.class_names) == ((5, 4), 1, ("0", "1", "2"))
        assert dataset.test is not None and dataset.test.images is not None
        np.testing.assert_array_equal(dataset.test.images[..., 0], self.IMAGES)
        np.testing.assert_array_equal(dataset.test.labels, self.LABELS)
        assert dataset.test.ids[:2] == ("test/0", "test/1")

    def test_missing_file(self, tmp_path: Path) -> None:
        (tmp_path / "train-image-idx3-ubyte").write_bytes(b"")
        assert message("idx", tmp_path) == (
            f"data.path: {tmp_path} holds no train-images-idx3-ubyte[.gz]; did you mean 'train-image-idx3-ubyte'?"
        )

    def test_cut_short(self, tmp_path: Path) -> None:
        path = self.write(tmp_path) / "train-images-idx3-ubyte"
        path.write_bytes(path.read_bytes()[:-1])
        assert message("idx", tmp_path) == f"{path}: 399 bytes of data, but its header (20, 5, 4) wants 400"

    def test_broken_gzip(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, ".gz") / "train-images-idx3-ubyte.gz"
        path.write_bytes(path.read_bytes()[:-20])
        assert message("idx", tmp_path).startswith(f"{path}: cannot be read (")

    def test_not_idx(self, tmp_path: Path) -> None:
        path = self.write(tmp_path) / "train-images-idx3-ubyte"
        path.write_bytes(b"hello")
        assert message("idx", tmp_path) == f"{path}: not an IDX file of unsigned bytes in 3 dimensions"

    def test_as_many_labels(self, tmp_path: Path) -> None:
        idx_file(self.write(tmp_path) / "train-labels-idx1-ubyte", self.LABELS[:-1])
        assert message("idx", tmp_path) == f"{tmp_path}: 20 train images, but 19 labels"

    @pytest.mark.skipif(not FASHION.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
    def test_fashion_mnist(self) -> None:
        dataset = load("idx", FASHION, validation_split=0.1)
        counts = {"train": 54000, "validation": 6000, "test": 10000}
        assert {name: len(split) for name, split in dataset.splits.items()} == counts
        assert np.bincount(dataset.validation.labels).tolist() == [600] * 10


class TestFolder:
    def test_given_splits(self, tmp_path: Path) -> None:
        tree(tmp_path, {"train/cat": 3, "train/ant": 2, "val/cat": 1, "test/ant": 2})
        dataset = load("folder", tmp_path)
        assert dataset.class_names == ("ant", "cat")
        assert dataset.train.labels.tolist() == [0, 0, 1, 1, 1]
        assert dataset.train.ids[0] == "train/ant/000.png"
        assert dataset.train.files is not None and dataset.train.files.name(0) == f"{tmp_path}/train/ant/000.png"
        assert dataset.validation.ids == ("val/cat/000.png",)
        assert dataset.test is not None and dataset.test.labels.tolist() == [0, 0]
        assert (dataset.native_size, dataset.channels) == (None, None)

    @pytest.mark.parametrize("name", ["val", "valid", "validation"])
    def test_names_of_the_validation_split(self, tmp_path: Path, name: str) -> None:
        assert len(load("folder", tree(tmp_path, {"train/a": 2, "train/b": 2, f"{name}/a": 1})).validation) == 1

    def test_one_tree_is_split(self, tmp_path: Path) -> None:
        dataset = load("folder", tree(tmp_path, {"cat": 10, "ant": 20}), validation_split=0.3)
        assert np.bincount(dataset.validation.labels).tolist() == [6, 3]

    def test_other_files_are_ignored(self, tmp_path: Path) -> None:
        tree(tmp_path, {"cat": 2, "ant": 2, "ant/deeper": 2})
        image(tmp_path / "ant/LOUD.JPG")
        image(tmp_path / ".hidden/0.png")
        image(tmp_path / "ant/.hidden.png")
        (tmp_path / "ant/notes.txt").write_text("x")
        (tmp_path / "labels.csv").write_text("x")
        dataset = load("folder", tmp_path, validation_split=0.5)
        assert sum(map(len, dataset.splits.values())) == 7
        assert dataset.class_names == ("ant", "cat")
        assert dataset.ignored == 1

    def test_path_is_missing(self, tmp_path: Path) -> None:
        tree(tmp_path, {"photos/a": 1})
        assert message("folder", tmp_path / "photo") == (
            f"data.path: {tmp_path / 'photo'} does not exist; did you mean 'photos'?"
        )

    def test_a_file_is_no_folder(self, tmp_path: Path) -> None:
        assert message("folder", image(tmp_path / "a.png")) == f"data.path: {tmp_path / 'a.png'} is not a folder"

    def test_no_images(self, tmp_path: Path) -> None:
        image(tmp_path / "loose.png")
        assert message("folder", tmp_path) == (
            f"data.path: no images under {tmp_path}; wanted: {tmp_path.name}/<class>/<image>.jpg"
        )

    def test_one_class(self, tmp_path: Path) -> None:
        assert message("folder", tree(tmp_path, {"cat": 3})) == (
            f"{tmp_path}: only one class, 'cat'; a classifier needs two"
        )

    def test_class_without_training_images(self, tmp_path: Path) -> None:
        tree(tmp_path, {"train/cats": 2, "train/ants": 2, "val/cat": 1})
        assert message("folder", tmp_path) == (
            f"{tmp_path}: class 'cat' of the validation split has no training images; did you mean 'cats'?"
        )


class TestNpz:
    IMAGES = np.random.default_rng(0).integers(0, 256, (12, 6, 5, 3), np.uint8)
    LABELS = np.arange(12) % 2

    def test_splits(self, tmp_path: Path) -> None:
        path = tmp_path / "a.npz"
        arrays = {"x_train": self.IMAGES, "y_train": self.LABELS[:, None], "x_val": self.IMAGES[:2], "y_val": [1, 0]}
        np.savez(path, **arrays, x_test=self.IMAGES[:3], y_test=[0, 1, 0])
        dataset = load("npz", path)
        assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 12, "validation": 2, "test": 3}
        assert dataset.train.labels.tolist() == self.LABELS.tolist()
        assert dataset.train.images is not None
        np.testing.assert_array_equal(dataset.train.images, self.IMAGES)

    def test_images_and_labels(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "a.npz", images=self.IMAGES[..., 0], labels=self.LABELS, class_names=["cat", "dog"])
        dataset = load("npz", tmp_path / "a.npz", validation_split=0.5)
        assert (dataset.class_names, dataset.channels, len(dataset.train)) == (("cat", "dog"), 1, 6)

    @pytest.mark.parametrize(
        ("arrays", "expected"),
        [
            (
                {"x_train": IMAGES, "y_trian": LABELS},
                "no array 'y_train'; did you mean 'y_trian'?; it holds x_train, y_trian",
            ),
            ({"x_train": IMAGES[:5], "y_train": LABELS}, "5 images in 'x_train', but 12 labels in 'y_train'"),
            (
                {"images": IMAGES.astype(np.float32), "labels": LABELS},
                "'images' must be uint8 [n, h, w] or [n, h, w, 1 or 3], but is float32 [12, 6, 5, 3]",
            ),
            ({"images": IMAGES, "labels": LABELS - 1}, "'labels' must be integers [n] from 0 on, but is int64 [12]"),
            ({"images": IMAGES, "labels": LABELS / 2}, "'labels' must be integers [n] from 0 on, but is float64 [12]"),
            ({"images": IMAGES, "labels": LABELS, "class_names": ["x"]}, "1 class_names, but labels up to 1"),
        ],
    )
    def test_what_is_wrong(self, tmp_path: Path, arrays: dict[str, np.ndarray], expected: str) -> None:
        np.savez(tmp_path / "a.npz", **arrays)
        assert message("npz", tmp_path / "a.npz") == f"{tmp_path / 'a.npz'}: {expected}"

    def test_pickles_are_refused(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "a.npz", images=np.array([{}], object), labels=[0])
        assert message("npz", tmp_path / "a.npz").startswith(
            f"data.path: {tmp_path / 'a.npz'} is not an npz file of plain arrays ("
        )

    def test_no_archive(self, tmp_path: Path) -> None:
        (tmp_path / "a.npz").write_text("hello")
        assert "is not an npz file of plain arrays" in message("npz", tmp_path / "a.npz")


class TestCsv:
    def write(self, root: Path, text: str) -> Path:
        for name in ("a", "b", "c", "d"):
            image(root / "pictures" / f"{name}.png")
        (root / "list.csv").write_text(text)
        return root / "list.csv"

    def test_reads(self, tmp_path: Path) -> None:
        path = self.write(
            tmp_path,
            "path,label,split\npictures/a.png,cat,train\npictures/b.png,ant,\npictures/c.png,cat,val\npictures/d.png,ant,test\n",
        )
        dataset = load("csv", path)
        assert {name: split.ids for name, split in dataset.splits.items()} == {
            "train": ("pictures/a.png", "pictures/b.png"),
            "validation": ("pictures/c.png",),
            "test": ("pictures/d.png",),
        }
        assert dataset.class_names == ("ant", "cat")
        assert dataset.train.labels.tolist() == [1, 0]
        assert dataset.train.files is not None
        assert [dataset.train.files.name(i) for i in (0, 1)] == [f"{tmp_path}/pictures/{x}.png" for x in "ab"]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("file,label\nx,y\n", ": no column 'path'; it has file, label"),
            ("path,lable\nx,y\n", ": no column 'label'; did you mean 'lable'?; it has path, lable"),
            ("path,label\npictures/a.png,\n", ", line 2: path or label is empty"),
            ("path,label\n", ": there are no images in it"),
            (
                "path,label,split\npictures/a.png,x,vla\n",
                ", line 2: split 'vla' is none of train, val, test; did you mean 'val'?",
            ),
        ],
    )
    def test_what_is_wrong(self, tmp_path: Path, text: str, expected: str) -> None:
        path = self.write(tmp_path, text)
        assert message("csv", path) == f"{path}{expected}"

    def test_missing_and_repeated_images(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, "path,label\npictures/a.png,x\ngone.png,y\nlost.png,y\n")
        assert message("csv", path) == f"{path}: {tmp_path / 'gone.png'} does not exist and 1 more"
        path = self.write(tmp_path, "path,label\npictures/a.png,x\npictures/a.png,y\n")
        assert message("csv", path) == f"{tmp_path}: pictures/a.png is listed more than once"


def test_numbered_classes_can_be_named() -> None:
    names = tuple(f"digit {k}" for k in range(10))
    named, numbered = load("digits", class_names=names), load("digits")
    assert named.class_names == names
    assert np.array_equal(named.train.labels, numbered.train.labels)
    assert named.train.ids == numbered.train.ids


def test_class_names_of_another_number_are_refused() -> None:
    assert message("digits", None, class_names=("a", "b")) == "data.class_names names 2 classes; digits has 10"


@pytest.mark.parametrize(
    ("source", "names", "expected"),
    [
        ("folder", ("a", "b"), "class_names goes with digits, idx and npz; source 'folder' has names of its own"),
        ("idx", ("a", "a"), "class_names holds a name twice"),
    ],
)
def test_class_names_that_cannot_be(source: str, names: tuple[str, ...], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        Data(source=source, path=Path("x"), class_names=names)  # type: ignore[arg-type]


@pytest.mark.skipif(not FASHION.is_dir(), reason="needs Debian's dataset-fashion-mnist")
def test_fashions_shipped_config_names_its_classes() -> None:
    dataset = sources.load(configs.load("fashion-resnet20").data, seed=0)
    assert dataset.class_names[0] == "T-shirt"
    assert dataset.class_names[9] == "ankle boot"
