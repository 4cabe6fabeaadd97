"""`kerasnets runs list`, `compare` and `prune`."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table

from kerasnets.commands import Group
from kerasnets.config.differences import between
from kerasnets.console import Words, emit_json, out
from kerasnets.errors import UserError, nearest
from kerasnets.run import DEFAULT_ROOT, Run
from kerasnets.runs import prune as pruning
from kerasnets.runs.summary import Summary, of, summaries

_MISSING = "–"
_WIDEST = 400
_COLUMNS: dict[str, Callable[[Summary], str]] = {
    "name": lambda run: run.name,
    "model": lambda run: run.model or _MISSING,
    "data": lambda run: run.data or _MISSING,
    "epochs": lambda run: _MISSING if run.epochs is None else str(run.epochs),
    "validation": lambda run: _share(run.validation),
    "test": lambda run: _share(run.test),
    "loss": lambda run: _MISSING if run.loss is None else f"{run.loss:.4f}",
    "time": lambda run: _MISSING if run.seconds is None else _duration(run.seconds),
    "findings": lambda run: _MISSING if run.findings is None else str(run.findings),
    "state": lambda run: run.state,
}
_NUMBERS = ("epochs", "validation", "test", "loss", "time", "findings")
_BEST_FIRST = ("validation", "test")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
_ROOT = click.argument("root", default=str(DEFAULT_ROOT), type=click.Path(path_type=Path))


@click.group(cls=Group)
def runs() -> None:
    """List, compare or prune runs."""


@runs.command("list")
@_ROOT
@click.option("--sort", default="name", show_default=True, metavar="COLUMN", help=f"One of {', '.join(_COLUMNS)}.")
@_JSON
def list_(root: Path, sort: str, as_json: bool) -> None:
    """Show the runs in the folder ROOT: scores, time, findings, whether they finished.

    Accuracy and loss are those of the best weights. --sort validation or test puts the best first; the other numbers go
    up, unknown ones last.
    """
    if sort not in _COLUMNS:
        raise UserError(f"--sort {sort}: no such column{nearest(sort, _COLUMNS)}; there are {', '.join(_COLUMNS)}")
    found = list(summaries(root))
    if sort != "name":
        found.sort(key=lambda run: _rank(run, sort))
    if as_json:
        emit_json({"schema": 1, "runs": [run.document() for run in found]})
    elif found:
        _show(_table(found))
    else:
        out.print(f"no runs in {root}", markup=False)


def _rank(run: Summary, column: str) -> tuple[bool, float, str]:
    value = getattr(run, "seconds" if column == "time" else column)
    if isinstance(value, str):
        return False, 0.0, value
    unknown = value is None or math.isnan(value)
    return unknown, 0.0 if unknown else -value if column in _BEST_FIRST else value, ""


def _table(found: Sequence[Summary]) -> Table:
    table = Table(box=None, header_style="bold")
    for column in _COLUMNS:
        table.add_column(column, justify="right" if column in _NUMBERS else "left", overflow="fold")
    for run in found:
        table.add_row(*(show(run) for show in _COLUMNS.values()))
    return table


def _show(table: Table) -> None:
    """Print a table; into a pipe or a file as wide as it is."""
    (out if out.is_terminal else Words(width=_WIDEST, markup=False, emoji=False, highlight=False)).print(table)


def _share(value: float | None) -> str:
    return _MISSING if value is None else f"{value:.2%}"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"


@runs.command()
@click.argument("paths", metavar="RUN RUN…", nargs=-1, required=True, type=click.Path(path_type=Path))
@_JSON
def compare(paths: tuple[Path, ...], as_json: bool) -> None:
    """Show the scores of runs side by side, and the config keys in which they differ.

    `kerasnets report RUN RUN…` makes a page of it, with curves.
    """
    if len({path.resolve() for path in paths}) < 2:
        raise UserError("a comparison needs two different runs at least")
    opened = [Run.open(path) for path in paths]
    found = [of(run) for run in opened]
    differences = between([run.config for run in opened])
    if as_json:
        rows = {row.key: list(row.values) for row in differences}
        emit_json({"schema": 1, "runs": [run.document() for run in found], "differences": rows})
        return
    table = Table("", *(run.name for run in found), box=None, header_style="bold")
    for column, show in _COLUMNS.items():
        if column != "name":
            table.add_row(column, *(show(run) for run in found))
    table.add_section()
    for row in differences:
        table.add_row(row.key, *row.values)
    _show(table)
    if not differences:
        out.print("the configs are the same")


@runs.command()
@_ROOT
@click.option("--keep", type=click.IntRange(min=0), metavar="N", help="Keep the N best finished runs, delete the rest.")
@click.option("--unfinished", is_flag=True, help="Delete runs that did not finish.")
@click.option("--older-than", type=click.FloatRange(min=0), metavar="DAYS", help="Delete runs unchanged for so long.")
@click.option("--yes", is_flag=True, help="Delete; without it, only show what would go.")
@_JSON
def prune(root: Path, keep: int | None, unfinished: bool, older_than: float | None, yes: bool, as_json: bool) -> None:
    """Delete runs in the folder ROOT; without --yes, show which and how much room that makes.

    Best means the highest validation accuracy. Only directories right below ROOT that are runs are ever deleted; links
    are not followed. An unfinished run that wrote something in the last half hour may still be training and stays.
    """
    if keep is None and not unfinished and older_than is None:
        raise UserError("say which runs may go: --keep N, --unfinished or --older-than DAYS")
    found = list(summaries(root))
    doomed = pruning.choose(found, keep=keep, unfinished=unfinished, older_than=older_than)
    if yes:
        pruning.delete(doomed)
    total = sum(run.bytes for run in doomed)
    if as_json:
        rows = [{**asdict(run), "path": str(run.path)} for run in doomed]
        emit_json({"schema": 1, "deleted": yes, "runs": rows, "bytes": total})
        return
    for run in doomed:
        out.print(f"{run.path}  {run.bytes / 1e6:,.1f} MB  {run.reason}", markup=False)
    verb = "deleted" if yes else "would be deleted"
    out.print(f"{len(doomed)} of {len(found)} runs {verb}, {total / 1e6:,.1f} MB", markup=False)
    if doomed and not yes:
        out.print("add --yes to delete them", markup=False)
