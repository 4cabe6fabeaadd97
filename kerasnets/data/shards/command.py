"""`kerasnets data prepare`."""

from pathlib import Path

import click

from kerasnets import config as configs
from kerasnets import environment
from kerasnets.config import Data
from kerasnets.console import emit_json, import_tensorflow, out, progress
from kerasnets.data import sources
from kerasnets.data.shards.prepare import prepare as write_shards
from kerasnets.data.survey import source_of


@click.command()
@click.argument("data", metavar="PATH|CONFIG")
@click.argument("directory", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--shard-megabytes", default=128.0, show_default=True, type=click.FloatRange(min=0.001), help="Of a file."
)
@click.option("--workers", default=0, type=click.IntRange(0), help="Files made at the same time; 0: one a core.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def prepare(data: str, directory: Path, shard_megabytes: float, workers: int, as_json: bool) -> None:
    """Write the images of PATH (a folder, a .csv file), or of CONFIG's data, to OUT: large files of TFRecords.

    Train on them with data.source=tfrecord data.path=OUT: the batches are those of the folder. Images are stored as
    they are, in shuffled order, with checksums. When it was stopped, the same command goes on and checks what is there.
    """
    examples = sources.read(_named(data))
    import_tensorflow()
    with progress("prepare", total=len(examples.labels)) as advance:
        shards, kept = write_shards(
            examples,
            directory,
            megabytes=shard_megabytes,
            workers=workers or environment.cores(),
            progress=advance,
        )
    if as_json:
        emit_json({"schema": 1, "path": str(directory), "images": len(examples.labels), "shards": shards, "kept": kept})
        return
    found = f", of which {kept} were there and whole" if kept else ""
    out.print(f"{len(examples.labels):,} images in {shards} files{found}", markup=False)
    out.print(f"train on them with data.source=tfrecord data.path={directory}", markup=False)


def _named(word: str) -> Data:
    path = Path(word)
    if path.is_dir() or path.suffix in (".csv", ".npz"):
        return Data(source=source_of(path), path=path)
    return configs.load(word).data
