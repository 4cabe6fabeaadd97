"""Versions in a model store with small files in the place of models, published as `export` publishes."""

import json
from pathlib import Path
from typing import Any

from kerasnets.artifacts import store
from kerasnets.artifacts.kit import beside

LABELS = ["a", "b", "c"]


def document(name: str, version: int, *more: str, formats: tuple[str, ...] = ("savedmodel", "onnx")) -> dict[str, Any]:
    """Return a manifest of a version whose `image` endpoint has the outputs probabilities and `more`."""
    outputs = {"probabilities": {"dtype": "float32", "shape": [None, 3]}}
    pixels = {"image_size": [8, 8], "channels": 3, "resize": "squash", "crop_ratio": 1.0, "mean_image": None}
    return {
        **{"schema": 1, "name": name, "version": version, "created": "2026-11-21T00:00:00+00:00"},
        **{"formats": list(formats), "labels": LABELS, "versions": {}},
        **{"metrics": {"validation": {"accuracy": 0.5 + version / 100}}, "parity": {}},
        "inputs": {"image": {"image": {"dtype": "float32", "shape": [None, None, None, 3]}}},
        "outputs": {"image": {**outputs, **{key: {"dtype": "bool", "shape": [None]} for key in more}}},
        "preprocessing": {**pixels, "mean": [0.0] * 3, "std": [1.0] * 3},
        "run": {"config": {}, "skipped": {}},
    }


def publish(root: Path, *more: str, name: str = "m", formats: tuple[str, ...] = ("savedmodel", "onnx")) -> Path:
    """Publish an empty version as `export` does."""
    with store.incoming(root, name) as incoming:
        described = document(name, int(incoming.target.name), *more, formats=formats)
        for form, file in (("savedmodel", "saved_model.pb"), ("onnx", "model.onnx")):
            if form in formats:
                (incoming.directory / file).write_text(f"{form} {described['version']}")
        (incoming.directory / "README.md").write_text(
            f"# {name}, version {described['version']}\n\nA model.\n\n## Use\n"
        )
        (incoming.directory / "assets").mkdir()
        (incoming.directory / "assets" / "labels.txt").write_text("a\nb\nc\n")
        files = {**described, "files": store.hashes(incoming.directory)}
        (incoming.directory / store.MANIFEST).write_text(json.dumps(files))
        beside.write_before(incoming.target.parent, described)
        path = incoming.publish()
        beside.refresh(path.parent)
        return path
