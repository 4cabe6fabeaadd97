"""Optimizer, learning-rate schedule and gradient clipping from the config."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from kerasnets.config import Training
from kerasnets.training.layerwise import Rates, layerwise
from kerasnets.training.nonfinite import RateFactor
from kerasnets.training.step import is_kernel

if TYPE_CHECKING:
    from keras.optimizers import Optimizer as _Base
else:
    _Base = object

_ONE_CYCLE_START = 1 / 25
_ONE_CYCLE_WARMUP = 0.3


class Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """Climbs linearly from 0 to the rate of `schedule` in `steps` optimizer steps (Goyal et al. 2017, sec. 2.2)."""

    def __init__(self, schedule: keras.optimizers.schedules.LearningRateSchedule, steps: int) -> None:
        super().__init__()
        self.schedule = schedule
        self.steps = steps

    def __call__(self, step: Any) -> Any:
        done = keras.ops.cast(step, "float32") / self.steps
        return self.schedule(step) * keras.ops.minimum(done, 1.0)

    def get_config(self) -> dict[str, Any]:
        return {"schedule": keras.saving.serialize_keras_object(self.schedule), "steps": self.steps}


def schedule(training: Training, steps_per_epoch: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """Return the learning rate as a function of the optimizer step.

    `cosine` falls to 0 (Loshchilov, Hutter 2016, without restarts); `one_cycle` (Smith 2017) climbs from 1/25 of the
    peak during `warmup_epochs` (0: the first 30 % of the epochs) and then falls to 0 along a cosine.
    """
    schedules = keras.optimizers.schedules
    rate, total = training.rate, training.epochs * steps_per_epoch
    warmup = round(training.warmup_epochs * steps_per_epoch)
    if training.schedule == "cosine":
        return schedules.CosineDecay(
            0.0 if warmup else rate, total - warmup, warmup_target=rate if warmup else None, warmup_steps=warmup
        )
    if training.schedule == "one_cycle":
        warmup = warmup or max(1, round(_ONE_CYCLE_WARMUP * total))
        start = rate * _ONE_CYCLE_START
        return schedules.CosineDecay(start, max(1, total - warmup), warmup_target=rate, warmup_steps=warmup)
    boundaries = [round(epoch * steps_per_epoch) for epoch in training.step_epochs]
    rates = [rate * training.step_factor**power for power in range(len(boundaries) + 1)]
    steps = schedules.PiecewiseConstantDecay(boundaries or [total], rates if boundaries else [rate, rate])
    return Warmup(steps, warmup) if warmup else steps


class SGD(keras.optimizers.SGD):
    """Keras' SGD, whose update with momentum is one operation a variable: Keras has eight, each a pass over memory.

    m = momentum * m - rate * gradient, then w += m, or with Nesterov's momentum w += momentum * m - rate * gradient.
    """

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Update a dense float32 variable in place."""
        if not self.momentum:
            super().update_step(gradient, variable, learning_rate)
            return
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=self.momentums[self._get_variable_index(variable)].value.handle,
            lr=learning_rate,
            grad=gradient,
            momentum=self.momentum,
            use_nesterov=self.nesterov,
        )


class _OneRate(_Base):
    """What an optimizer with decoupled weight decay does otherwise: the rate is read once a step.

    Keras evaluates the schedule anew for each variable that decays, with all its conditions, in each step's graph.
    """

    weight_decay: float | None
    _rate: Any = None

    def _get_current_learning_rate(self) -> Any:
        return super()._get_current_learning_rate() if self._rate is None else self._rate

    def _apply_weight_decay(self, variables: Any) -> None:
        if not self.weight_decay:
            return
        self._rate = super()._get_current_learning_rate()
        try:
            super()._apply_weight_decay(variables)
        finally:
            self._rate = None


def optimizer(
    training: Training,
    steps_per_epoch: int,
    variables: Sequence[Any],
    factor: RateFactor | None = None,
    rates: Rates = Rates(),  # noqa: B008  (frozen)
) -> keras.optimizers.Optimizer:
    """Return the optimizer, built over `variables`; decoupled weight decay leaves all but kernels alone.

    `factor` multiplies the schedule, so that the rate can be lowered while training; `rates` says where it differs from
    layer to layer.
    """
    rate = schedule(training, steps_per_epoch)
    decay = training.weight_decay if training.weight_decay_kind == "decoupled" else 0.0
    common: dict[str, Any] = {
        "name": training.optimizer,  # Keras would number the optimizers of a process
        "learning_rate": rate if factor is None else factor.times(rate),
        # Not 0, by which Keras has every variable decay in every step; AdamW alone does not take None.
        "weight_decay": decay if decay or training.optimizer == "adamw" else None,
        "use_ema": training.ema is not None,
        "ema_momentum": training.ema or 0.99,
    }
    kinds: dict[str, Any] = {
        "sgd": SGD,
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
    }
    kind = kinds[training.optimizer]
    if common["weight_decay"] is not None:
        kind = type(kind.__name__, (_OneRate, kind), {})
    kind = kind if rates.alike else layerwise(kind)
    if training.optimizer == "sgd":
        made = kind(momentum=training.momentum, nesterov=training.nesterov, **common)
    else:
        made = kind(beta_1=training.beta_1, beta_2=training.beta_2, epsilon=training.epsilon, **common)
    if not rates.alike:
        made.set_rates(rates, variables)
    if decay:
        made.exclude_from_weight_decay(var_list=[variable for variable in variables if not is_kernel(variable)])
    if training.precision == "float16":
        made = keras.optimizers.LossScaleOptimizer(made, name="scaled")
    made.build(variables)
    return made


def clipping(training: Training) -> Callable[[Sequence[tf.Tensor]], Sequence[tf.Tensor]] | None:
    """Return the function that clips gradients, or None when nothing is clipped."""
    if training.clip_value is not None:
        bound = training.clip_value
        return lambda gradients: [tf.clip_by_value(gradient, -bound, bound) for gradient in gradients]
    if training.clip_norm is not None:
        norm = training.clip_norm
        return lambda gradients: [tf.clip_by_norm(gradient, norm) for gradient in gradients]
    if training.clip_global_norm is not None:
        total = training.clip_global_norm
        return lambda gradients: tf.clip_by_global_norm(list(gradients), total)[0]
    return None
