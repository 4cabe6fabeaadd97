"""Optimizers that train layers at rates of their own, and some of them from a later step on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kerasnets.telemetry.frozen import Frozen

if TYPE_CHECKING:
    from keras.optimizers import Optimizer as _Base
else:
    _Base = object


@dataclass(frozen=True)
class Rates:
    """By what the learning rate of variables is multiplied (1 where nothing is said), and which are frozen at first."""

    multipliers: Mapping[str, float] = field(default_factory=dict)
    frozen: Frozen = Frozen()

    @property
    def alike(self) -> bool:
        """Whether all variables are trained at the same rate, from the first step on."""
        return not self.frozen.names and all(multiplier == 1 for multiplier in self.multipliers.values())


class _Layerwise(_Base):
    """What an optimizer does otherwise where rates differ. Frozen variables get no gradient: `apply` goes without them.

    Decoupled weight decay is in proportion to a variable's rate. Adam corrects its averages' bias by the number of
    steps; of a variable that was frozen at first its own steps count, or its first updates after the thaw would be up
    to six times too large. The moving average of a frozen variable is the variable.
    """

    weight_decay: float | None

    def set_rates(self, rates: Rates, variables: Sequence[Any]) -> None:
        """Say what is special about the variables that it is built over."""
        self._multipliers = tuple(rates.multipliers.get(variable.path, 1.0) for variable in variables)
        late = rates.frozen.steps if rates.frozen.names else 0
        self._late = tuple(late if variable.path in rates.frozen.names else 0 for variable in variables)
        self._strength = self.weight_decay
        self._given: frozenset[int] = frozenset()

    def _backend_apply_gradients(self, grads: Any, trainable_variables: Any) -> None:
        self._given = frozenset(self._get_variable_index(variable) for variable in trainable_variables)
        super()._backend_apply_gradients(grads, trainable_variables)

    def update_step(self, gradient: tf.Tensor, variable: Any, learning_rate: tf.Tensor) -> None:
        place = self._get_variable_index(variable)
        rate = learning_rate * self._multipliers[place]
        super().update_step(gradient, variable, rate * self._own_bias_correction(self._late[place]))

    def _own_bias_correction(self, late: float) -> Any:
        """Return by what Adam's correction, for all steps, is wrong for a variable that `late` of them left out."""
        if not late or not hasattr(self, "beta_2"):
            return 1.0
        steps = tf.cast(self.iterations.value + 1, tf.float32)
        own = tf.maximum(steps - late, 1.0)  # float16 may have passed over steps, which are not counted
        return _correction(self, own) / _correction(self, steps)

    def _apply_weight_decay(self, variables: Any) -> None:
        if not self._strength:
            return
        places = [self._get_variable_index(variable) for variable in variables]
        for multiplier in dict.fromkeys(self._multipliers[place] for place in places):
            # Not put back: replicas, each a thread, come here at different times, and nothing else looks at it.
            self.weight_decay = self._strength * multiplier
            pairs = zip(variables, places, strict=True)
            super()._apply_weight_decay([v for v, place in pairs if self._multipliers[place] == multiplier])

    def _update_model_variables_moving_average(self, trainable_variables: Any) -> None:
        super()._update_model_variables_moving_average(trainable_variables)
        for place, (variable, average) in enumerate(
            zip(trainable_variables, self._model_variables_moving_average, strict=True)
        ):
            if place not in self._given:  # to the last bit, which averaging equal numbers does not keep
                average.assign(variable)


def _correction(optimizer: Any, steps: tf.Tensor) -> tf.Tensor:
    """Return what Adam multiplies the rate by at a variable's step (Kingma, Ba 2014, the end of section 2)."""
    return tf.sqrt(1 - tf.pow(optimizer.beta_2, steps)) / (1 - tf.pow(optimizer.beta_1, steps))


def layerwise(kind: type[Any]) -> type[Any]:
    """Return a class of optimizers that does what `_Layerwise` says; call `set_rates` before it is built."""
    return type(f"Layerwise{kind.__name__}", (_Layerwise, kind), {})
