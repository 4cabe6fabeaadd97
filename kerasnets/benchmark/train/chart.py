"""Training as a picture: a row of panels for each network, a bar for each arm."""

from collections.abc import Callable
from pathlib import Path

from kerasnets.benchmark.chart import Group, Panel, draw, number, times
from kerasnets.benchmark.train.arms import OURS
from kerasnets.benchmark.train.result import Comparison, Result, Row


def write(result: Result, path: Path, title: str) -> None:
    """Draw images a second (and how many times those of stock Keras), share of the peak, memory, time to first step."""
    groups = [_group(found, result) for found in result.comparisons if found.rows]
    draw(path, title, groups, panel_width=2.6)


def _group(found: Comparison, result: Result) -> Group:
    names = [f"{row.arm}, {row.precision}" for row in found.rows]
    grey = {name for name, row in zip(names, found.rows, strict=True) if row.arm != OURS}

    def panel(title: str, value: Callable[[Row], float | None], words: Callable[[Row, float], str]) -> Panel:
        values = [value(row) for row in found.rows]
        said = ["" if v is None else words(row, v) for row, v in zip(found.rows, values, strict=True)]
        return Panel(title, values, said)

    panels = [
        panel("images/s", lambda row: row.images_per_second, lambda row, v: f"{number(v)}{times(row.to_keras)}"),
        panel("share of the peak, %", lambda row: _percent(row.share(result.peaks)), lambda _, v: number(v)),
        panel("peak memory, GB", lambda row: row.memory / 1e9, lambda _, v: number(v)),
        panel("to the first step, s", lambda row: row.first_step, lambda _, v: number(v)),
    ]
    return Group(names, grey, panels, f"{found.network.model}\nbatch {found.network.batch}")


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
