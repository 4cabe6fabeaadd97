"""Whether two run directories hold the same: weights bit for bit, tables but for their timing, events."""

import contextlib
import csv
import json
import zipfile
from pathlib import Path
from typing import Any

import event_files
import h5py
import numpy as np
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import DecodeError
from safetensors.numpy import load_file
from tensorboard.compat.proto.graph_pb2 import GraphDef

from kerasnets.training.callbacks import TIMING
from kerasnets.training.checkpoint.store import ARRAYS, Store

OTHER_TAGS = {"images_per_second", "config"}
"""What times things, and the config as text, which says how often checkpoints are written."""
SAME_FILES = ("labels.txt", "splits.csv", "preprocessing.json", "predictions.csv")
TABLES = ("telemetry/statistics.csv", "telemetry/steps.csv")


def differences(first: Path, second: Path) -> list[str]:
    """Return what differs between two finished runs; the length of time that things took is no difference."""
    found = [name for name in (*SAME_FILES, *TABLES) if _content(first / name) != _content(second / name)]
    found += [name for name in ("model.keras", "last.keras") if _weights(first / name) != _weights(second / name)]
    found += ["history.csv"] if _history(first) != _history(second) else []
    found += ["metrics.json"] if _metrics(first) != _metrics(second) else []
    found += [f"checkpoint {name}" for name in _differing(_state(first), _state(second))]
    return found + [f"event {key}" for key in _differing(events(first), events(second))]


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None  # without telemetry there are no tables


def _differing(first: dict[Any, Any], second: dict[Any, Any]) -> list[Any]:
    keys = sorted(first.keys() | second.keys(), key=str)
    return [key for key in keys if key not in first or key not in second or first[key] != second[key]]


def _weights(path: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}

    def keep(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = np.asarray(item).tobytes()

    with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as file, h5py.File(file) as weights:
        weights.visititems(keep)
    return found


def _state(run: Path) -> dict[str, bytes]:
    """Return every array of the last checkpoint, but those of the clock."""
    arrays = load_file(Store(run / "checkpoints").paths()[-1] / ARRAYS)
    return {name: array.tobytes() for name, array in arrays.items() if "/clock/" not in name}


def _history(run: Path) -> list[dict[str, str]]:
    with (run / "history.csv").open(newline="") as file:
        return [{key: value for key, value in row.items() if key not in TIMING} for row in csv.DictReader(file)]


def _metrics(run: Path) -> dict[str, Any]:
    return {key: value for key, value in json.loads((run / "metrics.json").read_text()).items() if key != "seconds"}


def events(run: Path) -> dict[tuple[str, str, int], Any]:
    """Return (writer, tag, step) -> values, but of tags that may differ."""
    found: dict[tuple[str, str, int], Any] = {}
    for directory in sorted((run / "tensorboard").iterdir()):
        if directory.name == "hparams":  # has the time at which the run began in it
            continue
        for tag, points in event_files.read(directory).items():
            if tag not in OTHER_TAGS:
                for point in points:
                    found.setdefault((directory.name, tag, point.step), []).append(_plain(point.value))
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype == object and value.size == 1:
        with contextlib.suppress(DecodeError):  # its bytes come in any order
            return MessageToJson(GraphDef.FromString(value.item()), sort_keys=True)
    return value.tobytes() if isinstance(value, np.ndarray) and value.dtype != object else repr(value)
