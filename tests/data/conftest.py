"""What the tests of data share: TensorFlow's decoder, traced once for each number of channels."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from kerasnets.data import decode


@pytest.fixture(scope="session")
def tensorflow_decode() -> Callable[[bytes, int], np.ndarray]:
    """Return `decode.tensorflow` as a function of bytes."""

    return lambda content, channels: decode.tensorflow(tf.constant(content), channels).numpy()


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep measured statistics out of the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
