"""`kerasnets export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kerasnets.artifacts.export import DEFAULT_STORE, Published
from kerasnets.artifacts.export import export as publish
from kerasnets.artifacts.formats import FORMATS
from kerasnets.console import emit_json, out
from kerasnets.run import Run

if TYPE_CHECKING:
    from rich.table import Table


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("settings", metavar="[export.KEY=VALUE]…", nargs=-1)
@click.option("--name", help="Name in the store; default: the config's.")
@click.option(
    "--to", type=click.Path(path_type=Path), default=DEFAULT_STORE, show_default=True, help="The model store."
)
@click.option("--version", type=int, help="Version to publish; default: the highest there + 1.")
@click.option("--formats", help=f"Comma-separated, of {', '.join(FORMATS)}; default: the config's export.formats.")
@click.option("--force", is_flag=True, help="Publish int8 formats that fewer than 1,000 held-out images vouch for.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def export(
    run: Path,
    settings: tuple[str, ...],
    name: str | None,
    to: Path,
    version: int | None,
    formats: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write RUN's best weights for servers, verify them in fresh processes, publish them in the model store.

    Exit code 3 and nothing in the store if an artefact differs from the Keras model, or the accuracy of an int8 format
    falls by more than the config's export.max_accuracy_drop.
    """
    wanted = [word.strip() for word in formats.split(",") if word.strip()] if formats is not None else None
    if wanted == []:
        raise click.BadParameter("name at least one format", param_hint="--formats")
    published = publish(
        Run.open(run), name=name, to=to, version=version, formats=wanted, settings=settings, force=force
    )
    if as_json:
        emit_json({"schema": 1, "path": str(published.path), "files": published.files, "parity": published.parity})
    else:
        _report(published)


def _report(published: Published) -> None:
    from rich.table import Table

    table = Table("format", "probabilities", "logits", "accuracy", "Keras", title="largest difference from Keras")
    for form, figures in published.parity.items():
        accuracies = [f"{figures[key]:.4f}" for key in ("accuracy", "keras_accuracy")]
        table.add_row(form, f"{figures['probabilities']:.1e}", f"{figures['logits']:.1e}", *accuracies)
    out.print(table)
    if any(figures["drop"] for figures in published.parity.values()):
        out.print(_drops(published.parity))
    images = next(iter(published.parity.values()))["images"]
    out.print(f"verified on {images:,} validation images; published: {published.path}")
    opened = f"predict {published.path.parent} IMAGE" if "onnx" in published.parity else f"verify {published.path}"
    out.print(f"try: kerasnets {opened}")


def _drops(parity: dict[str, Any]) -> "Table":
    """Return a table of how far the accuracies of int8 formats fall."""
    from rich.table import Column, Table

    columns = ("images", "fall", "95 % interval", "lost", "won", "p", "limit")
    table = Table(
        Column("format", no_wrap=True), *columns, title="accuracy of int8: fall in points; answers lost and won"
    )
    for form, figures in parity.items():
        if drop := figures["drop"]:
            low, high = drop["interval"]
            flips = [str(drop["right_to_wrong"]), str(drop["wrong_to_right"]), f"{drop['p_value']:.2g}"]
            limit = f"{drop['allowed']:g}" if drop["established"] else "not established"
            table.add_row(
                form, f"{drop['images']:,}", f"{drop['points']:.2f}", f"{low:.2f} to {high:.2f}", *flips, limit
            )
    return table
