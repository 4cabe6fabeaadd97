"""`kerasnets data check`."""

import csv
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import click
from rich.table import Column, Table
from rich.text import Text

from kerasnets import config as configs
from kerasnets.config import Data
from kerasnets.console import Advance, emit_json, out, progress
from kerasnets.data.cells import cells
from kerasnets.data.check.examine import Report, examine
from kerasnets.data.check.findings import PROBLEM, RULES, Finding
from kerasnets.data.survey import source_of
from kerasnets.environment import cores
from kerasnets.errors import CheckFailed, UserError, nearest

_EXAMPLES = 2  # of each kind, in the table
_COLOURS = {PROBLEM: "red", "note": "yellow"}


@click.command()
@click.argument("what", metavar="PATH|CONFIG")
@click.argument("overrides", metavar="[key=value …]", nargs=-1)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write a row per file here, as CSV.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def check(what: str, overrides: tuple[str, ...], output: Path | None, as_json: bool) -> None:
    """Look at every image: broken or odd files, copies, look-alikes, wrong names, classes out of balance.

    PATH is a folder of images, a .csv or .npz file, MNIST's files, or a folder of `data prepare`. With a CONFIG, images
    are looked at in the splits that its run would draw, so that copies across training and validation are found.

    \b
    kerasnets data check photos/
    kerasnets data check photos.yaml data.validation_split=0.1

    The exit code is 3 if there are problems, 0 if there are none, or notes alone.
    """
    data, seed = _data(what, overrides)
    with ExitStack() as stack:

        def watched(total: int) -> Advance:
            return stack.enter_context(progress("check images", total=total))

        report = examine(data, seed, data.workers or cores(), watched)
    if output is not None:
        _write(output, report)
    if as_json:
        emit_json(report.document())
    else:
        _show(report)
    if report.problems:
        raise CheckFailed(f"{report.problems:,} problems in {report.path}")


def _data(what: str, overrides: tuple[str, ...]) -> tuple[Data, int | None]:
    """Return the data section to check, and the seed of its run where there is one."""
    path = Path(what)
    if path.suffix.lower() in (".yaml", ".yml") or (not path.exists() and what in configs.shipped()):
        config = configs.load(what, overrides)
        return config.data, config.seed
    if not path.exists():
        beside = [os.fspath(path.parent / name) for name in os.listdir(path.parent)] if path.parent.is_dir() else []
        hint = nearest(os.fspath(path), [*beside, *configs.shipped()])
        raise UserError(f"{what} is neither a path nor a shipped config{hint}")
    if overrides:
        raise UserError(f"'{overrides[0]}' changes a config, but {what} is none")
    return Data(source=source_of(path), path=path), None


def _show(report: Report) -> None:
    splits = ", ".join(f"{count:,} {name}" for name, count in report.splits.items())
    out.print(f"{report.images:,} images ({splits}) in {len(report.classes):,} classes")
    if not report.findings:
        out.print("nothing found")
        return
    table = Table("", "what", "count", Column("such as", overflow="fold"), show_lines=True)
    for kind, found in _by_kind(report.findings):
        rule, colour = RULES[kind], _COLOURS[RULES[kind].severity]
        examples = "\n".join(_words(finding) for finding in found[:_EXAMPLES])
        words = Text.assemble(rule.words, "\n", (f"→ {rule.remedy}", "dim"))
        table.add_row(Text(rule.severity, colour), words, f"{len(found):,}", examples)
    out.print(table)
    notes = len(report.findings) - report.problems
    out.print(f"{report.problems:,} problems, {notes:,} notes; --json or --output FILE.csv names every file")


def _by_kind(findings: tuple[Finding, ...]) -> Iterator[tuple[str, list[Finding]]]:
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        found.setdefault(finding.kind, []).append(finding)
    yield from found.items()


def _words(finding: Finding) -> str:
    paths = ", ".join(finding.paths[:2]) + (", …" if len(finding.paths) > 2 else "")
    return f"{paths}: {finding.detail}" if paths and finding.detail else paths or finding.detail


def _write(path: Path, report: Report) -> None:
    """Write a row for each file of each finding; those of one finding bear its number."""
    try:
        with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            writer = csv.writer(file)
            writer.writerow(("number", "severity", "kind", "path", "detail", "remedy"))
            for number, finding in enumerate(report.findings, 1):
                for name in finding.paths or ("",):
                    rule = finding.rule
                    writer.writerow(cells(number, rule.severity, finding.kind, name, finding.detail, rule.remedy))
    except OSError as error:
        raise UserError(f"--output {path}: {error.strerror}") from error
