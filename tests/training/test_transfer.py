"""Fine-tuning from a run of ours: another number of classes, frozen and thawed, killed and resumed."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from same_runs import differences
from sklearn.datasets import load_digits
from small_runs import FLOAT32
from stopped_runs import crashed, environment, killed

from kerasnets import models
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.errors import UserError
from kerasnets.run import Run
from kerasnets.telemetry.record import Record
from kerasnets.training.checkpoint.store import Store
from kerasnets.training.resume import resume

Train = Callable[..., Run]
BRIEF = [
    *("telemetry.images=false", "telemetry.pr_curves=false", "telemetry.graph=false", "telemetry.report=false"),
    *("telemetry.embeddings=0", "telemetry.every=20", "telemetry.histograms=false"),
]
NET = ["model.blocks=[1, 1, 1]", "data.image_size=8", "training.batch_size=64", FLOAT32]
TUNED = [
    *(*NET, *BRIEF, "training.epochs=3", "training.learning_rate=0.02", "training.ema=0.9", "training.optimizer=adamw"),
    *("training.nesterov=false", "model.freeze=conv3", "model.thaw_after=1", "training.layer_multipliers={stem: 0.1}"),
    "training.checkpoint_every=7",
]
STEPS = 23  # an epoch of B


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, train_small: Train) -> Run:
    """A run on the digits 0 to 4."""
    home = tmp_path_factory.mktemp("first")
    digits = load_digits()
    few = digits.target < 5
    np.savez(home / "few.npz", images=digits.images[few].astype(np.uint8) * 15, labels=digits.target[few])
    words = [*NET, *BRIEF, "telemetry.every=0", "training.epochs=2", "data.source=npz", f"data.path={home / 'few.npz'}"]
    return train_small(home / "run", words)


@pytest.fixture(scope="module")
def whole(first: Run, tmp_path_factory: pytest.TempPathFactory, train_small: Train) -> Run:
    """A run on all digits that begins with the weights of the first, and was never stopped."""
    return train_small(tmp_path_factory.mktemp("whole") / "run", [f"model.pretrained={first.path}", *TUNED])


def weights(path: Path) -> dict[str, np.ndarray]:
    return {v.path: v.numpy() for v in models.load(path).weights}


@pytest.mark.slow
def test_the_run_says_where_its_weights_and_pixels_are_from(first: Run, whole: Run) -> None:
    written = whole.read_json("pretrained.json")
    assert (written["path"], written["family"], written["normalize"]) == (str(first.path), "kerasnets", "pretrained")
    assert (written["adapted"], written["initial"]) == (0, 2)
    assert [t["name"] for t in written["tensors"] if t["state"] == "initial"] == ["softmax/kernel", "softmax/bias"]
    assert whole.config.data.normalize == "pretrained"
    ours, theirs = Preprocessing.load(whole.path), Preprocessing.load(first.path)
    assert (ours.mean, ours.std) == (theirs.mean, theirs.std)
    assert len(first.labels) == 5 and len(whole.labels) == 10


@pytest.mark.slow
def test_frozen_layers_are_in_what_is_saved_as_they_came(first: Run, tmp_path: Path, train_small: Train) -> None:
    words = [f"model.pretrained={first.model_file}", *TUNED, "telemetry.every=0", "training.weight_decay=0.1"]
    run = train_small(tmp_path / "run", [*words, "training.epochs=1", "model.thaw_after=none"])
    theirs, ours = weights(first.model_file), weights(run.model_file)
    for name, value in ours.items():
        if not name.startswith("softmax/"):
            assert np.array_equal(value, theirs[name]) == (not name.startswith("conv4")), name
    assert all(
        variable.trainable for layer in models.load(run.model_file).layers for variable in layer.trainable_weights
    )
    assert len(models.load(run.model_file).trainable_variables) == len(
        models.load(first.model_file).trainable_variables
    )


@pytest.mark.slow
def test_telemetry_says_nothing_of_the_gradients_of_frozen_layers(whole: Run) -> None:
    record = Record.open(whole.telemetry)
    assert record is not None
    gradients = record.kinds["gradient"]
    assert gradients.names == record.layers.variables  # in order of depth
    cold = gradients.steps <= STEPS
    deep = np.array([not name.startswith(("conv4", "softmax")) for name in gradients.names])
    assert cold.any() and not cold.all() and deep.any()
    assert np.isnan(gradients["l2"][cold][:, deep]).all()
    assert np.isfinite(gradients["l2"][cold][:, ~deep]).all()
    assert (gradients["l2"][~cold] > 0).all()
    named = {finding["rule"] for finding in whole.read_json("diagnosis.json")["findings"]}
    assert not named & {"vanishing_gradient", "unchanged_weights", "all_zero"}


@pytest.mark.variant
def test_killed_before_and_after_the_thaw_it_ends_as_if_it_had_not_been(
    first: Run, whole: Run, tmp_path: Path, train_small: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    crashed(run, [f"model.pretrained={first.path}", *TUNED], 3, train_small, monkeypatch)
    assert [path.name for path in Store(run / "checkpoints").paths()] == ["epoch-0000-step-000000000"]
    (first.path / "model.keras").rename(first.path / "gone")  # a run that goes on has all that it needs
    try:
        killed("step", STEPS + 12, 5, "--resume", str(run))
        newest = Store(run / "checkpoints").paths()[-1]
        assert int(newest.name.split("-")[-1]) > STEPS
        command = [sys.executable, "-m", "kerasnets", "train", "--resume", str(run), "--json"]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300, env=environment())
    finally:
        (first.path / "gone").rename(first.path / "model.keras")
    assert differences(whole.path, run) == []
    said = json.loads(done.stdout)["pretrained"]
    assert (said["path"], said["adapted"], said["initial"]) == (str(first.path), 0, 2)


@pytest.mark.slow
def test_what_was_frozen_may_not_change_when_a_run_goes_on(whole: Run) -> None:
    for word in ("model.freeze=stem", "model.thaw_after=2", "training.layer_decay=0.5", "model.pretrained=none"):
        with pytest.raises(UserError, match=rf"cannot go on with another {word.partition('=')[0]} \("):
            resume(whole.path, [word, *(["data.normalize=dataset"] if "pretrained" in word else [])])


@pytest.mark.slow
def test_a_run_that_ended_before_its_weights_were_kept_is_trained_anew(
    first: Run, tmp_path: Path, train_small: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone(Exception):
        pass

    def gone(*_: object) -> None:
        raise Gone

    with monkeypatch.context() as patch, pytest.raises(Gone):
        patch.setattr(Store, "write", gone)
        train_small(tmp_path / "run", [f"model.pretrained={first.path}", *TUNED])
    with pytest.raises(UserError) as raised:
        resume(tmp_path / "run")
    assert str(raised.value) == (
        f"run {tmp_path / 'run'} ended before its first checkpoint, which has what model.pretrained gave; train anew: "
        f"kerasnets train {tmp_path / 'run' / 'config.yaml'}"
    )
