"""Large data sets: what an image costs before it is read. `make proof-scale` does this with a million."""

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from proofs import scale

from kerasnets.config import Data
from kerasnets.data import sources
from kerasnets.data.raw import kept
from kerasnets.errors import UserError

COUNT = 20_000


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder and a table of 20,000 hard links to one image."""
    root = tmp_path_factory.mktemp("links")
    Image.new("RGB", (4, 4)).save(root / "one.png")
    rows = ["path,label"]
    for label in ("ant", "bee"):
        (root / "photos" / label).mkdir(parents=True)
        for i in range(COUNT // 2):
            rows.append(f"photos/{label}/a_name_as_long_as_they_are_{i:06}.png,{label}")
            os.link(root / "one.png", root / rows[-1].partition(",")[0])
    (root / "table.csv").write_text("\n".join(rows))
    return root


@pytest.mark.parametrize(("source", "path"), [("folder", "photos"), ("csv", "table.csv")])
def test_a_listed_image_takes_little_memory(links: Path, source: str, path: str) -> None:
    """Its name (43 bytes in the folder, 50 in the table) and some numbers."""
    data = Data(source=source, path=links / path)  # type: ignore[arg-type]
    tracemalloc.start()
    try:
        dataset = sources.load(data, seed=0)
        used = kept(dataset.train, frozenset({3}))
        size, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(used) == len(dataset.train) - 1 and used.dtype == np.int64
    copies = 2 if source == "csv" else 1  # paths as they are written, and ids
    assert size / COUNT < copies * 120
    assert peak / COUNT < copies * 250


def test_missing_files_among_many(links: Path) -> None:
    """Their folders are listed, which is faster than asking for each; a folder, or none at all, is no file."""
    rows = (links / "table.csv").read_text()
    (links / "photos/ant/folder.png").mkdir()
    more = [
        "photos/ant/folder.png,ant",
        "nowhere/x.png,ant",
        "./photos/ant/../ant/a_name_as_long_as_they_are_000001.png,ant",
    ]
    (links / "more.csv").write_text("\n".join([rows, *more[:2]]))
    with pytest.raises(UserError) as error:
        sources.load(Data(source="csv", path=links / "more.csv"), seed=0)
    assert str(error.value) == f"{links / 'more.csv'}: {links / 'photos/ant/folder.png'} is not a file and 1 more"
    (links / "more.csv").write_text("\n".join([rows, more[2]]))
    with pytest.raises(UserError, match="photos/ant/a_name_as_long_as_they_are_000001.png is listed more than once$"):
        sources.load(Data(source="csv", path=links / "more.csv"), seed=0)
    (links / "photos/ant/folder.png").rmdir()


@pytest.mark.slow
def test_sample_of_the_proof(tmp_path: Path) -> None:
    paths = scale.stand_ins(tmp_path, 400, classes=4)
    found = scale.measure(tmp_path, "tfrecord", paths["tfrecord"], steps=20)
    assert 0 < found.imported < found.first_step
    assert found.late - found.early < 64
