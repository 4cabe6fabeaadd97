"""Encoded images -> shards of TFRecords, with an index of where each image lies. Killed at any point, it goes on.

Images are stored as they are; each shard is written aside, synced, read back and renamed, then listed in `.prepare/`.
The order within a split is shuffled once, for readers that go through shards from end to end.
"""

import fcntl
import hashlib
import io
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from kerasnets.data.encoded import Encoded
from kerasnets.data.records import HEAD, PLACE, TAIL, BrokenFile, frames
from kerasnets.data.shards.index import ARRAYS, DOCUMENT, SCHEMA, Shard, read_document
from kerasnets.data.splitting import SPLITS, Examples
from kerasnets.data.strings import Strings, encoded
from kerasnets.data.threads import in_threads
from kerasnets.durable import sha256, sync, write_whole
from kerasnets.errors import UserError

_SALT = 0x5A4D  # keeps the order of shards apart from other draws
_STATE = ".prepare"
_FRAMING = 256  # bytes that a record needs beside its image, about
_THREADS = 8  # shards in the making at the same time, at most


@dataclass(frozen=True, eq=False)
class _Plan:
    """Which examples go into which shard, in which order."""

    examples: Examples
    files: Encoded
    sizes: np.ndarray
    """Bytes of each image."""
    shards: dict[str, np.ndarray]
    """File -> indices of its examples."""
    fingerprint: str


def prepare(
    examples: Examples, out: Path, *, megabytes: float, workers: int, progress: Callable[[int], object]
) -> tuple[int, int]:
    """Write the shards and the index of `examples` to `out`, or what is missing of them.

    Args:
        examples: Of a source with encoded images.
        out: An empty or new directory, or one that the same call was at work in.
        megabytes: Least size of a shard.
        workers: Shards that are made at the same time.
        progress: Called with the number of examples after each shard that is found or made.

    Returns:
        How many shards there are, and how many of them were there already and whole.

    Raises:
        UserError: `out` holds something else or cannot be written, or an image cannot be read.
    """
    try:
        with _locked(out):
            plan = _plan(examples, megabytes)
            _claim(out, plan)
            _check_space(out, plan)
            return _run(plan, out, workers, progress)
    except OSError as error:
        raise UserError(f"{error.filename or out}: {error.strerror}") from error


def _run(plan: _Plan, out: Path, workers: int, progress: Callable[[int], object]) -> tuple[int, int]:
    names = list(plan.shards)
    finished = _finished(out)

    def one(number: int) -> bool:
        name = names[number]
        there = finished.get(name) or _noted(out, name)
        whole = there is not None and (out / name).is_file() and sha256(out / name) == there
        if not whole:
            _write(plan, out, number, name)
        progress(len(plan.shards[name]))
        return whole

    found = list(in_threads(one, np.arange(len(names)), min(workers, _THREADS)))
    if not finished:
        _finish(plan, out)
    elif any(sha256(out / name) != finished[name] for name, whole in zip(names, found, strict=True) if not whole):
        raise UserError(f"{out}: a shard was damaged, and is another one when made anew; remove the folder and repeat")
    shutil.rmtree(out / _STATE)
    return len(names), sum(found)


