"""`kerasnets store list`, `show`, `prune` and `rollback`."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table

from kerasnets.artifacts import store as layout
from kerasnets.artifacts.manifest import Manifest
from kerasnets.commands import Group
from kerasnets.console import Words, emit_json, out
from kerasnets.errors import UserError
from kerasnets.stores import prune as pruning
from kerasnets.stores import rollback as going_back
from kerasnets.stores import show as showing
from kerasnets.stores.summary import Version, model, versions

_MISSING = "–"
_WIDEST = 400
_COLUMNS: dict[str, Callable[[Version], str]] = {
    "name": lambda found: found.name,
    "version": lambda found: Path(found.path).name if found.version is None else str(found.version),
    "formats": lambda found: ", ".join(found.formats) or _MISSING,
    "size": lambda found: f"{found.bytes / 1e6:,.1f} MB",
    "accuracy": lambda found: _MISSING if found.accuracy is None else f"{found.accuracy:.2%}",
    "created": lambda found: found.created or _MISSING,
    "age": lambda found: _MISSING if found.age_days is None else _age(found.age_days),
    "state": lambda found: _state(found),
}
_NUMBERS = ("version", "size", "accuracy", "age")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
_STORE = click.Path(path_type=Path)
_DEFAULT = "export/models"


@click.group(cls=Group)
def store() -> None:
    """List, show, prune or roll back the versions in a model store."""


@store.command("list")
@click.argument("root", metavar="[STORE]", default=_DEFAULT, type=_STORE)
@_JSON
def list_(root: Path, as_json: bool) -> None:
    """Show the versions in the model store STORE: formats, size, accuracy, age, which of them servers take.

    What is no version, or cannot be read, is shown too, with the reason.
    """
    found = list(versions(root))
    if as_json:
        emit_json({"schema": 1, "versions": [version.document() for version in found]})
    elif found:
        _print(_table(found))
    else:
        out.print(f"no models in {root}")


def _table(found: Sequence[Version]) -> Table:
    table = Table(box=None, header_style="bold")
    for column in _COLUMNS:
        table.add_column(column, justify="right" if column in _NUMBERS else "left", overflow="fold")
    for version in found:
        table.add_row(*(show(version) for show in _COLUMNS.values()))
    return table


def _print(table: Table) -> None:
    """Print a table; into a pipe or a file as wide as it is."""
    (out if out.is_terminal else Words(width=_WIDEST, markup=False, emoji=False, highlight=False)).print(table)


def _state(found: Version) -> str:
    return found.state if found.rollback_of is None else f"{found.state}; is version {found.rollback_of}"


def _age(days: float) -> str:
    if days < 1:
        return f"{days * 24:.0f} h" if days * 24 >= 1 else f"{max(days, 0) * 24 * 60:.0f} min"
    return f"{days:,.0f} days"


@store.command()
@click.argument("path", metavar="MODEL-DIR", type=_STORE)
@_JSON
def show(path: Path, as_json: bool) -> None:
    """Say what a version is: whence it came, inputs and outputs, classes, how well it was verified, its files."""
    manifest = Manifest.read(layout.resolve(path))
    if as_json:
        emit_json({"schema": 1, "path": str(manifest.directory), **showing.document(manifest)})
        return
    for line in showing.head(manifest):
        out.print(line)
    for table in showing.tables(manifest):
        out.print()
        _print(table)


@store.command()
@click.argument("root", metavar="[STORE]", default=_DEFAULT, type=_STORE)
@click.option("--name", help="Look at this model alone.")
@click.option("--keep", type=click.IntRange(min=1), metavar="N", help="Keep the N newest versions of each model.")
@click.option("--older-than", type=click.FloatRange(min=0), metavar="DAYS", help="Delete versions older than that.")
@click.option("--leftovers", is_flag=True, help="Delete what exports that were killed left behind.")
@click.option("--yes", is_flag=True, help="Delete; without it, only show what would go.")
@_JSON
def prune(
    root: Path,
    name: str | None,
    keep: int | None,
    older_than: float | None,
    leftovers: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Delete versions in the model store STORE; without --yes, show which and how much room that makes.

    The highest version of a model, which servers take, always stays; so does what is no version, and what cannot be
    read. Links are not followed. An export of the model that is at work is waited for.
    """
    if keep is None and older_than is None and not leftovers:
        raise UserError("say which versions may go: --keep N, --older-than DAYS or --leftovers")
    wanted = None if name is None else model(root, name).name
    found = [version for version in versions(root) if wanted in (None, version.name)]
    doomed = pruning.choose(found, keep=keep, older_than=older_than, leftovers=leftovers)
    total = pruning.freed(doomed)
    if yes:
        pruning.delete(doomed)
    if as_json:
        rows = [{**asdict(each), "path": str(each.path)} for each in doomed]
        emit_json({"schema": 1, "deleted": yes, "versions": rows, "bytes": total})
        return
    for each in doomed:
        out.print(f"{each.path}  {each.bytes / 1e6:,.1f} MB  {each.reason}")
    verb = "deleted" if yes else "would be deleted"
    room = "made" if yes else "would make"
    out.print(f"{len(doomed)} of {len(found)} {verb}; that {room} {total / 1e6:,.1f} MB of room")
    if doomed and not yes:
        out.print("add --yes to delete them")


@store.command()
@click.argument("name")
@click.option("--to", type=click.IntRange(min=1), metavar="N", help="Version to go back to; default: the one before.")
@click.option("--store", "root", default=_DEFAULT, show_default=True, type=_STORE, help="The model store.")
@_JSON
def rollback(name: str, to: int | None, root: Path, as_json: bool) -> None:
    """Have servers take an older version of the model NAME again.

    They take the highest, and versions are never changed: so the older one is published once more, under a new highest
    number, with links to the same files. Called again it goes one further back. Exit code 3 if its files were changed.
    """
    new = going_back.rollback(model(root, name), to)
    number, of = new.document["version"], new.document["rollback_of"]
    if as_json:
        emit_json({"schema": 1, "path": str(new.directory), "version": number, "rollback_of": of})
    else:
        out.print(f"published: {new.directory}, which is version {of} of {name} again")
