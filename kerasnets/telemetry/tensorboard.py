"""Our TensorBoard writer and step counter. The horizontal axis is always the optimizer step."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasnets.telemetry.observers import StepScalars


class TensorBoard(keras.callbacks.Callback):
    """Writes scalars, weight histograms, the model's graph and the config as text.

    Args:
        directory: gets `train/` and `validation/`; tags that both have are drawn as one chart.
        main_head: name of the head that is validated.
        every: optimizer steps between two writes of the `step/...` scalars.
        scalars: observer that holds the latest step's loss and gradient norm.
        histograms: write `weights/<layer>/<variable>` once an epoch.
        graph: write the graph of the network.
        config: text for the TEXT page.
    """

    def __init__(
        self,
        directory: Path,
        *,
        main_head: str,
        every: int,
        scalars: StepScalars,
        histograms: bool = True,
        graph: bool = True,
        config: str = "",
    ) -> None:
        super().__init__()
        self._directory = directory
        self._main_head = main_head
        self._every = every
        self._scalars = scalars
        self._histograms = histograms
        self._graph = graph
        self._config = config
        self._step = 0

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self._train = tf.summary.create_file_writer(str(self._directory / "train"))
        self._validation = tf.summary.create_file_writer(str(self._directory / "validation"))
        net = self.model.net
        with self._train.as_default(step=0):
            tf.summary.text("config", f"```yaml\n{self._config}```")
            if self._graph:
                spec = tf.TensorSpec((None, *net.input_shape[1:]), tf.float32, name="image")
                forward = tf.function(lambda image: net(image, training=False))
                tf.summary.graph(forward.get_concrete_function(spec).graph)
        if self._histograms:
            self._write_weights()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._step += 1
        if self._step % self._every == 0:
            with self._train.as_default(step=self._step):
                tf.summary.scalar("step/loss", self._scalars.loss)
                tf.summary.scalar("step/gradient_norm", self._scalars.norm)
                tf.summary.scalar("step/learning_rate", self.model.optimizer.learning_rate)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        logs = logs or {}
        for writer, values in ((self._train, self._train_tags(logs)), (self._validation, self._validation_tags(logs))):
            with writer.as_default(step=self._step):
                for tag, value in values.items():
                    tf.summary.scalar(tag, value)
            writer.flush()
        if self._histograms:
            self._write_weights()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        self.close()

    def close(self) -> None:
        """Write what is buffered; safe to call twice."""
        for writer in (self._train, self._validation):
            writer.close()

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

    def _write_weights(self) -> None:
        """Histogram the finite weights of every variable; count the others, which would corrupt a histogram."""
        with self._train.as_default(step=self._step):
            for variable in self.model.net.trainable_variables:
                values = np.asarray(variable, np.float32).ravel()
                finite = values[np.isfinite(values)]
                if finite.size < values.size:
                    tf.summary.scalar(f"nonfinite/{variable.path}", values.size - finite.size)
                if finite.size:
                    tf.summary.histogram(f"weights/{variable.path}", finite)
        self._train.flush()
