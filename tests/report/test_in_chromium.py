"""The page in a real browser: nothing on the console, all figures drawn, no horizontal scroll, in both themes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Page, binary, chromium
from made_runs import FINDING, make_run

from kerasnets.report import page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(binary() is None, reason="needs a browser: Debian's package `chromium`"),
]
LONG = "a_class_with_a_name_that_is_much_longer_than_any_sensible_name_should_be"
CONTRAST = """
(() => {
  const channel = c => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const light = rgb => { const [r, g, b] = rgb.match(/[\\d.]+/g).map(Number).map(channel);
                         return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = e => { for (; e; e = e.parentElement) { const b = getComputedStyle(e).backgroundColor;
                        if (b !== "rgba(0, 0, 0, 0)") return b; } };
  const worst = [];
  const words = "h1, h2, h3, p, th, td, dt, dd, a, small, figcaption, summary, code, svg text";
  for (const e of document.querySelectorAll(words)) {
    const style = getComputedStyle(e);
    if (e.closest("#confusion")) continue;  // numbers on cells: their backgrounds are drawn
    const [a, b] = [light(e.closest("svg") ? style.fill : style.color), light(behind(e))].sort((x, y) => y - x);
    worst.push([(a + 0.05) / (b + 0.05), e.textContent.slice(0, 30)]);
  }
  return worst.sort((x, y) => x[0] - y[0])[0];
})()
"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages of a full run, of one with many classes and long names, of one just begun, and a comparison."""
    folder = tmp_path_factory.mktemp("runs")
    heads = ("softmax0", "softmax1", "softmax2")
    full = make_run(folder / "full", ["cat", "dog", LONG], heads=heads, findings=[FINDING])
    many = make_run(folder / f"many-{LONG}", [f"{LONG}_{number}" for number in range(30)], each=20)
    new = make_run(folder / "new", ["cat", "dog"], finished=False, epochs=0, telemetry=False, findings=None)
    paths = {run.path.name.partition("-")[0]: page.write(run) for run in (full, many, new)}
    return {**paths, "comparison": page.compare([full, many, new], folder / "comparison.html")}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("name", ["full", "many", "new", "comparison"])
def test_page(name: str, width: int, scheme: str, tab: Page, pages: dict[str, Path]) -> None:
    tab.open(pages[name], width, scheme)
    assert tab.complaints == []
    assert [address for address in tab.requests if not address.startswith("data:")] == [pages[name].resolve().as_uri()]
    assert tab.evaluate("innerWidth") == width
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") == (scheme == "dark")
    drawn = "[...document.querySelectorAll('figure svg')].every(e => e.getBoundingClientRect().height > 100)"
    assert tab.evaluate(drawn)
    assert tab.evaluate("[...document.images].every(e => e.naturalWidth > 0)")
    figures = {"full": 16, "many": 13, "new": 2, "comparison": 8}  # a new run has predictions here
    assert tab.evaluate("document.querySelectorAll('figure').length") == figures[name]
    tallest = "Math.max(0, ...[...document.querySelectorAll('th, td')].map(e => e.getBoundingClientRect().height))"
    assert tab.evaluate(tallest) < 400  # no column is so narrow that words stand on end; paths are long here
    ratio, words = tab.evaluate(CONTRAST)
    assert ratio >= 4.5, words


def test_themes_differ(tab: Page, pages: dict[str, Path]) -> None:
    colours = []
    for scheme in ("light", "dark"):
        tab.open(pages["full"], 390, scheme)
        colours.append(tab.evaluate("getComputedStyle(document.querySelector('svg text')).fill"))
    assert colours[0] != colours[1]


def test_a_script_that_got_in_would_not_run(tab: Page, pages: dict[str, Path], tmp_path: Path) -> None:
    text = pages["new"].read_text(encoding="utf-8")
    attack = tmp_path / "attack.html"
    attack.write_text(text.replace("<main>", "<main><script>document.title = 'run'</script>"), encoding="utf-8")
    tab.open(attack, 390, "light")
    assert tab.evaluate("document.title") != "run"
    assert any("Content Security Policy" in words for words in tab.complaints)
