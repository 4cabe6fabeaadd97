"""Tables of benchmarks on the terminal."""

from collections.abc import Sequence

from rich.table import Table

from kerasnets.console import Words, out

_WIDEST = 200


def empty(title: str, words: Sequence[str], numbers: Sequence[str]) -> Table:
    """Return a table with columns of words, then of numbers."""
    table = Table(title=title, title_justify="left", box=None, header_style="bold")
    for column in words:
        table.add_column(column)
    for column in numbers:
        table.add_column(column, justify="right")
    return table


def show(table: Table) -> None:
    """Print a table, at its full width where stdout is a file: broken columns of numbers cannot be read by programs."""
    (out if out.is_terminal else Words(width=_WIDEST, markup=False, emoji=False, highlight=False)).print(table)
