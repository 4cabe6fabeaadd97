"""Makes docs/screenshots/web-*.png: `python tests/proofs/web_screenshots.py VERSION-DIR IMAGE`. Needs chromium.

Says also how long the page takes for the image once it is warm, and for it enlarged to 12 million pixels.
"""

import sys
import tempfile
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))

from browser import Page, chromium  # noqa: E402
from web_page import Server, give, ready, wait  # noqa: E402

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
VIEWS = ((1440, "light"), (1440, "dark"), (375, "light"))


def main(version: Path, image: Path) -> None:
    """Write web-<theme>-<width>.png, the wide ones with the evidence shown."""
    server = Server(version / "web")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, chromium(Path(folder) / "profile") as tab:
        for width, scheme in VIEWS:
            ready(tab, server, width, scheme)
            answer(tab, image)
            if width > 1000:
                tab.evaluate("document.getElementById('show').click()")
            tab.evaluate("new Promise((done) => setTimeout(done, 400))")  # the switch slides
            file = FOLDER / f"web-{scheme}-{width}.png"
            tab.screenshot(file)
            with Image.open(file) as picture:
                picture.convert("RGB").save(file, optimize=True)
        print(image, answer(tab, image))
        with Image.open(image) as picture:
            picture.convert("RGB").resize((4000, 3000)).save(large := Path(folder) / "large.jpg", quality=90)
        print("4000 x 3000", answer(tab, large))
    server.close()


def answer(tab: Page, image: Path) -> str:
    """Give the page an image and return what it says of its time."""
    tab.evaluate("document.getElementById('result').hidden = true")
    give(tab, image)
    wait(tab, "!document.getElementById('result').hidden")
    return str(tab.evaluate("document.getElementById('time').textContent"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
