"""Layers whose variables have shapes and no values: enough to count them, in no memory."""

from collections.abc import Iterator
from contextlib import contextmanager

_WAITING = "uninitialized_variables"


@contextmanager
def shapes_only() -> Iterator[None]:
    """Have no variable that is made in here get a value, then or later.

    Keras keeps such variables, to give all of them values when the next stateless scope ends, as that of a Lambda layer
    or a layer of the user's own: so they are taken off its list.
    """
    import keras
    from keras.src.backend.common import global_state

    waiting = list(global_state.get_global_attribute(_WAITING) or [])
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        global_state.set_global_attribute(_WAITING, waiting)
