"""Kinds of option values: what an option takes, said in words and checked strictly. Imports no Keras."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from kerasnets.errors import nearest


class Kind(Protocol):
    """What an option takes."""

    def describe(self) -> str:
        """Return the allowed values in words."""
        ...

    def convert(self, value: object) -> Any:
        """Return the value in its declared type, or raise ValueError with what comes after "model.key"."""
        ...


def show(value: object) -> str:
    """Return a value as YAML would have it: `true`, `1e-05`, `[2, 2]`; strings as they are."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(list(value)) if isinstance(value, tuple) else str(value)


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of a few values; `True` and `1` are told apart."""

    allowed: tuple[object, ...]

    def describe(self) -> str:
        return ", ".join(show(value) for value in self.allowed)

    def convert(self, value: object) -> Any:
        if any(value == allowed and type(value) is type(allowed) for allowed in self.allowed):
            return value
        words = [allowed for allowed in self.allowed if isinstance(allowed, str)]
        hint = nearest(value, words) if isinstance(value, str) else ""
        raise ValueError(f"is {value!r}; allowed: {self.describe()}{hint}")


FLAG = Choice((True, False))


@dataclasses.dataclass(frozen=True)
class Number:
    """A number in an interval whose ends belong to it only where `closed` says so."""

    low: float
    high: float = float("inf")
    closed: str = "low"  # "low", "both" or "neither"

    def describe(self) -> str:
        if self.low == float("-inf"):
            return "a number"
        above = f"{'above' if self.closed == 'neither' else 'at least'} {self.low:g}"
        if self.high == float("inf"):
            return f"a number {above}"
        return f"a number {above} and {'at most' if self.closed == 'both' else 'below'} {self.high:g}"

    def convert(self, value: object) -> float:
        if not isinstance(value, (int, float, str)) or isinstance(value, bool):
            raise ValueError(f"is {value!r}; allowed: {self.describe()}")
        try:
            number = float(value)  # a string too: YAML 1.1 reads `6e-4` as one
        except (ValueError, OverflowError):
            raise ValueError(f"is {value!r:.50}; allowed: {self.describe()}") from None
        over_low = number > self.low if self.closed == "neither" else number >= self.low
        under_high = number <= self.high if self.closed == "both" else number < self.high
        if not (over_low and under_high):
            raise ValueError(f"is {value!r}; allowed: {self.describe()}")
        return number


_MOST = 10_000
"""ResNet-1202 has 200 blocks a stage."""


@dataclasses.dataclass(frozen=True)
class Counts:
    """A list of positive whole numbers, as `[2, 2, 2, 2]`."""

    def describe(self) -> str:
        return "a list of positive whole numbers"

    def convert(self, value: object) -> tuple[int, ...]:
        if not isinstance(value, (list, tuple)) or not value:
            raise ValueError(f"is {value!r}; allowed: {self.describe()}")
        if any(not isinstance(one, int) or isinstance(one, bool) or not 1 <= one <= _MOST for one in value):
            raise ValueError(f"is {value!r:.200}; allowed: {self.describe()}")
        return tuple(value)


def option(default: object, kind: Kind, meaning: str, **needs: object) -> Any:
    """Return a dataclass field that knows its kind, its meaning, and without which other values it has no effect."""
    return dataclasses.field(default=default, metadata={"kind": kind, "meaning": meaning, "needs": needs})


def override(
    options: Any, overrides: Mapping[str, object], owner: str, others: Sequence[str] = ()
) -> tuple[Any, list[str]]:
    """Return the options dataclass with the overrides applied, and every problem with them in words.

    `others` are names that are no options but may have been meant.
    """
    known = {field.name: field for field in dataclasses.fields(options)}
    changes: dict[str, object] = {}
    problems = []
    for key, value in overrides.items():
        if key not in known:
            hint = nearest(key, [*known, *others]) or f"; its options: {', '.join(known)}"
            problems.append(f"model.{key} is not an option of {owner}{hint}")
            continue
        try:
            changes[key] = known[key].metadata["kind"].convert(value)
        except ValueError as error:
            problems.append(f"model.{key} {error}")
    changed = dataclasses.replace(options, **changes)
    return changed, problems + _without_effect(options, changed)


def _without_effect(options: Any, changed: Any) -> list[str]:
    """Name the changed options that another option switches off; a dumped default may stand."""
    problems = []
    for field in dataclasses.fields(changed):
        if getattr(changed, field.name) == getattr(options, field.name):
            continue
        for key, needed in field.metadata["needs"].items():
            found = getattr(changed, key)
            if found != needed:
                problems.append(f"model.{field.name} has no effect with model.{key}={show(found)}")
    return problems
