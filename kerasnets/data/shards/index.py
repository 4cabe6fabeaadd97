"""What lies beside the shards of a prepared data set, and reading it back. Imports no TensorFlow.

<split>-00000-of-00012.tfrecord   tf.train.Example records, shuffled
shards.npz                        label, split, id of each example, in the order of the source, and where it lies
shards.json                       class names; size and SHA-256 of each shard and of shards.npz; written last
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from kerasnets.data.records import HEAD, PLACE, Records
from kerasnets.data.splitting import SPLITS, Examples
from kerasnets.data.strings import Strings
from kerasnets.durable import sha256
from kerasnets.errors import UserError

SCHEMA = 1
DOCUMENT, ARRAYS = "shards.json", "shards.npz"
_KEYS = {"labels": "<i4", "given": "|u1", "places": PLACE, "ids": "|u1", "id_lengths": "<i4"}


@dataclass(frozen=True)
class Shard:
    """A file of records, as shards.json lists it."""

    file: str
    examples: int
    bytes: int
    sha256: str


def read_document(directory: Path) -> dict[str, Any]:
    """Return shards.json.

    Raises:
        UserError: There is none, or it is not one that this version reads.
    """
    path = directory / DOCUMENT
    if not path.is_file():
        unfinished = "; `kerasnets data prepare` did not finish there" if (directory / ".prepare").is_dir() else ""
        raise UserError(f"data.path: {directory} holds no shards (it has no {DOCUMENT}){unfinished}")
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        schema = document["schema"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not an index of shards ({error})") from error
    if schema != SCHEMA:
        raise UserError(f"{path} has schema {schema}; this kerasnets reads {SCHEMA}")
    return document


def load(directory: Path) -> Examples:
    """Return the examples of prepared shards, in the order of the source that they were made of.

    Raises:
        UserError: The index or a shard is missing, cut short, or not what it should be.
    """
    document = read_document(directory)
    try:
        names = tuple(str(name) for name in document["class_names"])
        shards = [Shard(**shard) for shard in document["shards"]]
        ignored, digest = int(document["ignored"]), str(document["index_sha256"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{directory / DOCUMENT}: not an index of shards ({error!r})") from error
    for shard in shards:
        _check(directory, shard)
    arrays = _arrays(directory / ARRAYS, digest)
    ends = np.cumsum(arrays["id_lengths"], dtype=np.int64)
    ids = Strings(arrays["ids"], ends - arrays["id_lengths"], arrays["id_lengths"])
    records = Records(tuple(directory / shard.file for shard in shards), arrays["places"], ids)
    _check_places(directory, arrays, shards, len(names))
    return Examples(names, arrays["labels"], arrays["given"], ids, files=records, ignored=ignored)


def _check(directory: Path, shard: Shard) -> None:
    path = directory / shard.file
    if Path(shard.file).name != shard.file:
        raise UserError(f"{directory / DOCUMENT}: '{shard.file}' is not the name of a file beside it")
    if not path.is_file():
        raise UserError(f"{path} is missing; prepare the data once more, which makes it anew")
    size = path.stat().st_size
    if size != shard.bytes:
        raise UserError(f"{path} has {size:,} bytes, not {shard.bytes:,}; prepare the data once more")


def _arrays(path: Path, digest: str) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise UserError(f"{path} is missing; prepare the data once more")
    if sha256(path) != digest:
        raise UserError(f"{path} is damaged: its SHA-256 is not the one in {DOCUMENT}; prepare the data once more")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key].astype(kind, casting="equiv", copy=False) for key, kind in _KEYS.items()}
    except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise UserError(f"{path}: not an index of shards ({error})") from error


def _check_places(directory: Path, arrays: dict[str, np.ndarray], shards: list[Shard], classes: int) -> None:
    """See that every place lies in its shard, so that a false index reads nothing else."""
    places, labels, lengths = arrays["places"], arrays["labels"], arrays["id_lengths"]
    at, size, start, length = (places[key] for key in ("at", "size", "start", "length"))
    sound = len(places) == len(labels) == len(arrays["given"]) == len(lengths) > 0
    sound = sound and lengths.min() >= 0 and int(lengths.sum(dtype=np.int64)) == len(arrays["ids"])
    sound = sound and 0 <= labels.min() and labels.max() < classes and arrays["given"].max() < len(SPLITS)
    sound = sound and 0 <= places["file"].min() and places["file"].max() < len(shards)
    if sound:
        room = np.array([shard.bytes for shard in shards], np.int64)[places["file"]]
        sound = at.min() >= 0 and start.min() >= HEAD and size.min() >= 0 and length.min() >= 0
        sound = sound and bool(((at <= room) & (size <= room - at) & (start <= size) & (length <= size - start)).all())
    if not sound:
        raise UserError(f"{directory / ARRAYS}: numbers in it cannot be; prepare the data once more")
