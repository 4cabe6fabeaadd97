"""What TensorBoard gets beside the probe's samples: scalars of each epoch, the graph, the config as text."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from kerasnets.telemetry.events import VALIDATION, Events
from kerasnets.telemetry.stepwise import Stepwise


class TensorBoard(Stepwise):
    """Writes scalars of each epoch, the model's graph and the config as text.

    The graph is traced after the first step, which does not wait for it.

    Args:
        events: the event files; closed when training ends.
        main_head: name of the head that is validated.
        graph: write the graph of the network.
        config: text for the TEXT page.
    """

    def __init__(self, events: Events, *, main_head: str, graph: bool = True, config: str = "") -> None:
        super().__init__()
        self._events = events
        self._main_head = main_head
        self._graph = graph
        self._config = config

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        if self.step:  # a run that is resumed has them
            return
        with self._events.writer().as_default(step=0):
            tf.summary.text("config", f"```yaml\n{self._config}```")

    def on_steps_end(self, steps: range) -> None:
        if not self._graph or 1 not in steps:
            return
        net = self.model.net
        spec = tf.TensorSpec((None, *net.input_shape[1:]), tf.float32, name="image")
        forward = tf.function(lambda image: net(image, training=False), autograph=False)
        with self._events.writer().as_default(step=0):
            tf.summary.graph(forward.get_concrete_function(spec).graph)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        logs = logs or {}
        self._events.scalars(self.step, self._train_tags(logs))
        self._events.scalars(self.step, self._validation_tags(logs), VALIDATION)
        self._events.flush()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        self._events.close()

    def _train_tags(self, logs: Mapping[str, Any]) -> dict[str, Any]:
        tags = {"loss/total": logs["loss"], "gradient_norm/global": logs["gradient_norm"]}
        tags |= {key: logs[key] for key in ("learning_rate", "images_per_second")}
        heads = [head.name for head in self.model.heads]
        for metric in ("loss", "accuracy", "top5"):
            for head in heads:
                key = f"{head}_{metric}" if len(heads) > 1 else metric
                if key in logs:
                    tags[f"{metric}/{head}"] = logs[key]
        return tags

    def _validation_tags(self, logs: Mapping[str, Any]) -> dict[str, Any]:
        metrics = ("loss", "accuracy", "top5")
        return {f"{m}/{self._main_head}": logs[f"val_{m}"] for m in metrics if f"val_{m}" in logs}
