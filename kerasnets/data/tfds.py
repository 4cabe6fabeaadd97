"""tensorflow-datasets as a source: its prepared TFRecord files, read at random by an index that is made once.

Nothing is downloaded and no data set's own code is run: what tensorflow-datasets wrote is enough.
"""

import hashlib
import io
import os
import re
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from zipfile import BadZipFile

import numpy as np
from google.protobuf.message import DecodeError

from kerasnets.console import import_tensorflow, progress
from kerasnets.data.cache_root import cache_root
from kerasnets.data.records import HEAD, PLACE, TAIL, BrokenFile, Records, frames
from kerasnets.data.splitting import SPLITS, Examples
from kerasnets.data.strings import Strings
from kerasnets.data.threads import in_threads
from kerasnets.durable import write_whole
from kerasnets.errors import UserError, nearest

_WORDS = {"train": "train", "validation": "validation", "val": "validation", "valid": "validation", "test": "test"}
_INFO = "dataset_info.json"
_FEATURE = re.compile(r'"pythonClassName"\s*:\s*"([^"]*)"')


@dataclass(frozen=True)
class _Keys:
    """Names of the features that hold an image and its class."""

    image: str
    label: str


def load(path: Path, directory: Path | None) -> Examples:
    """Return a data set that tensorflow-datasets has prepared.

    Args:
        path: `name`, `name:version`, `name/config:version`, or the directory of a version.
        directory: Where data sets are; None: where tensorflow-datasets keeps them.

    Raises:
        UserError: tensorflow-datasets is not installed, the data set is not prepared, or is none of labelled images.
    """
    builder = _builder(path, directory)
    info = builder.info
    if info.file_format.file_suffix != "tfrecord":
        raise UserError(
            f"data.path: {path} was prepared as {info.file_format.file_suffix}; prepare it as tfrecord: "
            f"tfds build {info.name} --file_format=tfrecord"
        )
    keys = _keys(path, info)
    splits = {_WORDS[name]: split for name, split in info.splits.items() if name in _WORDS}
    files = [(name, Path(os.fspath(file))) for name in SPLITS if name in splits for file in splits[name].filepaths]
    places, labels = _indexed([file for _, file in files], keys)
    given = np.array([SPLITS.index(name) for name, _ in files], np.uint8)[places["file"]]
    labelled = labels >= 0  # hidden labels of a test split are -1
    names = tuple(info.features[keys.label].names)
    if labels.max(initial=-1) >= len(names):
        raise UserError(f"data.path: {path}: a label is {labels.max()}, but there are {len(names)} classes")
    ids = Strings.of(
        f"{SPLITS[split]}/{i}" for split in np.unique(given) for i in range(np.count_nonzero(given == split))
    )
    left = sum(split.num_examples for name, split in info.splits.items() if name not in _WORDS)
    records = Records(tuple(file for _, file in files), places, ids).take(np.flatnonzero(labelled))
    height, width, channels = info.features[keys.image].shape
    return Examples(
        names,
        labels[labelled],
        given[labelled],
        records.ids,
        files=records,
        ignored=left + int(np.count_nonzero(~labelled)),
        native_size=None if None in (height, width) else (height, width),
        channels=channels,
    )


def _tensorflow_datasets() -> ModuleType:
    import_tensorflow()
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise UserError(
            "data.source 'tfds' needs tensorflow-datasets: pip install 'kerasnets[tfds]'; in a checkout, '.[tfds]'"
        ) from error
    return tensorflow_datasets


def _builder(path: Path, directory: Path | None) -> Any:
    tfds = _tensorflow_datasets()
    where = path if (path / _INFO).is_file() else _version(path, directory)
    features = where / "features.json"
    if not features.is_file():
        raise UserError(f"data.path: {where} has no features.json: it was prepared by tensorflow-datasets before 4.0")
    for name in _FEATURE.findall(features.read_text(encoding="utf-8")):
        if not name.startswith("tensorflow_datasets."):  # would be imported, whatever it is
            raise UserError(f"{features}: features of another package, '{name}', are not loaded")
    return tfds.builder_from_directory(where)


