"""`kerasnets report`."""

from pathlib import Path

import click

from kerasnets.console import emit_json, out
from kerasnets.errors import UserError
from kerasnets.run import Run


@click.command()
@click.argument("runs", metavar="RUN [RUN…]", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file, for a comparison; default comparison.html. A single run's is RUN/report.html.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def report(runs: tuple[Path, ...], output: Path | None, as_json: bool) -> None:
    """Write a run as one HTML page that needs no network: RUN/report.html; of several runs, a comparison.

    A run in progress, or without telemetry, gets what there is; the page says what is missing and why.
    """
    from kerasnets.report import page

    opened = [Run.open(path) for path in runs]
    several = len({path.resolve() for path in runs}) > 1
    if len(opened) > 1 and not several:
        raise UserError(f"{runs[0]} is given {len(runs)} times; a comparison needs different runs")
    path = output or (Path("comparison.html") if several else opened[0].path / "report.html")
    try:
        page.compare(opened, path) if several else page.write(opened[0], path)
    except OSError as error:
        raise UserError(f"{error.filename or path}: {error.strerror}") from error
    if as_json:
        emit_json({"schema": 1, "path": str(path), "runs": [str(run.path) for run in opened]})
    else:
        out.print(f"{path}  ({path.stat().st_size / 1e6:.1f} MB)", markup=False)
