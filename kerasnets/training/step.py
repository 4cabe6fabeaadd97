"""`Trainer`: the one owner of the training step. Everything that wants to see into a step is an observer of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from kerasnets.models.specs import Head
from kerasnets.telemetry import replicas
from kerasnets.telemetry.frozen import Frozen
from kerasnets.telemetry.observed import Gradients, ObservedModel
from kerasnets.telemetry.observers import Observer
from kerasnets.telemetry.replicas import Average, Flags
from kerasnets.telemetry.validation import ValidationCounts
from kerasnets.training.normalization import FreezableBatchNormalization


@dataclass(frozen=True)
class Objective:
    """What is minimised besides the plain cross-entropy of each head.

    Attributes:
        label_smoothing: share of the target spread evenly over the classes (Szegedy et al. 2015, sec. 7).
        class_weights: weight of each class's examples, or None.
        l2: lambda of an L2 penalty lambda / 2 * |w|^2 on kernels, added to their gradients.
    """

    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None
    l2: float = 0.0


def is_kernel(variable: Any) -> bool:
    """Tell whether weight decay applies: to kernels, never to biases, normalisation or learnt activations."""
    return str(variable.path).rsplit("/", 1)[-1].endswith("kernel")


class Trainer(ObservedModel):
    """Holds a network (`.net`) and trains it on all its heads; validation looks at the main head alone.

    Args:
        net: functional model, images `[N, H, W, C]` to logits: one tensor, or a dict by head name.
        heads: the heads, one of them `main`; they decide losses, their weights, and metrics.
        classes: number of classes K; targets are one-hot or soft `[N, K]`.
        objective: smoothing, class weights, L2.
        clip: gradients to clipped gradients, or None.
        observers: called at the fixed points of every step, in order.
        counts: gathers what the main head says of each validation batch.
        accumulate: parts in which a batch goes through the network, see `ObservedModel`.
        flags: what workers tell each other at each batch, in training and validation.
        frozen: variables that are not trained, or not yet; batch normalisation with such is in inference mode.
    """

    def __init__(
        self,
        net: keras.Model,
        heads: Sequence[Head],
        classes: int,
        objective: Objective = Objective(),  # noqa: B008  (frozen)
        clip: Callable[[Sequence[tf.Tensor]], Sequence[tf.Tensor]] | None = None,
        observers: Sequence[Observer] = (),
        counts: ValidationCounts | None = None,
        accumulate: int = 1,
        flags: Flags | None = None,
        frozen: Frozen = Frozen(),  # noqa: B008  (frozen)
    ) -> None:
        super().__init__(net, observers, name="trainer", accumulate=accumulate, frozen=frozen)
        self.counts = counts
        self.flags = flags
        self.heads = tuple(heads)
        self.main_head = next(head for head in heads if head.main)
        self.goal = objective
        self.clip = clip
        self.loss_metric = Average(name="loss")
        self.head_metrics = {head.name: _HeadMetrics(head.name, classes) for head in heads}

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        own = [self.loss_metric, *(m for head in self.head_metrics.values() for m in head.all())]
        return own + [metric for observer in self.observers for metric in observer.metrics()]

    def call(self, images: tf.Tensor, training: bool | None = None) -> dict[str, tf.Tensor]:
        """Return float32 logits `[N, K]` by head name."""
        return self._logits(self._outputs(images, training))

    def train_step(self, data: Any) -> dict[str, Any]:
        for layer in self.net.layers:  # while the graph is traced, which is one of a phase
            if isinstance(layer, FreezableBatchNormalization):
                layer.frozen = any(variable.path in self._left for variable in layer.weights)
        return super().train_step(data)

    def objective(self, outputs: Any, targets: tf.Tensor, weights: Any, images: tf.Tensor) -> tf.Tensor:
        """Return the heads' weighted losses, summed."""
        losses = self._cross_entropies(outputs, targets)
        return tf.add_n([head.loss_weight * _mean(losses[head.name]) for head in self.heads])

    def final(self, gradients: Gradients) -> Gradients:
        """Clip, then add the gradient of the L2 penalty."""
        if self.clip is not None:
            gradients = self.clip(gradients)
        if self.goal.l2:
            pairs = zip(gradients, self.trained, strict=True)
            gradients = [g + self.goal.l2 * v.value if is_kernel(v) else g for g, v in pairs]
        return gradients

    def measured(
        self, outputs: Any, targets: tf.Tensor, weights: Any, images: tf.Tensor, loss: tf.Tensor
    ) -> dict[str, Any]:
        logits, losses = self._logits(outputs), self._cross_entropies(outputs, targets)
        examples = self._add({name: (targets, logits[name], losses[name]) for name in self.head_metrics})
        self.loss_metric.add(loss * examples, examples)
        return self._train_logs()

    def _add(self, seen: Mapping[str, tuple[tf.Tensor, tf.Tensor, tf.Tensor]]) -> tf.Tensor:
        """Add targets, logits and losses of a batch to heads' metrics; return how many examples the whole batch has."""
        own = [self.head_metrics[name].sums(*values) for name, values in seen.items()]
        images = [tf.cast(tf.shape(losses)[0], tf.float32) for *_, losses in seen.values()]
        flags = [self.flags.own()] if self.flags is not None else []
        *sums, examples = replicas.summed([*flags, *own, images[0]])
        if self.flags is not None:
            self.flags.see(sums.pop(0))
        for name, values in zip(seen, sums, strict=True):
            self.head_metrics[name].add(values, examples)
        return examples

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Do nothing: all is built. Keras would take a mean over the parts of a batch, which differ in size."""

    def logs_so_far(self) -> dict[str, Any]:
        return self._train_logs() | {m.name: m.result() for observer in self.observers for m in observer.metrics()}

    def test_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, Any]:
        images, targets, _ = keras.utils.unpack_x_y_sample_weight(data)
        name = self.main_head.name
        logits = self(images, training=False)[name]
        self._add({name: (targets, logits, tf.nn.softmax_cross_entropy_with_logits(targets, logits))})
        if self.counts is not None:
            self.counts.update(targets, logits)
        return replicas.logs(self.head_metrics[name].main_logs())

    def _logits(self, outputs: Any) -> dict[str, tf.Tensor]:
        return {name: tf.cast(logits, tf.float32) for name, logits in self.named(outputs).items()}

    def _cross_entropies(self, outputs: Any, targets: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return each head's cross-entropy of each example, `[N]`."""
        smoothing, weights = self.goal.label_smoothing, self.goal.class_weights
        smooth = targets * (1 - smoothing) + smoothing / targets.shape[-1] if smoothing else targets
        found = {}
        for name, logits in self._logits(outputs).items():
            losses = tf.nn.softmax_cross_entropy_with_logits(smooth, logits)
            found[name] = losses * tf.linalg.matvec(targets, tf.constant(weights, tf.float32)) if weights else losses
        return found

    def _train_logs(self) -> dict[str, Any]:
        logs = self.head_metrics[self.main_head.name].main_logs() | {"loss": self.loss_metric.result()}
        if len(self.heads) > 1:
            for head in self.head_metrics.values():
                logs |= {metric.name: metric.result() for metric in head.all()}
        return logs


