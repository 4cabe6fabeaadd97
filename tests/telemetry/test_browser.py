"""TensorBoard itself, in a headless chromium, over what our writers wrote."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import browser
import pytest
from observed_run import NAMES, train

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser.binary() is None, reason="needs a browser: Debian's package chromium"),
]

INSIDE = """(() => {
  const found = [];
  const look = (root, selector) => {
    found.push(...root.querySelectorAll(selector));
    for (const element of root.querySelectorAll('*')) if (element.shadowRoot) look(element.shadowRoot, selector);
  };
  const all = selector => { found.length = 0; look(document, selector); return found; };
  return EXPRESSION;
})()"""
"""TensorBoard's pages are made of nested shadow roots, which a plain query does not enter."""


@contextmanager
def tensorboard(directory: Path) -> Iterator[str]:
    """Start TensorBoard on a free port of this machine, yield its address, end it."""
    command = [
        sys.executable,
        "-m",
        "tensorboard.main",
        "--logdir",
        str(directory),
        "--host",
        "localhost",
        "--port",
        "0",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            lines = []
            for line in process.stderr or ():
                lines.append(line)
                if found := re.search(r"at (http://localhost:\d+/)", line):
                    yield found[1]
                    return
            raise RuntimeError("".join(lines))
        finally:
            process.terminate()
            process.communicate()


def wait(page: browser.Page, expression: str, seconds: float = 60) -> Any:
    """Return the value of an expression over all shadow roots once it is true."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := page.evaluate(INSIDE.replace("EXPRESSION", expression)):
            return found
        time.sleep(0.3)
    raise AssertionError(f"not within {seconds} s: {expression}")


def show(page: browser.Page, address: str, name: str) -> None:
    """Open one of TensorBoard's pages anew."""
    page.call("Page.navigate", url="about:blank")
    page.call("Page.navigate", url=f"{address}?darkMode=false#{name}")


def test_tensorboard_shows_histograms_and_images(tmp_path: Path) -> None:
    train(tmp_path / "runs" / "small-1" / "tensorboard", probed=True)
    with tensorboard(tmp_path / "runs") as address, browser.chromium(tmp_path / "profile") as page:
        page.call("Emulation.setDeviceMetricsOverride", width=1500, height=1600, deviceScaleFactor=1, mobile=False)
        show(page, address, "histograms")
        inside = "getRootNode().host?.tagName"
        curves = f"all('path').filter(p => p.{inside} === 'VZ-HISTOGRAM-TIMESERIES' && p.getTotalLength() > 100)"
        wait(page, f"{curves}.length >= 8")
        text = "all('*').map(e => e.shadowRoot || e.childElementCount ? '' : e.textContent).join(' ')"
        said = wait(page, text)
        assert "gradients/conv/kernel" in said and "gradients/logits/bias" in said
        show(page, address, "images")
        images = f"all('img').filter(i => i.{inside} === 'TF-IMAGE-LOADER' && i.complete && i.naturalWidth > 0)"
        loaded = f"{images}.map(i => i.naturalWidth)"
        wait(page, f"{loaded}.length >= 4")
        assert sorted(wait(page, loaded)) == [560, 588, 680, 680]
        said = wait(page, text)
        for name in ("gradient_over_depth", "dead_units", "confusion", "worst_mistakes"):
            assert f"pictures/{name}" in said
        show(page, address, "pr_curves")
        wait(page, f"['{NAMES[0]}', '{NAMES[2]}'].every(name => {text}.includes('pr_curve/' + name))")
