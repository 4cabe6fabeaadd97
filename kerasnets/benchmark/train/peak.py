"""The machine's measured matrix-product peak: what the share of a training step is taken of."""

import time
from collections.abc import Callable

_SMALLEST, _LARGEST = 1024, 16384
_LONG_ENOUGH = 0.05
"""Seconds of a product from which on larger ones are not tried."""
_REPEATS = 8


def tensorflow(precision: str) -> float:
    """Return the FLOP a second of TensorFlow's best square matrix product."""
    import tensorflow as tf

    def prepared(side: int) -> Callable[[], object]:
        factor = tf.cast(tf.random.normal((side, side)), precision)
        product = tf.function(lambda: tf.reduce_max(tf.matmul(factor, factor)), autograph=False)
        return lambda: product().numpy()  # a number waits for the device

    return best(prepared)


def torch(precision: str) -> float:
    """Return the FLOP a second of PyTorch's best square matrix product."""
    import torch as library

    device = "cuda" if library.cuda.is_available() else "cpu"

    def prepared(side: int) -> Callable[[], object]:
        factor = library.randn(side, side, device=device).to(getattr(library, precision))
        return lambda: (factor @ factor).max().item()

    return best(prepared)


def best(prepared: Callable[[int], Callable[[], object]]) -> float:
    """Return the FLOP a second at the best of some sizes, each at its fastest: a peak is not a median.

    Args:
        prepared: side of the matrices -> function that does one product and waits for it.
    """
    found, side = 0.0, _SMALLEST
    while True:
        product = prepared(side)
        product()
        shortest = min(_timed(product) for _ in range(_REPEATS))
        found = max(found, 2 * side**3 / shortest)
        if shortest >= _LONG_ENOUGH or side >= _LARGEST:
            return found
        side *= 2


def _timed(product: Callable[[], object]) -> float:
    began = time.perf_counter()
    product()
    return time.perf_counter() - began
