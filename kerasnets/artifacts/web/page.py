"""index.html: template, style and script in one file, with what they know of the model, and nothing from elsewhere."""

import base64
import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasnets.data.preprocessing import Preprocessing
from kerasnets.gradcam import overlay

if TYPE_CHECKING:
    from kerasnets.artifacts.graph import Graph

ASSETS = Path(__file__).parent / "assets"
RUNTIME = ASSETS / "onnxruntime-web"
RUNTIME_VERSION = "1.30.0"
"""Of the npm package onnxruntime-web, from which the files in RUNTIME are."""
HASHES = {
    "ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
    "ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
"""sha256 of those files, as they are in the package."""
LARGEST = 50_000_000
"""Pixels of a picture that the page takes: those of today's telephones."""
_PRECISION = 1e-6


def write(graph: "Graph", folder: Path, *, eight_bits: bool) -> None:
    """Write index.html and the runtime's files into a folder that holds the networks."""
    for path in RUNTIME.iterdir():
        shutil.copyfile(path, folder / path.name)
    (folder / "index.html").write_text(html(facts(graph, folder), eight_bits=eight_bits), encoding="utf-8")


def facts(graph: "Graph", folder: Path) -> dict[str, Any]:
    """Return what the script has to know of the model."""
    sizes = [(folder / name).stat().st_size for name in ("model.onnx", "ort-wasm-simd-threaded.wasm")]
    return {
        "name": graph.facts["name"],
        "model": graph.facts["model"],
        "labels": list(graph.labels),
        "size": list(graph.preprocessing.image_size),
        "channels": graph.preprocessing.channels,
        "dtype": graph.feed.dtype,
        "frame": frame(graph.preprocessing, graph.feed.dtype, static=graph.feed.static),
        "unknownBelow": graph.unknown_below,
        "temperature": graph.temperature,
        "largest": LARGEST,
        "megabytes": max(1, round(sum(sizes) / 1e6)),
        "colours": overlay.COLOURS,
        "veil": overlay.VEIL,
        "strength": overlay.STRENGTH,
    }


def frame(preprocessing: Preprocessing, dtype: str, *, static: bool) -> list[int] | None:
    """Return height and width of a picture whose middle goes through the network's own resize as it is.

    The page resizes first, to show what the model sees, and so need not have the network do it again. None where no
    picture of whole pixels does that, or where the network takes whole numbers, to which a resized picture is not
    rounded: it gets the whole image then.
    """
    height, width = preprocessing.image_size
    if static or (dtype == "float32" and preprocessing.resize != "crop"):
        return [height, width]
    around = [side / preprocessing.crop_ratio for side in (height, width)]
    whole = [round(side) for side in around]
    fits = all(abs(a - b) < _PRECISION for a, b in zip(around, whole, strict=True))
    even = all((outer - inner) % 2 == 0 for outer, inner in zip(whole, (height, width), strict=True))
    return whole if dtype == "float32" and fits and even else None


def html(known: dict[str, Any], *, eight_bits: bool) -> str:
    """Return the page."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    style, script = ((ASSETS / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    document = json.dumps(known, ensure_ascii=False).replace("<", "\\u003c")
    template = Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True).from_string(
        (ASSETS / "page.html").read_text(encoding="utf-8")
    )
    size, classes = known["size"], len(known["labels"])
    kind = "with 8-bit numbers" if eight_bits else "with 32-bit numbers"
    calibrated = (
        "" if known["temperature"] == 1 else f" Probabilities are calibrated: temperature {known['temperature']:.3g}."
    )
    return template.render(
        facts=known,
        policy=policy(style, script),
        summary=f"Give it a picture: {known['model']} names it, one of {classes:,} classes.",
        footer=f"{known['model']}, {size[0]} x {size[1]} pixels, {kind}.{calibrated}",
        runtime=RUNTIME_VERSION,
        style=Markup(style),  # noqa: S704
        script=Markup(script),  # noqa: S704
        document=Markup(document),  # noqa: S704
    )


def policy(style: str, script: str) -> str:
    """Return a Content Security Policy: this script and style, WebAssembly, and files beside the page; nothing else."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' 'wasm-unsafe-eval' {_source(script)}",
            f"style-src {_source(style)}",
            "connect-src 'self'",
            "worker-src 'self' blob:",
            "img-src data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def labels(page: Path) -> tuple[str, ...]:
    """Return the class names that a page shows."""
    text = page.read_text(encoding="utf-8")
    begin = text.index('<script type="application/json" id="facts">')
    document = text[text.index(">", begin) + 1 : text.index("</script>", begin)]
    return tuple(json.loads(document)["labels"])
