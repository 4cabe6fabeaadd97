"""Data sets that tensorflow-datasets prepared: the same images, labels and splits as it reads itself."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds

from kerasnets.config import Data
from kerasnets.data import pipeline, sources
from kerasnets.data.preprocessing import fit
from kerasnets.data.raw import read
from kerasnets.data.shards.prepare import prepare
from kerasnets.data.sources import Dataset
from kerasnets.errors import UserError

# tensorflow-datasets asks protobuf for what it calls deprecated since 6.32
pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")

COUNTS = {"train": 30, "validation": 8, "test": 5, "extra": 3}


class Pictures(tfds.core.GeneratorBasedBuilder):
    """Random pictures in three classes; those of the test split have hidden labels."""

    VERSION = tfds.core.Version("1.10.0")
    pkg_dir_path = Path(__file__).parent
    image_shape: tuple[int | None, int | None, int] = (7, 6, 3)

    def _info(self) -> Any:
        features = {
            "picture": tfds.features.Image(shape=self.image_shape),
            "thumbnail": tfds.features.Image(shape=(1, 1, 3)),
            "kind": tfds.features.ClassLabel(names=["ant", "bee", "cat"]),
            "number": np.int64,
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features), supervised_keys=("picture", "kind")
        )

    def _split_generators(self, manager: Any) -> dict[str, Any]:
        return {name: self._generate_examples(name) for name in COUNTS}

    def _generate_examples(self, split: str = "") -> Iterator[tuple[int, dict[str, Any]]]:
        generator = np.random.default_rng(len(split))
        for i in range(COUNTS[split]):
            yield (
                i,
                {
                    "picture": generator.integers(0, 256, (7, 6, 3), np.uint8),
                    "thumbnail": np.zeros((1, 1, 3), np.uint8),
                    "kind": -1 if split == "test" else i % 3,
                    "number": i,
                },
            )


def prepared(root: Path, builder: type) -> Any:
    found = builder(data_dir=root)
    found.download_and_prepare(download_config=tfds.download.DownloadConfig(num_shards=3))
    return found


@pytest.fixture(scope="module", autouse=True)
def quiet() -> None:
    tfds.disable_progress_bar()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with two versions of Pictures, and tensorflow-datasets' own mock of MNIST."""
    found = tmp_path_factory.mktemp("tfds")
    for builder in (Pictures, tfds.testing.DummyMnist):
        prepared(found, builder)
    older = Path(shutil.copytree(found / "pictures/1.10.0", found / "pictures/1.9.0")) / "dataset_info.json"
    older.write_text(older.read_text().replace("1.10.0", "1.9.0"))
    return found


def load(path: Path | str, root: Path | None = None, **keys: Any) -> Dataset:
    return sources.load(Data(source="tfds", path=Path(path), tfds_dir=root, **keys), seed=0)


def message(path: Path | str, root: Path | None = None) -> str:
    with pytest.raises(UserError) as error:
        load(path, root)
    return str(error.value)


def test_images_labels_and_splits_are_those_of_tensorflow_datasets(root: Path) -> None:
    dataset = load("pictures:1.10.0", root)
    assert dataset.class_names == ("ant", "bee", "cat")
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 30, "validation": 8}
    assert dataset.ignored == COUNTS["test"] + COUNTS["extra"]
    assert (dataset.native_size, dataset.channels) == ((7, 6), 3)
    for name, split in dataset.splits.items():
        expected = list(tfds.as_numpy(tfds.builder_from_directory(root / "pictures/1.10.0").as_dataset(name)))
        assert split.files is not None and split.ids[3] == f"{name}/3"
        for index, example in enumerate(expected):
            np.testing.assert_array_equal(read(split.files, index, 3), example["picture"])
            assert split.labels[index] == example["kind"]
            content = split.files.reader()(np.int64(index)).numpy() if index < 3 else split.files.read(index)
            assert content == split.files.read(index)
    assert len({file.name for file in dataset.train.files.paths}) == 9  # type: ignore[union-attr]


