"""The training step with observers: a Keras model that holds a network and lets observers see each step of `fit`."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import keras
import tensorflow as tf

from kerasnets.telemetry import replicas
from kerasnets.telemetry.accumulation import Batch, Given, Rest, accumulate
from kerasnets.telemetry.frozen import Frozen
from kerasnets.telemetry.observers import Forward, Level, Observer
from kerasnets.telemetry.replicas import state
from kerasnets.telemetry.taps import named_outputs, tap

Gradients = Sequence[tf.Tensor | None]


class ObservedModel(keras.Model):
    """Trains a functional network with whatever it is compiled with; observers see the real step.

    The network itself (`net`) is untouched: save that one. `compile` and `fit` work as for any Keras model, with mixed
    precision and `jit_compile`; with `steps_per_execution`, where each step of a sampled execution is looked at and the
    last is kept; and under `tf.distribute`, where observers see the whole batch's loss and gradients, and the first
    replica's share of images, outputs and activations.

    Args:
        net: functional model of one input.
        observers: called at the fixed points of every step, in order.
        accumulate: parts in which a batch goes through the network, one after another, so that activations need that
            much less memory. Their gradients, weighted by examples, make one step. Batch normalisation sees parts, not
            the batch: its statistics are of fewer images, and its moving statistics move at each part. Observers see
            the whole batch's loss and gradients, and the first part's outputs, activations and heads' gradients. Not
            with `jit_compile`.
        frozen: variables that are not trained, or not yet: no gradient of theirs is computed, and observers get None.

    Attributes:
        first_batch: batches of this epoch that `pass_over` leaves out.
    """

    train_function: Any
    steps_per_execution: int

    def __init__(
        self,
        net: keras.Model,
        observers: Sequence[Observer] = (),
        name: str | None = None,
        accumulate: int = 1,
        frozen: Frozen = Frozen(),  # noqa: B008  (frozen)
    ) -> None:
        super().__init__(name=name)
        self.net = net
        self.frozen = frozen
        self._left = frozen.at(1)
        self.observers = tuple(observers)
        self.accumulate = accumulate
        self._forward: Callable[..., Any] = net
        self._level = Level.STEP
        self.first_batch = 0
        self._passing = 0
        self._done = 0
        self._counted = state(0, tf.int64, "steps_done")
        if self.observers:
            # A bound method, since Keras would track the model itself: its layers are those of `net`.
            tapped, watched = tap(net)
            self._forward = tapped.__call__
            for observer in self.observers:
                observer.build(watched)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return [*super().metrics, *(metric for observer in self.observers for metric in observer.metrics())]

    @property
    def output_names(self) -> list[str]:
        """Return the network's, by which `compile` and `fit` know losses, metrics and targets."""
        return list(self.net.output_names)

    @property
    def steps_done(self) -> int:
        """Steps trained so far; with several an execution, as the device counted them."""
        return int(self._counted.numpy()) if self.steps_per_execution > 1 else self._done

    @steps_done.setter
    def steps_done(self, steps: int) -> None:
        self._done = steps
        self._counted.assign(steps)

    def call(self, images: tf.Tensor, training: bool | None = None) -> Any:
        return self._outputs(images, training)

    def _outputs(self, images: tf.Tensor, training: bool | None) -> Any:
        found, cut = replicas.run(lambda x: self.net(x, training=training), images)
        return tf.nest.map_structure(cut, found)

    @property
    def trained(self) -> list[Any]:
        """Return the variables that the step that comes trains."""
        return [variable for variable in self.net.trainable_variables if variable.path not in self._left]

    def make_train_function(self, force: bool = False) -> None:
        """Make what `fit` calls: the graph for what is frozen in the step that comes, and for what observers want."""
        if self.train_function is not None and not force:
            return
        graphs = {}
        for kind in product(Level, {self.frozen.names, frozenset[str]()}):
            super().make_train_function(force=True)
            graphs[kind] = self.train_function

        def function(iterator: Any) -> Any:
            if self._passing:
                self._passing -= 1
                return {} if self._passing else self.logs_so_far()
            steps, done = self.steps_per_execution, self.steps_done
            coming = range(done + 1, done + 1 + steps)
            self._level = max((observer.level(coming) for observer in self.observers), default=Level.STEP)
            self._left = self.frozen.at(done + 1)
            try:
                logs = graphs[self._level, self._left](iterator)  # traced at its first call, for what is set
            finally:
                self._level = Level.STEP
            self._done += steps
            return logs

        self.train_function = function

    def pass_over(self, batches: int) -> None:
        """Leave out the first batches of the epoch that begins: another process did them. They take no data."""
        self.first_batch = self._passing = batches

    def logs_so_far(self) -> dict[str, Any]:
        """Return the logs of the epoch as its metrics are now."""
        return dict(self.get_metrics_result())

    def objective(self, outputs: Any, targets: Any, weights: Any, images: tf.Tensor) -> tf.Tensor:
        """Return the scalar to minimise, a mean over these examples: here, what `compile` was given."""
        return self._compute_loss(images, targets, outputs, weights, training=True) * replicas.count()  # Keras divides

    def final(self, gradients: Gradients) -> Gradients:
        """Return the gradients of `trained` as the optimizer gets them: here, unchanged; `compile`'s may clip them."""
        return gradients

    def measured(self, outputs: Any, targets: Any, weights: Any, images: tf.Tensor, loss: tf.Tensor) -> dict[str, Any]:
        """Update metrics after a step and return the logs."""
        self._loss_tracker.update_state(loss, sample_weight=tf.shape(images)[0])
        return self.compute_metrics(images, targets, outputs, weights)

    def train_step(self, data: Any) -> dict[str, Any]:
        images, targets, weights = batch = keras.utils.unpack_x_y_sample_weight(data)
        self._counted.assign_add(1)
        variables = self.trained
        share = _share(images)
        first, rest = self._accumulated(batch, share)
        with self._tape(persistent=self._level >= Level.HEADS) as tape:
            outputs, activations = self._run(first[0], training=True)
            own_loss = _weighted(self.objective(outputs, first[1], first[2], first[0]), share)
            scaled = self.optimizer.scale_loss(own_loss)
        (loss,) = replicas.summed([rest.loss(own_loss) if rest else own_loss])
        self._observe_forward(images, first, outputs, activations, loss, scaled, tape)
        own = _dense(self._rescaled(tape.gradient(scaled, variables), up=False))
        gradients = self._summed(rest.gradients(own) if rest else own)
        norm = tf.linalg.global_norm([gradient for gradient in gradients if gradient is not None])
        self._observe(lambda observer: observer.gradients(self._of_all(gradients), norm))
        final = self.final(gradients)
        self._observe(lambda observer: observer.clipped(self._of_all(final)))
        self._apply(final, variables)
        self._observe(lambda observer: observer.applied())
        logs = self.measured(rest.outputs(outputs) if rest else outputs, targets, weights, images, loss)
        logs |= {m.name: m.result() for observer in self.observers for m in observer.metrics()}
        return replicas.logs(logs)

    def test_step(self, data: Any) -> dict[str, Any]:
        return replicas.logs(super().test_step(data))

    def _accumulated(self, batch: Batch, share: tf.Tensor | None) -> tuple[Batch, Rest | None]:
        """Return the part of a batch that is left to do, and what the others gave; all of it where it is not split."""
        if self.accumulate == 1:
            return batch, None
        if self.jit_compile:
            raise ValueError("gradients cannot be accumulated under XLA: compile with jit_compile=False")
        outputs, variables = tf.nest.flatten(self.net.output), self.trained
        return accumulate(batch, self.accumulate, lambda part: self._do(part, share), variables, outputs)

    def _do(self, part: Batch, share: tf.Tensor | None) -> Given:
        images, targets, weights = part
        variables = self.trained
        with self._tape() as tape:
            outputs = self.net(images, training=True)
            loss = _weighted(self.objective(outputs, targets, weights, images), share)
            scaled = self.optimizer.scale_loss(loss)
        found = _dense(self._rescaled(tape.gradient(scaled, variables), up=False))
        pairs = zip(found, variables, strict=True)
        gradients = [tf.zeros(v.shape, v.dtype) if g is None else g for g, v in pairs]
        return Given(gradients, tf.cast(loss, tf.float32), tf.nest.flatten(outputs))

    @contextlib.contextmanager
    def _tape(self, persistent: bool = False) -> Iterator[tf.GradientTape]:
        """Record for gradients of `trained` alone: of what comes before the first of them nothing is kept."""
        with tf.GradientTape(persistent=persistent, watch_accessed_variables=not self._left) as tape:
            if self._left:
                tape.watch([variable.value for variable in self.trained])
            yield tape

    def _of_all(self, gradients: Gradients) -> Gradients:
        """Return gradients of `trained` as gradients of all variables, None for those that are frozen."""
        found = dict(zip(map(id, self.trained), gradients, strict=True))
        return [found.get(id(variable)) for variable in self.net.trainable_variables]

    def _observe(self, look: Callable[[Observer], None]) -> None:
        for observer in self.observers:
            look(observer)

    def _observe_forward(
        self,
        images: tf.Tensor,
        part: Batch,
        outputs: Any,
        activations: dict[str, tf.Tensor],
        loss: tf.Tensor,
        scaled: tf.Tensor,
        tape: tf.GradientTape,
    ) -> None:
        named = self.named(outputs)
        seen = Forward(
            level=self._level,
            images=images,
            outputs=named,
            loss=loss,
            activations=activations,
            learning_rate=tf.cast(self.optimizer.learning_rate, tf.float32),
            head_gradients=lambda head: self._of_head(tape, scaled, named[head]),
            inference_loss=lambda: self._inference_loss(*part),
        )
        self._observe(lambda observer: observer.forward(seen))

    def _inference_loss(self, images: tf.Tensor, targets: Any, weights: Any) -> tf.Tensor:
        return self.objective(self._run(images, training=False)[0], targets, weights, images)

    def _run(self, images: tf.Tensor, training: bool) -> tuple[Any, dict[str, tf.Tensor]]:
        """Return the network's outputs in its own structure, and the activations that are watched."""
        if not self.observers:
            return self._outputs(images, training), {}
        found, cut = replicas.run(lambda x: self._forward(x, training=training), images)
        outputs = {name: cut(output) for name, output in found["outputs"].items()}
        structure = self.net.output
        if isinstance(structure, dict):
            return outputs, found["activations"]
        listed = list(outputs.values())
        return (listed if isinstance(structure, list | tuple) else listed[0]), found["activations"]

    def named(self, outputs: Any) -> dict[str, tf.Tensor]:
        """Return the outputs of the network by name."""
        if isinstance(outputs, dict):
            return outputs
        listed = outputs if isinstance(outputs, list | tuple) else [outputs]
        return dict(zip(named_outputs(self.net), listed, strict=True))

    def _of_head(self, tape: tf.GradientTape, loss: tf.Tensor, output: tf.Tensor) -> Gradients:
        """Return what reaches the variables through one output alone."""
        through = tape.gradient(loss, output)
        found = tape.gradient(output, self.trained, output_gradients=through)
        return self._of_all(self._summed(_dense(self._rescaled(found, up=False))))

    def _rescaled(self, gradients: Gradients, up: bool) -> Gradients:
        """Take float16's loss scale out of gradients, or put it back, which its optimizer expects."""
        if not isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            return gradients
        scale = self.optimizer.scale_loss(tf.ones(()))
        return [g if g is None else g * scale if up else g / scale for g in gradients]

    def _summed(self, gradients: Gradients) -> Gradients:
        """Sum dense gradients over the replicas of `tf.distribute`."""
        summed = iter(replicas.summed([g for g in gradients if g is not None]))
        return [None if g is None else next(summed) for g in gradients]

    def _apply(self, gradients: Gradients, variables: Sequence[Any]) -> None:
        several = replicas.count()
        if several > 1 and isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            gradients = [g if g is None else g / several for g in gradients]  # it sums over the replicas once more
        elif several > 1:
            self.optimizer._all_reduce_sum_gradients = list  # which would send all gradients once more
        self.optimizer.apply(self._rescaled(gradients, up=True), variables)


def _share(images: tf.Tensor) -> tf.Tensor | None:
    """Return one replica's share of the images of all; None where it is alone."""
    if replicas.count() == 1:
        return None
    own = tf.cast(tf.shape(images)[0], tf.float32)
    return own / replicas.summed([own])[0]


def _weighted(loss: tf.Tensor, share: tf.Tensor | None) -> tf.Tensor:
    """Return what a mean over one replica's images contributes to the mean over those of all replicas."""
    return loss if share is None else loss * tf.cast(share, loss.dtype)


def _dense(gradients: Gradients) -> Gradients:
    return [None if g is None else tf.convert_to_tensor(g) for g in gradients]
