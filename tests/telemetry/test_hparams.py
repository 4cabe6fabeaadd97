from pathlib import Path
from typing import Any

import event_files
import keras
import numpy as np
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

from kerasnets.telemetry.events import Events
from kerasnets.telemetry.hparams import HParams, leaves

SETTINGS = {
    "name": "digits",
    "seed": 3,
    "model": {"name": "resnet20", "blocks": [3, 3, 3], "bias": False, "options": {}},
    "training": {"learning_rate": 0.1, "clip_norm": None, "step_epochs": (), "limit": float("inf")},
}


def test_every_setting_has_its_dotted_key() -> None:
    assert leaves(SETTINGS) == {
        "name": "digits",
        "seed": 3.0,
        "model.name": "resnet20",
        "model.blocks": "3, 3, 3",
        "model.bias": False,
        "model.options": "none",
        "training.learning_rate": 0.1,
        "training.clip_norm": "none",
        "training.step_epochs": "none",
        "training.limit": "inf",
    }


def train(directory: Path, name: str, settings: dict[str, Any], losses: list[float]) -> None:
    """Train for as many epochs as there are losses, which stand for those of the validation."""

    class Scores(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs |= {"val_loss": losses[epoch], "val_accuracy": 1 / (1 + losses[epoch])}

    events = Events(directory)
    net = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    net.compile("sgd", "mse")
    callbacks = [Scores(), HParams(events, name, settings)]
    net.fit(np.ones((4, 1)), np.ones((4, 1)), 2, epochs=len(losses), verbose=0, callbacks=callbacks)
    events.scalars(1, {"gradient_norm/conv": 1.0})
    events.close()


def table(directory: Path) -> tuple[api_pb2.Experiment, list[api_pb2.SessionGroup]]:
    """Return what TensorBoard's plugin makes of a directory of runs."""
    multiplexer = plugin_event_multiplexer.EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(directory))
    multiplexer.Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, str(directory))
    context = backend_context.Context(base_plugin.TBContext(data_provider=provider, logdir=str(directory)))
    request = RequestContext()
    metadata = context.hparams_metadata(request, "")
    experiment = context.experiment_from_metadata(request, "", True, metadata, [])
    columns = [api_pb2.ColParams(metric=info.name) for info in experiment.metric_infos]
    wanted = api_pb2.ListSessionGroupsRequest(col_params=columns, start_index=0, slice_size=99)
    wanted.allowed_statuses.extend([api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE])
    groups = list_session_groups.Handler(request, context, "", wanted).run().session_groups
    return experiment, list(groups)


def test_runs_are_a_table(tmp_path: Path) -> None:
    train(tmp_path / "digits-1" / "tensorboard", "digits-1", SETTINGS, [0.5, 0.25, 1.0])
    other = SETTINGS | {"seed": 4, "model": {"name": "googlenet", "width": 0.5}}
    train(tmp_path / "digits-2" / "tensorboard", "digits-2", other, [float("nan"), 3.0])
    experiment, groups = table(tmp_path)
    scores = ["accuracy", "accuracy_best", "loss", "loss_best"]
    # The gradient's norm, which is among the scalars of the run, is no column.
    assert sorted(info.name.tag for info in experiment.metric_infos) == [f"validation/{score}" for score in scores]
    assert {info.name for info in experiment.hparam_infos} == {*leaves(SETTINGS), "model.width"}
    differing = {info.name for info in experiment.hparam_infos if info.differs}
    assert {"seed", "model.name"} <= differing and "training.learning_rate" not in differing
    found = {group.name: group for group in groups}
    assert set(found) == {"digits-1", "digits-2"}
    values = {value.name.tag: value.value for value in found["digits-1"].metric_values}
    assert values["validation/loss"] == 1.0 and values["validation/loss_best"] == 0.25
    assert values["validation/accuracy_best"] == np.float32(0.8)
    assert found["digits-1"].hparams["model.blocks"].string_value == "3, 3, 3"
    assert {session.status for group in groups for session in group.sessions} == {api_pb2.STATUS_SUCCESS}


def test_tags_are_these(tmp_path: Path) -> None:
    train(tmp_path, "digits-1", SETTINGS, [float("nan"), 2.0])
    found = event_files.read(tmp_path / "hparams")
    session = {"_hparams_/session_start_info", "_hparams_/session_end_info"}
    scores = {f"validation/{score}" for score in ("accuracy", "accuracy_best", "loss", "loss_best")}
    assert set(found) == session | scores
    assert [point.step for point in found["validation/loss"]] == [2, 4]
    assert [float(point.value) for point in found["validation/loss_best"]] == [2.0]


def test_a_run_that_is_stopped_has_failed(tmp_path: Path) -> None:
    events = Events(tmp_path)
    callback = HParams(events, "digits-1", SETTINGS)
    callback.on_train_begin()
    callback.close(finished=False)
    callback.close(finished=True)
    events.close()
    _, (group,) = table(tmp_path)
    assert [session.status for session in group.sessions] == [api_pb2.STATUS_FAILURE]
