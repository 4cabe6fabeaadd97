"""Models that several tests look at are built once."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from kerasnets.models import complexity


@pytest.fixture(scope="session")
def outlined() -> Callable[..., Any]:
    """Return `complexity.outline`, remembered: models without weights, to count and to look at."""
    return cache(complexity.outline)