def _version(path: Path, directory: Path | None) -> Path:
    """Return the directory `<data sets>/<name>[/<config>]/<version>` that `path` stands for, of the highest version."""
    root = directory or Path(os.environ.get("TFDS_DATA_DIR") or Path.home() / "tensorflow_datasets")
    name, _, version = str(path).partition(":")
    there = {found.parent.name: found.parent for found in (root / name).glob(f"*/{_INFO}")}
    if version and version not in there and there:
        raise UserError(f"data.path: {root / name} has no version {version}; it has {', '.join(sorted(there))}")
    if there:
        return there[version or max(there, key=_number)]
    configs = sorted(found.parent.parent.name for found in (root / name).glob(f"*/*/{_INFO}"))
    if configs:
        raise UserError(f"data.path: {name} wants one of its configs: {', '.join(f'{name}/{c}' for c in configs)}")
    known = [found.relative_to(root).parts[0] for found in root.glob(f"*/*/{_INFO}")]
    raise UserError(
        f"data.path: {root} holds no prepared '{name}'{nearest(name, known)}; "
        f"prepare it: tfds build {path} --data_dir={root}"
    )


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _keys(path: Path, info: Any) -> _Keys:
    """Return the features of an image and its class: those for supervised learning, or the only ones there are."""
    features = _tensorflow_datasets().features
    named = info.supervised_keys or (None, None)
    keys = _Keys(_key(path, info, features.Image, named[0]), _key(path, info, features.ClassLabel, named[1]))
    image = info.features[keys.image]
    if image.np_dtype != np.uint8 or image.shape[-1] not in (1, 3):
        raise UserError(f"data.path: {path}: images are {image.np_dtype} {image.shape}, not uint8 with 1 or 3 channels")
    return keys


def _key(path: Path, info: Any, kind: type, named: str | None) -> str:
    names: list[str] = [name for name, feature in info.features.items() if type(feature) is kind]
    if named in names:
        return names[names.index(named)]
    if len(names) != 1:
        what = f"{len(names)} features of kind {kind.__name__}{': ' * bool(names)}{', '.join(names)}"
        raise UserError(f"data.path: {path} is no data set of images with one class each: it has {what}")
    return names[0]


def _indexed(files: list[Path], keys: _Keys) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of `PLACE` and labels of every record of the files, read from end to end the first time."""
    digest = hashlib.sha256(f"{keys}".encode())
    for file in files:
        status = file.stat()
        digest.update(f"{file.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    path = cache_root() / "tfds" / f"{digest.hexdigest()[:32]}.npz"
    with suppress(OSError, ValueError, KeyError, BadZipFile), np.load(path, allow_pickle=False) as archive:
        return archive["places"].astype(PLACE, casting="equiv"), archive["labels"].astype(np.int32, casting="equiv")
    with progress("index, once", total=len(files)) as advance:
        parts = list(in_threads(lambda number: _index(number, files[number], keys, advance), np.arange(len(files))))
    places, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    content = io.BytesIO()
    np.savez(content, places=places, labels=labels)
    with suppress(OSError):  # where nothing can be kept it is made again
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content.getvalue())
    return places, labels


def _index(number: int, path: Path, keys: _Keys, advance: Callable[[], object]) -> tuple[np.ndarray, np.ndarray]:
    import tensorflow as tf

    places, labels = [], []
    try:
        for at, frame in frames(path):
            features = tf.train.Example.FromString(frame[HEAD:-TAIL]).features.feature
            image = features[keys.image].bytes_list.value[0]
            places.append((number, at, len(frame), frame.index(image, HEAD), len(image), zlib.crc32(frame)))
            labels.append(features[keys.label].int64_list.value[0])
    except (BrokenFile, IndexError, DecodeError) as error:
        raise UserError(f"{path}: not a file of images that tensorflow-datasets wrote ({error})") from error
    advance()
    return np.array(places, PLACE), np.array(labels, np.int32)
