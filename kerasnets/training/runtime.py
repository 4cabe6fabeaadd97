"""TensorFlow set up so that the same seed and config give the same weights: seeds, threads, kernels, GPU memory."""

import keras
import tensorflow as tf

from kerasnets.environment import cores
from kerasnets.errors import UserError


def threads(wanted: int) -> int:
    """Return the number of threads that `training.threads` stands for; 0 is one a core."""
    return wanted or cores()


def prepare(seed: int, intra_op: int) -> None:
    """Pin seeds and threads and have TensorFlow choose deterministic kernels. Call before anything is computed.

    Raises:
        UserError: TensorFlow already runs in this process with another number of threads.
    """
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    running = tf.config.threading.get_intra_op_parallelism_threads()
    if running != intra_op:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(intra_op)
            tf.config.threading.set_inter_op_parallelism_threads(intra_op)
        except RuntimeError as error:
            running = running or cores()  # 0, TensorFlow's default, is one a core
            if running != intra_op:
                raise UserError(
                    f"training.threads: TensorFlow already runs in this process with {running} threads, "
                    f"not {intra_op}; train in a fresh process"
                ) from error
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
