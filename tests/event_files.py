"""Reads TensorBoard's event files back."""

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util import tensor_util


class Point(NamedTuple):
    """A value in an event file."""

    step: int
    plugin: str
    value: np.ndarray


def read(directory: Path) -> dict[str, list[Point]]:
    """Return tag -> its values, in order, of all event files in a directory; metadata counts for later values too."""
    found: dict[str, list[Point]] = defaultdict(list)
    plugins: dict[str, str] = {}
    for path in sorted(directory.glob("events.out.tfevents.*")):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                plugins.setdefault(value.tag, value.metadata.plugin_data.plugin_name)
                array = tensor_util.make_ndarray(value.tensor) if value.HasField("tensor") else np.empty(0)
                found[value.tag].append(Point(event.step, plugins[value.tag], array))
    return dict(found)