@pytest.mark.slow
def test_mock_mnist_trains_as_its_own_size_and_channels(root: Path) -> None:
    data = Data(source="tfds", path=Path("dummy_mnist"), tfds_dir=root, validation_split=0.5)
    dataset = sources.load(data, seed=0)
    counts = {name: len(split) for name, split in dataset.splits.items()}
    assert (counts["train"] + counts["validation"], counts["test"]) == (20, 20)
    preprocessing = fit(data, dataset, 0)
    assert (preprocessing.image_size, preprocessing.channels) == ((28, 28), 1)
    keys: dict[str, Any] = {"classes": 10, "batch_size": 6, "seed": 3, "training": True, "workers": 2}
    whole = list(pipeline.batches(dataset.train, preprocessing, **keys).take(4))
    late = list(pipeline.batches(dataset.train, preprocessing, start_step=2, **keys).take(2))
    assert {x.shape[1:] for x, _ in whole} == {(28, 28, 1)}
    for one, other in zip(whole[2:], late, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_the_index_is_made_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load("pictures", root)
    with monkeypatch.context() as patch:
        patch.setattr("kerasnets.data.tfds.frames", lambda path: pytest.fail("read again"))
        again = load("pictures", root)
    assert first.train.ids == again.train.ids
    np.testing.assert_array_equal(first.train.labels, again.train.labels)


def test_versions(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(root))
    newest = load("pictures")
    assert newest.train.files is not None and "/1.10.0/" in newest.train.files.name(0)
    assert load(root / "pictures/1.9.0").train.ids == newest.train.ids
    assert message("pictures:3.0.0") == (f"data.path: {root}/pictures has no version 3.0.0; it has 1.10.0, 1.9.0")


def test_what_is_not_prepared_is_never_downloaded(root: Path) -> None:
    assert message("picture", root) == (
        f"data.path: {root} holds no prepared 'picture'; did you mean 'pictures'?; "
        f"prepare it: tfds build picture --data_dir={root}"
    )


def test_records_can_become_shards(root: Path, tmp_path: Path) -> None:
    examples = sources.read(Data(source="tfds", path=Path("pictures"), tfds_dir=root))
    prepare(examples, tmp_path / "out", megabytes=1, workers=1, progress=int)
    shards = sources.load(Data(source="tfrecord", path=tmp_path / "out"), seed=0)
    direct = load("pictures", root)
    assert direct.train.files is not None and shards.train.files is not None
    assert [direct.train.files.read(i) for i in range(30)] == [shards.train.files.read(i) for i in range(30)]
    assert direct.train.ids == shards.train.ids


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    assert message("mnist") == (
        "data.source 'tfds' needs tensorflow-datasets: pip install 'kerasnets[tfds]'; in a checkout, '.[tfds]'"
    )


class TestWhatItCannotBe:
    def copy(self, root: Path, tmp_path: Path) -> Path:
        copy = tmp_path / "pictures/1.9.0"
        copy.mkdir(parents=True)
        for file in (root / "pictures/1.9.0").iterdir():
            (copy / file.name).write_bytes(file.read_bytes())
        return copy

    def test_features_of_another_package_are_not_imported(self, root: Path, tmp_path: Path) -> None:
        copy = self.copy(root, tmp_path)
        features = (copy / "features.json").read_text()
        (copy / "features.json").write_text(
            features.replace("tensorflow_datasets.core.features.image_feature.Image", "antigravity.Image", 1)
        )
        assert message(copy) == (
            f"{copy / 'features.json'}: features of another package, 'antigravity.Image', are not loaded"
        )
        assert "antigravity" not in sys.modules

    def test_a_file_that_is_cut_short(self, root: Path, tmp_path: Path) -> None:
        copy = self.copy(root, tmp_path)
        file = next(copy.glob("*train*tfrecord-00001*"))
        file.write_bytes(file.read_bytes()[:-5])
        assert message(copy).startswith(f"{file}: not a file of images that tensorflow-datasets wrote (no whole record")

    def test_another_format(self, root: Path, tmp_path: Path) -> None:
        copy = self.copy(root, tmp_path)
        document = json.loads((copy / "dataset_info.json").read_text())
        (copy / "dataset_info.json").write_text(json.dumps(document | {"fileFormat": "array_record"}))
        assert message(copy) == (
            f"data.path: {copy} was prepared as array_record; prepare it as tfrecord: "
            "tfds build pictures --file_format=tfrecord"
        )

    def test_no_images(self, tmp_path: Path) -> None:
        class Numbers(Pictures):
            def _info(self) -> Any:
                return self.dataset_info_from_configs(features=tfds.features.FeaturesDict({"number": np.int64}))

            def _generate_examples(self, split: str = "") -> Iterator[tuple[int, dict[str, Any]]]:
                yield from ((i, {"number": i}) for i in range(3))

        found = prepared(tmp_path, Numbers)
        assert message(found.data_path) == (
            f"data.path: {found.data_path} is no data set of images with one class each: "
            "it has 0 features of kind Image"
        )


def test_tfds_dir_goes_with_tfds_alone() -> None:
    with pytest.raises(ValueError, match="tfds_dir goes with source 'tfds', not 'folder'"):
        Data(source="folder", path=Path("x"), tfds_dir=Path("y"))
