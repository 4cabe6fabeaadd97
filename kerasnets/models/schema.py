"""The JSON schema of a config's `model` section: one alternative for each family of models. Imports no Keras."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from kerasnets.models.specs import MODELS, Row
from kerasnets.models.values import Choice, Counts, Number, show

_SERIES = {"type": "string", "pattern": "^(resnet|plain)[0-9]+$"}  # any 6n+2 of the CIFAR family

_OWN: dict[str, Any] = {
    "title": "own",
    "type": "object",
    "properties": {"name": {"type": "string", "pattern": r"^[^:]+:[^:]+$|\.keras$"}},
    "required": ["name"],
    "additionalProperties": True,
}
"""A function of the user's own, with what it takes, or a `.keras` file."""


def _value(kind: object) -> dict[str, Any]:
    if isinstance(kind, Choice):
        return {"enum": list(kind.allowed)}
    if isinstance(kind, Counts):
        return {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1}
    if isinstance(kind, Number):
        low = "exclusiveMinimum" if kind.closed == "neither" else "minimum"
        high = "maximum" if kind.closed == "both" else "exclusiveMaximum"
        return {"type": "number", low: kind.low} | ({} if kind.high == float("inf") else {high: kind.high})
    raise TypeError(f"no JSON schema for options of kind {type(kind).__name__}")


def _family(rows: list[Row], settings: Mapping[str, Any]) -> dict[str, Any]:
    names: list[dict[str, Any]] = [{"enum": [row.name for row in rows]}]
    properties: dict[str, Any] = {"name": {"anyOf": names + ([_SERIES] if rows[0].family == "resnet" else [])}}
    for field in dataclasses.fields(rows[0].options):
        defaults = dict.fromkeys(show(getattr(row.options, field.name)) for row in rows)
        described = f"{field.metadata['meaning']} (default: {', '.join(defaults)})"
        properties[field.name] = _value(field.metadata["kind"]) | {"description": described}
    properties |= settings
    return {
        "title": rows[0].family,
        "type": "object",
        "properties": properties,
        "required": ["name"],
        "additionalProperties": False,
    }


def model_section(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a schema for each family; a `model` section matches one of them.

    Args:
        settings: keys of the section that are no model's option -> their schemas.
    """
    families: dict[str, list[Row]] = {}
    for row in MODELS.values():
        families.setdefault(row.family, []).append(row)
    own = _OWN | {"properties": _OWN["properties"] | settings}
    return [*(_family(rows, settings) for rows in families.values()), own]
