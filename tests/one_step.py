"""One step of training without an optimizer: outputs, loss, gradients, and the moving statistics after it."""

from typing import Any, NamedTuple

import keras
import numpy as np
from drawn_weights import AUXILIARY_WEIGHT


class Step(NamedTuple):
    """What a step of training gives. Gradients and statistics go by plain name."""

    outputs: dict[str, np.ndarray]
    loss: float
    gradients: dict[str, np.ndarray]
    moving: dict[str, np.ndarray]


def one_step(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> Step:
    """Run a model in training mode and differentiate the cross-entropy of its logits; auxiliary heads count 0.3."""
    import tensorflow as tf

    crossentropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with tf.GradientTape() as tape:
        outputs: Any = model(images, training=True)
        outputs = outputs if isinstance(outputs, dict) else {"softmax": outputs}
        *lower, main = outputs.values()
        loss = crossentropy(labels, main) + AUXILIARY_WEIGHT * sum(crossentropy(labels, head) for head in lower)
    variables = model.trainable_variables
    gradients = tape.gradient(loss, [variable.value for variable in variables])
    return Step(
        {name: np.asarray(output) for name, output in outputs.items()},
        float(loss),
        {variable.path: np.asarray(one) for variable, one in zip(variables, gradients, strict=True)},
        {one.path: np.asarray(one.value) for one in model.non_trainable_variables if "moving" in one.path},
    )
