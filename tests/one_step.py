"""One step of training without an optimizer: outputs, loss, the moving statistics after it, and gradients."""

from typing import Any, NamedTuple

import keras
import numpy as np
from drawn_weights import AUXILIARY_WEIGHT


class Step(NamedTuple):
    """What a step of training gives. Statistics and gradients go by plain name."""

    outputs: dict[str, np.ndarray]
    loss: Any
    moving: dict[str, np.ndarray]
    gradients: dict[str, np.ndarray]


def training_pass(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> Step:
    """Run a model in training mode; the loss is the cross-entropy of its logits, auxiliary heads count 0.3.

    Without gradients, which take most of the time of a step.
    """
    crossentropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    outputs: Any = model(images, training=True)
    outputs = outputs if isinstance(outputs, dict) else {"softmax": outputs}
    *lower, main = outputs.values()
    loss = crossentropy(labels, main) + AUXILIARY_WEIGHT * sum(crossentropy(labels, head) for head in lower)
    moving = {one.path: np.asarray(one.value) for one in model.non_trainable_variables if "moving" in one.path}
    return Step({name: np.asarray(output) for name, output in outputs.items()}, loss, moving, {})


def one_step(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> Step:
    """Do the same, with the gradient of every variable."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        step = training_pass(model, images, labels)
    variables = model.trainable_variables
    gradients = tape.gradient(step.loss, [variable.value for variable in variables])
    named = {variable.path: np.asarray(one) for variable, one in zip(variables, gradients, strict=True)}
    return step._replace(gradients=named)
