"""What the best weights say about the held-out splits: metrics.json and predictions.csv, from one pass over each."""

import keras
import numpy as np
import tensorflow as tf

from kerasnets import models
from kerasnets.data.raw import kept
from kerasnets.run import Run
from kerasnets.training.job import Job

PREDICTIONS = ("split", "id", "label", "predicted", "confidence", "probability_of_label")


def evaluate(
    model: keras.Model, batches: tf.data.Dataset, classes: int
) -> tuple[dict[str, float], np.ndarray, np.ndarray]:
    """Measure a plain model's main head on a split.

    Returns:
        loss, accuracy and (with more than five classes) top5; logits float32 `[N, K]`; true classes int `[N]`.
    """
    logits_of = tf.function(lambda images: models.main(model)(images, training=False), reduce_retracing=True)
    loss, accuracy = keras.metrics.CategoricalCrossentropy(from_logits=True), keras.metrics.CategoricalAccuracy()
    measures: dict[str, keras.metrics.Metric] = {"accuracy": accuracy, "loss": loss}
    if classes > 5:
        measures["top5"] = keras.metrics.TopKCategoricalAccuracy(5)
    found, labels = [], []
    for images, targets in batches:
        logits = logits_of(images)
        for measure in measures.values():
            measure.update_state(targets, logits)
        found.append(logits.numpy())
        labels.append(targets.numpy().argmax(axis=1))
    results = {name: float(measure.result()) for name, measure in measures.items()}
    return results, np.concatenate(found), np.concatenate(labels)


def finish(run: Run, job: Job, best_epoch: int, epochs: int, seconds: float) -> None:
    """Measure the saved best weights on every held-out split; write metrics.json and predictions.csv."""
    model = models.load(run.model_file)
    results: dict[str, dict[str, float]] = {}
    rows: list[tuple[object, ...]] = []
    for name in (split for split in job.dataset.splits if split != "train"):
        results[name], logits, labels = evaluate(model, job.batches(name), len(job.dataset.class_names))
        rows += predictions(job, name, logits, labels)
    run.write_rows("predictions.csv", PREDICTIONS, rows)
    run.write_json("metrics.json", {**results, "best_epoch": best_epoch, "epochs": epochs, "seconds": seconds})


def predictions(job: Job, name: str, logits: np.ndarray, labels: np.ndarray) -> list[tuple[object, ...]]:
    """Return the rows of predictions.csv for a split, in its order and without the examples that are skipped."""
    split, names = job.dataset.split(name), job.dataset.class_names
    probabilities = tf.nn.softmax(logits.astype(np.float64)).numpy()  # in float32 large logits would tie
    ids = [split.ids[index] for index in kept(split, job.skip.get(name, frozenset()))]
    return [
        (name, example, names[label], names[best], f"{row[best]:.6g}", f"{row[label]:.6g}")
        for example, label, best, row in zip(ids, labels, probabilities.argmax(axis=1), probabilities, strict=True)
    ]
