"""What is special about a config: how it differs from the defaults, or from another one."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kerasnets.config.loading import check
from kerasnets.config.sections import Config

ABSENT = "–"
"""Shown for a key that one config has and another has not, such as another model's option."""


@dataclass(frozen=True)
class Difference:
    """A dotted key and its value in each of the configs that are compared, as text."""

    key: str
    values: tuple[str, ...]


def flat(config: Config) -> dict[str, str]:
    """Return dotted key -> value as text, for every key of a config."""
    return dict(_leaves(config.model_dump(mode="json"), ""))


def _leaves(values: dict[str, Any], prefix: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, dict):
            found += _leaves(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)))
    return found


def between(configs: Sequence[Config]) -> list[Difference]:
    """Return the keys in which configs differ, in the order of the first that has them."""
    tables = [flat(config) for config in configs]
    keys = dict.fromkeys(key for table in tables for key in table)
    rows = [Difference(key, tuple(table.get(key, ABSENT) for table in tables)) for key in keys]
    return [row for row in rows if len(set(row.values)) > 1]


def from_defaults(config: Config) -> list[Difference]:
    """Return where a config differs from the defaults of its model and data source: (value, default) for each key."""
    data = {"source": config.data.source, "path": config.data.path and str(config.data.path)}
    plain = check({"name": config.name, "model": {"name": config.model.name}, "data": data}, config.name)
    return between([config, plain])
