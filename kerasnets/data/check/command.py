"""`kerasnets data check`."""

from pathlib import Path

import click

from kerasnets.config import Data
from kerasnets.console import out, progress
from kerasnets.data import audit, sources
from kerasnets.data.survey import source_of
from kerasnets.errors import CheckFailed


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
def check(path: Path) -> None:
    """Look at every image of PATH: a folder, a .csv or .npz file, or MNIST's files."""
    dataset = sources.load(Data(source=source_of(path), path=path), seed=0)
    problems = []
    with progress("check files", total=sum(map(len, dataset.splits.values()))) as advance:
        for split in dataset.splits.values():
            problems += audit.unreadable(split, progress=advance)
    for problem in problems:
        out.print(f"{problem.path}: {problem.reason}", markup=False)
    if problems:
        raise CheckFailed(f"{len(problems)} files cannot be read; data.skip_corrupt=true leaves them out")
