"""What we write to event files is what TensorBoard reads from them."""

from pathlib import Path

import event_files
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from kerasnets.telemetry.events import TRAIN, VALIDATION, Events


def test_values_of_one_record_are_read_back(tmp_path: Path) -> None:
    events = Events(tmp_path)
    counts = np.array([3.0, 0.0, 5.0])
    events.write(7, [events.scalar("norm/a b", 0.25), events.histogram("weights/猫", -1.0, 2.0, counts)])
    events.close()
    found = event_files.read(tmp_path / TRAIN)
    assert set(found) == {"norm/a b", "weights/猫"}
    ((step, plugin, value),) = found["norm/a b"]
    assert (step, plugin, value) == (7, "scalars", 0.25)
    ((step, plugin, value),) = found["weights/猫"]
    assert (step, plugin) == (7, "histograms")
    assert value.tolist() == [[-1, 0, 3], [0, 1, 0], [1, 2, 5]]


def test_a_histogram_of_equal_entries_is_one_bucket_around_them(tmp_path: Path) -> None:
    events = Events(tmp_path)
    events.write(1, [events.histogram("h", 4.0, 4.0, np.array([0.0, 9.0, 0.0]))])
    events.close()
    assert event_files.read(tmp_path / TRAIN)["h"][0].value.tolist() == [[3.5, 4.5, 9]]


def test_metadata_is_written_once_and_tensorboard_reads_every_point(tmp_path: Path) -> None:
    events = Events(tmp_path)
    for step in range(1, 301):
        events.write(step, [events.scalar("s", step / 2), events.histogram("h", 0.0, step, np.ones(30))])
    events.scalars(5, {"s": 1.5}, VALIDATION)
    events.close()
    once = sum(path.read_bytes().count(b"histograms") for path in (tmp_path / TRAIN).iterdir())
    assert once == 1
    read = EventAccumulator(str(tmp_path / TRAIN), size_guidance={"tensors": 0}).Reload()
    assert read.PluginTagToContent("scalars").keys() == {"s"}
    assert read.PluginTagToContent("histograms").keys() == {"h"}
    assert [(event.step, event.tensor_proto.float_val[0]) for event in read.Tensors("s")] == [
        (step, step / 2) for step in range(1, 301)
    ]
    assert [event.step for event in read.Tensors("h")] == list(range(1, 301))
    validation = EventAccumulator(str(tmp_path / VALIDATION)).Reload()  # each file has the metadata of its own
    assert validation.PluginTagToContent("scalars").keys() == {"s"}


def test_a_value_that_was_made_but_not_written_keeps_its_metadata_for_the_next(tmp_path: Path) -> None:
    events = Events(tmp_path)
    events.scalar("s", 1.0)
    events.scalars(2, {"s": 2.0})
    events.close()
    assert event_files.read(tmp_path / TRAIN)["s"][0].plugin == "scalars"


def test_bytes_are_those_on_disk_and_room_is_what_is_left(tmp_path: Path) -> None:
    events = Events(tmp_path, max_megabytes=0.001)
    assert events.bytes == 0 and events.room(1000) and not events.room(1001)
    events.scalars(1, {"a": 1.0})
    events.scalars(1, {"a": 1.0}, VALIDATION)
    used = events.bytes
    assert used == sum(path.stat().st_size for path in tmp_path.rglob("events*"))
    assert used > 100
    assert events.room(1000 - used) and not events.room(1001 - used)
    events.close()
    events.close()


def test_nothing_to_write_makes_no_file(tmp_path: Path) -> None:
    events = Events(tmp_path)
    events.write(1, [])
    events.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [0.0, 1e-30, -3e38])
def test_scalars_are_float32(value: float, tmp_path: Path) -> None:
    events = Events(tmp_path)
    events.scalars(1, {"s": value})
    events.close()
    assert event_files.read(tmp_path / TRAIN)["s"][0].value == np.float32(value)
