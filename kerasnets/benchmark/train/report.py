"""The benchmark of training in words: a table for each network, and what was the same."""

from datetime import UTC, datetime
from typing import Any

from kerasnets import environment
from kerasnets.benchmark import tables
from kerasnets.benchmark.train.arms import SAME, WHAT
from kerasnets.benchmark.train.result import Comparison, Result, Row
from kerasnets.console import out

WORDS = ("arm", "precision")
NUMBERS = (
    *("ms a step", "images/s", "to Keras", "ours to it", "GFLOP/s", "of the peak", "peak GB", "first step s", "rounds"),
)
"""Columns of the table."""


def about() -> dict[str, Any]:
    """Return what a result belongs to: day, machine, versions."""
    found = environment.describe()
    machine = {key: found[key] for key in ("cpu", "cores", "memory_bytes", "platform")}
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine,
        "versions": environment.versions("torch"),
        "git_commit": found["git_commit"],
    }


def heading(about: dict[str, Any]) -> str:
    """Return the machine, versions and day in a line."""
    machine, versions = about["machine"], about["versions"]
    known = [f"{name} {versions[name]}" for name in ("tensorflow", "keras", "torch") if versions[name]]
    return f"{machine['cores']} cores of {machine['cpu']['model']}, {', '.join(known)}, {about['date']}"


def show(found: Result, about: dict[str, Any]) -> None:
    """Print a table for each network, what is not in it, the peaks, and what each does."""
    out.print(heading(about))
    for comparison in found.comparisons:
        out.print()
        _show(comparison, found)
    out.print()
    for line in (*peaks(found), f"the same for all: {SAME}"):
        out.print(line)
    for kind in dict.fromkeys(row.arm for comparison in found.comparisons for row in comparison.rows):
        out.print(f"{kind}: {WHAT[kind]}")


def peaks(found: Result) -> list[str]:
    """Return the machine's peaks in words."""
    return [
        f"peak, {precision}: {peak.flops / 1e9:,.0f} GFLOP/s, the best matrix product ({peak.library})"
        for precision, peak in found.peaks.items()
    ]


def missing(comparison: Comparison) -> list[str]:
    """Return what is not in a network's table, and why."""
    left_out = [f"{name} is left out: {reason}" for name, reason in comparison.left_out.items()]
    return [*left_out, *(f"{name} failed: {reason}" for name, reason in comparison.failed.items())]


def _show(comparison: Comparison, found: Result) -> None:
    table = tables.empty(comparison.title, WORDS, NUMBERS)
    for row in comparison.rows:
        table.add_row(*cells(row, found))
    tables.show(table)
    for line in missing(comparison):
        out.print(line)


def cells(row: Row, found: Result) -> list[str]:
    """Return a row of the table."""
    share = row.share(found.peaks)
    ratios = ["–" if ratio is None else f"{ratio:.2f} x" for ratio in (row.to_keras, row.ours)]
    rate = "–" if row.flops is None else f"{row.flops / 1e9:,.0f}"
    part = "–" if share is None else f"{share:.1%}"
    numbers = [f"{row.seconds * 1e3:,.1f}", f"{row.images_per_second:,.1f}", *ratios, rate, part]
    return [row.arm, row.precision, *numbers, f"{row.memory / 1e9:.2f}", f"{row.first_step:.1f}", str(row.rounds)]
