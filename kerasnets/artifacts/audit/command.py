"""`kerasnets verify`."""

from pathlib import Path

import click
from rich.table import Table

from kerasnets.artifacts import store
from kerasnets.artifacts.audit.check import Check
from kerasnets.artifacts.audit.version import audit
from kerasnets.artifacts.manifest import Manifest
from kerasnets.console import emit_json, err, out
from kerasnets.errors import CheckFailed


@click.command()
@click.argument("model", metavar="MODEL-DIR", type=click.Path(path_type=Path))
@click.option("--formats", help="Comma-separated: check these alone; default: all that the version holds.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def verify(model: Path, formats: str | None, as_json: bool) -> None:
    """Check an exported model: its files, what it takes and gives, and its answers to the golden images in it.

    Needs neither the run nor its data. Each format is opened in a fresh process. Exit code 3 if anything differs or
    cannot be checked: a version without golden images, a format that cannot be run here (--formats leaves it out).
    """
    manifest = Manifest.read(store.resolve(model))
    wanted = [word.strip() for word in formats.split(",") if word.strip()] if formats is not None else None
    if wanted == []:
        raise click.BadParameter("name at least one format", param_hint="--formats")
    checks = []
    for check in audit(manifest, wanted):
        checks.append(check)
        if err.is_terminal:
            err.print(f"{check.format or 'version'}: {check.check}: {check.result}")
    failed = [check for check in checks if not check.ok]
    if as_json:
        _emit(manifest, checks, ok=not failed)
    else:
        _report(manifest, checks)
    if failed:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise CheckFailed(f"{manifest.directory}: {failed[0].sentence()}{more}")


def _emit(manifest: Manifest, checks: list[Check], *, ok: bool) -> None:
    emit_json(
        {
            "schema": 1,
            "path": str(manifest.directory),
            "release": manifest.release,
            "ok": ok,
            "checks": [check.document() for check in checks],
        }
    )


def _report(manifest: Manifest, checks: list[Check]) -> None:
    table = Table("check", "format", "result", "found", "allowed")
    for check in checks:
        table.add_row(check.check, check.format or "", check.result, check.found, check.allowed)
    out.print(table)
    held = sum(check.ok for check in checks)
    written = f"{manifest.directory}, written by kerasnets {manifest.release}"
    out.print(f"{written}: {held} of {len(checks)} checks hold")
