"""TensorBoard summaries of what is encoded or counted already; `tf.summary` has only ones that encode and count anew.

All write to the default writer (`with writer.as_default():`).
"""

import io

import numpy as np
import tensorflow as tf


def image(tag: str, picture: bytes, step: int) -> None:
    """Write a PNG or JPEG file to the IMAGES page as it is."""
    from PIL import Image
    from tensorboard.plugins.image import metadata

    width, height = Image.open(io.BytesIO(picture)).size
    tensor = tf.constant([str(width), str(height), picture])
    about = metadata.create_summary_metadata(display_name=None, description=None)
    tf.summary.write(tag, tensor, step=step, metadata=about)


def pr_curve(tag: str, positives: np.ndarray, negatives: np.ndarray, step: int) -> None:
    """Write a precision-recall curve to the PR CURVES page.

    Args:
        tag: such as `pr_curve/cat`.
        positives: examples of the class `[T]`; place t counts those that were given a probability in
            [t / (T - 1), (t + 1) / (T - 1)).
        negatives: the same of all other examples.
        step: optimizer steps so far.
    """
    from tensorboard.plugins.pr_curve import metadata

    tensor = tf.constant(curve(positives, negatives), tf.float32)
    about = metadata.create_summary_metadata(display_name=tag, description="", num_thresholds=len(positives))
    tf.summary.write(tag, tensor, step=step, metadata=about)


def curve(positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """Return true and false positives, true and false negatives, precision and recall, float64 `[6, T]`.

    At threshold t / (T - 1) an example counts as found where its probability is at least that.
    """
    true, false = (np.cumsum(counts[::-1])[::-1].astype(np.float64) for counts in (positives, negatives))
    precision = true / np.maximum(true + false, 1)
    recall = true / max(true[0], 1)
    return np.stack([true, false, false[0] - false, true[0] - true, precision, recall])
