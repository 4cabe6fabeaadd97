"""Shared by all tests: quiet TensorFlow, and runs that were really trained."""

import gc
import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from once import once
from small_runs import QUIET, SMALL, SMALL_GOOGLENET

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.pop("COLUMNS", None)  # pytest-xdist sets it, and what is printed would be as wide for ever

from kerasnets import config as configs  # noqa: E402  (after the environment is set)
from kerasnets.console import import_tensorflow  # noqa: E402
from kerasnets.run import Run  # noqa: E402

Train = Callable[..., Run]


def pytest_configure(config: pytest.Config) -> None:
    """Load TensorFlow without its messages where tests run: pytest-xdist's first process only hands them out."""
    if not config.getoption("numprocesses", default=None):
        import_tensorflow()
        import tensorflow as tf

        tf.random.set_seed(0)


def pytest_collection_finish() -> None:
    """Have no module and no test taken for garbage, which each full search would look at in vain."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def same_numbers_each_time() -> None:
    """Draw the same initial weights in a test each time, whichever tests ran before it.

    Keras takes the seeds of layers from Python's generator. TensorFlow's own seed, which almost nothing draws from, is
    set once: setting it makes TensorFlow forget what it has optimised, and a traced function such as the decoder of
    images takes a second again.
    """
    random.seed(0)
    np.random.seed(0)


@pytest.fixture(scope="session")
def train_small() -> Callable[[Path, list[str]], Run]:
    """Return a function that trains a small network on the digits: `train_small(directory, overrides)`."""

    def train(directory: Path, overrides: list[str]) -> Run:
        from kerasnets.training.train import train as run_training

        return run_training(configs.load("digits-resnet20", overrides), directory)

    return train


@pytest.fixture(scope="session")
def resnet_run(tmp_path_factory: pytest.TempPathFactory, train_small: Train) -> Run:
    """A small ResNet trained on the digits for two epochs."""
    return Run.open(once(tmp_path_factory, "resnet", lambda path: train_small(path, SMALL)))


@pytest.fixture(scope="session")
def googlenet_run(tmp_path_factory: pytest.TempPathFactory, train_small: Train) -> Run:
    """A narrow GoogLeNet with three heads, trained on the digits for one epoch."""
    return Run.open(once(tmp_path_factory, "googlenet", lambda path: train_small(path, SMALL_GOOGLENET)))


@pytest.fixture(scope="session")
def quiet_run(tmp_path_factory: pytest.TempPathFactory, train_small: Train) -> Run:
    """The small ResNet again, with all of telemetry turned off."""
    return Run.open(once(tmp_path_factory, "quiet", lambda path: train_small(path, [*SMALL, *QUIET])))
