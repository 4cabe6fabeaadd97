"""Makes the pictures in docs/screenshots from a run: `python tests/proofs/screenshots.py RUN`. Needs chromium."""

import sys
import tempfile
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))

from browser import chromium  # noqa: E402

from kerasnets.report import page  # noqa: E402
from kerasnets.run import Run  # noqa: E402

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"


def main(run: Path) -> None:
    """Write report-<theme>-<width>.png: the page down to its config, which names this machine's paths."""
    path = page.write(Run.open(run))
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, chromium(Path(profile)) as tab:
        for width in (390, 1440):
            for scheme in ("light", "dark"):
                tab.open(path, width, scheme)
                end = int(tab.evaluate("document.querySelector('#settings').getBoundingClientRect().top"))
                file = FOLDER / f"report-{scheme}-{width}.png"
                tab.screenshot(file)
                with Image.open(file) as image:
                    top = image.convert("RGB").crop((0, 0, width, end))
                small = top.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE)
                small.save(file, optimize=True)
                print(f"{file.name}: {small.width} x {small.height} px, {file.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
