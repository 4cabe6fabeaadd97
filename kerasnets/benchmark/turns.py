"""Turns: what is compared is measured side by side, so that what slows the machine down slows all of it."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

_Name = TypeVar("_Name")


def order(names: Iterable[_Name], number: int) -> list[_Name]:
    """Return in which order round `number` takes its turns: A B C in odd ones, C B A in even ones."""
    return list(names) if number % 2 else list(reversed(list(names)))


def ratio(seconds: Sequence[float], to: Sequence[float]) -> float:
    """Return the median over pairs of how many times as fast the first are as the second (`to` by `seconds`)."""
    return statistics.median(theirs / own for own, theirs in zip(seconds, to, strict=True))


def ratio_of_rounds(seconds: Mapping[int, float], to: Mapping[int, float]) -> float | None:
    """Return `ratio` over the rounds that both took part in; None where there are none."""
    both = sorted(seconds.keys() & to.keys())
    return ratio([seconds[number] for number in both], [to[number] for number in both]) if both else None
