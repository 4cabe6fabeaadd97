"""`kerasnets benchmark growth`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kerasnets import environment
from kerasnets.benchmark import tables
from kerasnets.benchmark.growth import axes
from kerasnets.config.training import Training
from kerasnets.console import emit_json, out

if TYPE_CHECKING:
    from kerasnets.benchmark.growth.measure import Row

_PRECISIONS = ("auto", "float32", "bfloat16", "float16")


@click.command()
@click.argument("name", default="resnet20")
@click.option("--over", metavar="AXIS,AXIS,…", help=f"Of {', '.join(axes.AXES)}; default: all that the model has.")
@click.option("--at", multiple=True, metavar="AXIS=N,N,…", help="Measure an axis at these values.")
@click.option("--precision", type=click.Choice(_PRECISIONS), help="What layers compute in; default: as `train`.")
@click.option("--timeout", default=1800.0, show_default=True, type=click.FloatRange(1), help="Seconds for each point.")
@click.option("--chart", type=click.Path(path_type=Path, dir_okay=False), help="Draw it: a .png or .svg file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def growth(
    name: str,
    over: str | None,
    at: tuple[str, ...],
    precision: str | None,
    timeout: float,
    chart: Path | None,
    as_json: bool,
) -> None:
    """Measure how images/s, memory and start-up of training NAME grow with batch, image size, depth and width.

    Each point trains a few steps of `kerasnets train`, on images of noise, in a process of its own; depth is that of
    the CIFAR family. Memory stands beside its prediction (`kerasnets models NAME --memory BATCH`).

    \b
    kerasnets benchmark growth --chart growth.svg
    kerasnets benchmark growth resnet50 --over batch --at batch=1,4,16 --json
    """
    point = axes.Point.of(name)
    points = axes.chosen(point, over, at)
    from kerasnets.benchmark import chart as charts
    from kerasnets.benchmark.growth import chart as pictures
    from kerasnets.benchmark.growth.measure import laws, measure

    if chart is not None:
        charts.check(chart)
    title = f"Training {name}: how cost grows with one thing at a time"
    rows = measure(points, precision or Training().precision, timeout)
    found = laws(rows)
    if chart is not None:
        pictures.write(rows, chart, title)
    if as_json:
        growing = [{"axis": law.axis, "what": law.what, "exponent": law.exponent} for law in found]
        emit_json(
            {"schema": 1, "rows": [row.document() for row in rows], "growth": growing, "machine": environment.machine()}
        )
        return
    _report(rows, title)
    for law in found:
        out.print(law.words())


def _report(rows: "Sequence[Row]", title: str) -> None:
    numbers = ("at", "batch", "pixels", "images/s", "peak MB", "network's", "predicted", "off by", "start-up s")
    table = tables.empty(title, ("over",), numbers)
    table.add_column("precision")
    for place, row in enumerate(rows):
        last = place + 1 == len(rows) or rows[place + 1].axis != row.axis
        cells = [row.axis, f"{row.value:,g}", str(row.point.batch), str(row.point.size)]
        if row.cost is None:
            cells += ["–"] * 6 + [row.failure or ""]
        else:
            cost = row.cost
            cells += [f"{cost.images_per_second:,.1f}", f"{cost.peak / 1e6:,.0f}", f"{cost.grown / 1e6:,.0f}"]
            cells += [f"{cost.predicted / 1e6:,.0f}", f"{cost.error:+.0%}", f"{cost.start_up:.1f}", cost.precision]
        table.add_row(*cells, end_section=last)
    tables.show(table)
