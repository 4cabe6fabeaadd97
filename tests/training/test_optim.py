"""Schedules, optimizers and clipping from the config."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasnets.config import Training
from kerasnets.training import optim

STEPS = 10  # an epoch


def rates(**settings: object) -> list[float]:
    training = Training.model_validate({"epochs": 10, "learning_rate": 1.0, **settings})
    schedule = optim.schedule(training, STEPS)
    return [float(schedule(step)) for step in range(training.epochs * STEPS + 1)]


def test_constant() -> None:
    assert set(rates(schedule="constant")) == {1.0}


def test_step_falls_at_the_named_epochs() -> None:
    found = rates(schedule="step", step_epochs=[4, 8])
    assert found[1] == found[40] == 1.0
    assert found[41] == found[80] == pytest.approx(0.1)
    assert found[81] == found[100] == pytest.approx(0.01)


def test_cosine_falls_to_zero() -> None:
    found = rates(schedule="cosine")
    assert found[0] == 1.0
    assert found[50] == pytest.approx(0.5)
    assert found[100] == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step"])
def test_warmup_climbs_linearly_from_zero(schedule: str) -> None:
    found = rates(schedule=schedule, warmup_epochs=2, **({"step_epochs": [5]} if schedule == "step" else {}))
    assert found[0] == 0.0
    assert found[5] == pytest.approx(0.25)
    assert found[20] == pytest.approx(1.0)
    assert max(found) == pytest.approx(1.0)


def test_one_cycle_climbs_from_a_twenty_fifth_and_ends_at_zero() -> None:
    found = rates(schedule="one_cycle")
    assert found[0] == pytest.approx(1 / 25)
    assert found[30] == pytest.approx(1.0)
    assert found.index(max(found)) == 30
    assert found[100] == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize("settings", [{}, {"nesterov": True}, {"momentum": 0.0}], ids=["plain", "nesterov", "none"])
def test_sgd_in_one_operation_is_keras_own_bit_for_bit(settings: dict[str, object]) -> None:
    ours, theirs = variables(), variables()
    for mine, other in zip(ours, theirs, strict=True):
        other.assign(mine.value)
    chosen = {"momentum": 0.9, **settings}
    optimizers = optim.SGD(0.1, **chosen), keras.optimizers.SGD(0.1, **chosen)

    @tf.function
    def step(gradients: list[tf.Tensor]) -> None:
        for optimizer, trained in zip(optimizers, (ours, theirs), strict=True):
            optimizer.apply(gradients, trained)

    for optimizer, trained in zip(optimizers, (ours, theirs), strict=True):
        optimizer.build(trained)
    for _ in range(5):
        step([tf.constant(np.random.normal(size=variable.shape), tf.float32) for variable in ours])
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine.numpy(), other.numpy())
    for mine, other in zip(optimizers[0].variables, optimizers[1].variables, strict=True):
        np.testing.assert_array_equal(mine.numpy(), other.numpy())


def variables() -> list[keras.Variable]:
    layer = keras.layers.Dense(2, name="dense")
    layer.build((None, 3))
    layer.bias.assign(tf.ones(2))
    return layer.trainable_variables


def moved_by_decay(**settings: object) -> dict[str, float]:
    training = Training.model_validate({"schedule": "constant", "learning_rate": 0.5, **settings})
    trained = variables()
    before = [variable.numpy() for variable in trained]
    optim.optimizer(training, STEPS, trained).apply([tf.zeros_like(v.value) for v in trained], trained)
    return {
        v.path.split("/")[-1]: float(np.abs(v.numpy() - start).max() / np.abs(start).max())
        for v, start in zip(trained, before, strict=True)
    }


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_decoupled_decay_shrinks_kernels_alone_by_rate_times_strength(name: str) -> None:
    moved = moved_by_decay(optimizer=name, weight_decay=0.1, weight_decay_kind="decoupled")
    assert moved["kernel"] == pytest.approx(0.05, rel=1e-4)
    assert moved["bias"] == 0.0


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_l2_is_not_the_optimizers_business(name: str) -> None:
    assert moved_by_decay(optimizer=name, weight_decay=0.1, weight_decay_kind="l2") == {"kernel": 0.0, "bias": 0.0}


def test_optimizers_take_their_settings() -> None:
    made = optim.optimizer(Training(momentum=0.7, nesterov=True, ema=0.95), STEPS, variables())
    assert (made.momentum, made.nesterov, made.use_ema, made.ema_momentum) == (0.7, True, True, 0.95)
    made = optim.optimizer(Training(optimizer="adam", beta_1=0.8, beta_2=0.9, epsilon=1e-3), STEPS, variables())
    assert (made.beta_1, made.beta_2, made.epsilon) == (0.8, 0.9, 1e-3)
    made = optim.optimizer(Training(precision="float16"), STEPS, variables())
    assert isinstance(made, keras.optimizers.LossScaleOptimizer)


GRADIENTS = [tf.constant([3.0, -4.0]), tf.constant([[12.0]])]


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ({"clip_value": 2.0}, [[2.0, -2.0], [[2.0]]]),
        ({"clip_norm": 2.5}, [[1.5, -2.0], [[2.5]]]),
        ({"clip_global_norm": 6.5}, [[1.5, -2.0], [[6.0]]]),
    ],
)
def test_clipping(setting: dict[str, float], expected: list[object]) -> None:
    clip = optim.clipping(Training.model_validate(setting))
    assert clip is not None
    for found, wanted in zip(clip(GRADIENTS), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_nothing_is_clipped_by_default() -> None:
    assert optim.clipping(Training()) is None


@pytest.mark.parametrize("settings, readings", [({}, 1), ({"weight_decay": 0.1, "weight_decay_kind": "decoupled"}, 2)])
def test_a_step_reads_the_schedule_once_and_once_more_for_decay(
    settings: dict[str, object], readings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Counted(keras.optimizers.schedules.LearningRateSchedule):
        count = 0

        def __call__(self, step: object) -> float:
            self.count += 1
            return 0.5

    counted = Counted()
    monkeypatch.setattr(optim, "schedule", lambda *_: counted)
    trained = [*variables(), *(keras.Variable(tf.ones((2, 2)), name=f"layer{n}_kernel") for n in range(3))]
    made = optim.optimizer(Training.model_validate(settings), STEPS, trained)
    made.apply([tf.zeros_like(variable.value) for variable in trained], trained)
    assert counted.count == readings