def _plan(examples: Examples, megabytes: float) -> _Plan:
    files = examples.files
    if files is None:
        raise UserError("these images are read into memory whole, from one file or a few: there is nothing to prepare")
    everything = np.arange(len(files))
    sizes = files.sizes(everything)
    digest = hashlib.sha256(f"{SCHEMA} {megabytes} {examples.class_names}".encode(errors="surrogateescape"))
    for part in (examples.labels, examples.given, sizes):
        digest.update(np.ascontiguousarray(part).data)
    digest.update(files.fingerprint(everything).encode())
    shards: dict[str, np.ndarray] = {}
    for number, split in enumerate(SPLITS):
        members = np.random.default_rng([number, _SALT]).permutation(np.flatnonzero(examples.given == number))
        full = np.cumsum(sizes[members] + _FRAMING) // int(megabytes * 1e6)
        cuts = np.split(members, np.flatnonzero(np.diff(full)) + 1) if members.size else []
        shards |= {f"{split}-{i:05}-of-{len(cuts):05}.tfrecord": cut for i, cut in enumerate(cuts)}
    return _Plan(examples, files, sizes, shards, digest.hexdigest())


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Hold `out` for this process alone."""
    if out.exists() and not (out / DOCUMENT).is_file() and not (out / _STATE).is_dir() and any(out.iterdir()):
        raise UserError(f"{out} is there already, is not empty and holds no shards; name a new folder")
    (out / _STATE).mkdir(parents=True, exist_ok=True)
    with (out / _STATE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"{out}: another process is preparing shards there") from error
        yield


def _finished(out: Path) -> dict[str, str]:
    """Return shard -> SHA-256 where the index is whole, else nothing."""
    if not (out / DOCUMENT).is_file() or not (out / ARRAYS).is_file():
        return {}
    document = read_document(out)
    whole = sha256(out / ARRAYS) == document.get("index_sha256")
    return {shard["file"]: shard["sha256"] for shard in document["shards"]} if whole else {}


def _claim(out: Path, plan: _Plan) -> None:
    """Note what `out` is made of.

    Raises:
        UserError: It is made of something else.
    """
    note = out / _STATE / "fingerprint"
    before = note.read_text() if note.is_file() else None
    if (out / DOCUMENT).is_file():
        before = read_document(out).get("fingerprint")
    if before not in (None, plan.fingerprint):
        raise UserError(
            f"{out} holds shards of other data, of data that changed since, or cut at another size; name a new folder"
        )
    write_whole(note, plan.fingerprint.encode())


def _check_space(out: Path, plan: _Plan) -> None:
    names = [name for name in plan.shards if not (out / name).is_file()]
    sizes = (plan.sizes[plan.shards[name]].sum() + _FRAMING * len(plan.shards[name]) for name in names)
    needed, free = int(sum(sizes)), shutil.disk_usage(out).free
    if needed > free:
        raise UserError(f"{out}: about {needed / 1e6:,.0f} MB are needed, {free / 1e6:,.0f} MB are free")


def _write(plan: _Plan, out: Path, number: int, name: str) -> None:
    """Make one shard and note it, so that it counts."""
    aside = out / f".{name}.tmp"
    places = _write_records(plan, aside, number, plan.shards[name])
    sync(aside)
    _read_back(aside, places)
    digest = sha256(aside)
    os.replace(aside, out / name)
    sync(out)
    note = io.BytesIO()
    np.savez(note, places=places, sha256=digest)
    write_whole(out / _STATE / f"{name}.npz", note.getvalue())


def _noted(out: Path, name: str) -> str | None:
    note = out / _STATE / f"{name}.npz"
    if not note.is_file():
        return None
    with np.load(note, allow_pickle=False) as archive:
        return str(archive["sha256"])


def _write_records(plan: _Plan, path: Path, number: int, members: np.ndarray) -> np.ndarray:
    """Write the records of `members`; return their rows of `PLACE`, with the checksum of the content alone."""
    import tensorflow as tf

    rows, at = [], 0
    try:
        with tf.io.TFRecordWriter(os.fspath(path)) as writer:
            for index in members.tolist():
                image = _image(plan, index)
                content = _example(plan, index, image)
                writer.write(content)
                framed = HEAD + len(content) + TAIL
                rows.append((number, at, framed, HEAD + content.index(image), len(image), zlib.crc32(content)))
                at += framed
    except tf.errors.OpError as error:
        raise UserError(f"{path.parent}: a shard cannot be written ({error.message})") from error
    return np.array(rows, PLACE)


def _image(plan: _Plan, index: int) -> bytes:
    try:
        image = plan.files.read(index)
    except (OSError, UserError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{plan.files.name(index)}: {reason}") from error
    if len(image) != plan.sizes[index]:
        raise UserError(f"{plan.files.name(index)} changed while it was read; start again")
    return image


def _example(plan: _Plan, index: int, image: bytes) -> bytes:
    """Return a tf.train.Example, serialized: the features that TensorFlow's image pipelines have long had."""
    import tensorflow as tf

    def of(value: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    label = int(plan.examples.labels[index])
    features = {
        "image/encoded": of(image),
        "image/filename": of(encoded(plan.examples.ids[index])),
        "image/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
        "image/class/text": of(encoded(plan.examples.class_names[label])),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return bytes(example.SerializeToString(deterministic=True))


def _read_back(path: Path, places: np.ndarray) -> None:
    """Compare a shard with what was meant to be in it, and put the checksums of whole records into `places`."""
    try:
        for row, (at, frame) in zip(places, frames(path), strict=True):
            if (at, len(frame), zlib.crc32(frame[HEAD:-TAIL])) != (row["at"], row["size"], row["crc"]):
                raise BrokenFile(f"another record at byte {at:,}")
            row["crc"] = zlib.crc32(frame)
    except ValueError as error:
        raise UserError(f"{path}: is not what was written to it ({error}); is the disk full?") from error


def _finish(plan: _Plan, out: Path) -> None:
    """Write the index: the arrays, then the document that says that all is there."""
    places = np.zeros(len(plan.files), PLACE)
    shards = []
    for name, members in plan.shards.items():
        with np.load(out / _STATE / f"{name}.npz", allow_pickle=False) as archive:
            places[members] = archive["places"]
            shards.append(Shard(name, len(members), (out / name).stat().st_size, str(archive["sha256"])))
    ids = Strings.of(plan.examples.ids)
    content = io.BytesIO()
    np.savez(
        content,
        labels=plan.examples.labels,
        given=plan.examples.given,
        places=places,
        ids=np.frombuffer(ids.buffer, np.uint8),
        id_lengths=ids.lengths,
    )
    write_whole(out / ARRAYS, content.getvalue())
    document = {
        "schema": SCHEMA,
        "class_names": plan.examples.class_names,
        "examples": len(plan.files),
        "ignored": plan.examples.ignored,
        "fingerprint": plan.fingerprint,
        "index_sha256": hashlib.sha256(content.getvalue()).hexdigest(),
        "shards": [asdict(shard) for shard in shards],
    }
    write_whole(out / DOCUMENT, json.dumps(document, indent=1).encode())