def _mean(values: tf.Tensor) -> tf.Tensor:
    """Return the mean; 0 where a replica has no part of a small batch."""
    if replicas.count() == 1:
        return tf.reduce_mean(values)
    return tf.math.divide_no_nan(tf.reduce_sum(values), tf.cast(tf.size(values), values.dtype))


class _HeadMetrics:
    """Loss, accuracy and, with more than five classes, top-5 accuracy of one head."""

    def __init__(self, head: str, classes: int) -> None:
        self.loss = Average(name=f"{head}_loss")
        self.accuracy = Average(name=f"{head}_accuracy")
        self.top5 = Average(name=f"{head}_top5") if classes > 5 else None

    def all(self) -> list[Average]:
        return [self.loss, self.accuracy, *([self.top5] if self.top5 else [])]

    def sums(self, targets: tf.Tensor, logits: tf.Tensor, losses: tf.Tensor) -> tf.Tensor:
        """Return the sums over a batch that `add` takes, `[2 or 3]`."""
        found = [losses, keras.metrics.categorical_accuracy(targets, logits)]
        if self.top5 is not None:
            found.append(keras.metrics.top_k_categorical_accuracy(targets, logits, 5))
        return tf.stack([tf.reduce_sum(tf.cast(values, tf.float32)) for values in found])

    def add(self, sums: tf.Tensor, examples: tf.Tensor) -> None:
        for metric, total in zip(self.all(), tf.unstack(sums), strict=True):
            metric.add(total, examples)

    def main_logs(self) -> dict[str, Any]:
        """Return the results under the names that the main head has in logs: loss, accuracy, top5."""
        logs = {"loss": self.loss.result(), "accuracy": self.accuracy.result()}
        return logs | ({"top5": self.top5.result()} if self.top5 else {})
