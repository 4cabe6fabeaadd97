"""The model card: a version's README.md (Mitchell et al. 2019, "Model Cards for Model Reporting")."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kerasnets.artifacts.kit import limits, requests
from kerasnets.artifacts.kit.markdown import code, table
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.measures import confusion

FILE = "README.md"
_LISTED_CLASSES = 50
_WORST = 5


def write(directory: Path, manifest: dict[str, Any], how: Preprocessing, confusions: Mapping[str, np.ndarray]) -> None:
    """Write README.md, and a picture of each confusion matrix `[K, K]`, by split, into a version's directory."""
    for split, counts in confusions.items():
        title = f"{split}: {np.trace(counts):,} of {counts.sum():,} images right"
        confusion.draw(tuple(manifest["labels"]), counts, directory / _picture(split), title)
    (directory / FILE).write_text(text(manifest, how, confusions), encoding="utf-8")


def text(manifest: dict[str, Any], preprocessing: Preprocessing, confusions: Mapping[str, np.ndarray]) -> str:
    """Return the card of the version that `manifest` describes, as Markdown."""
    parts = [
        *(part for section in (_head, _classes, _metrics) for part in section(manifest)),
        *_mistakes(manifest["labels"], confusions),
        *_limits(manifest),
        *_preprocessing(manifest, preprocessing),
        *_interface(manifest),
        *requests.section(manifest),
    ]
    return "\n\n".join(parts) + "\n"


def again(text: str, name: str, version: int, of: int) -> str:
    """Return the card of `version`, which is version `of` published once more: that one's card with a note."""
    _, _, rest = text.partition("\n")
    note = f"> This is version {of}, published again as version {version} by `kerasnets store rollback`."
    head, separator, body = rest.partition("\n\n## ")
    kept = "\n".join(line for line in head.splitlines() if not line.startswith("> This is version "))
    return f"# {name}, version {version}\n\n{note}\n\n{kept.strip()}{separator}{body}"


def _picture(split: str) -> str:
    return f"confusion-{split}.png"


def _head(manifest: dict[str, Any]) -> Iterator[str]:
    config = manifest["run"]["config"]
    data, versions = config["data"], manifest["versions"]
    yield f"# {manifest['name']}, version {manifest['version']}"
    where = f" at {code(str(data['path']))}" if data["path"] else ""
    yield (
        f"An image classifier, {code(config['model']['name'])}, trained by kerasnets {versions['kerasnets']} on the "
        f"source `{data['source']}`{where} (seed {config['seed']}, at most {config['training']['epochs']} epochs, "
        f"{config['training']['precision']}). Exported {manifest['created']}; `manifest.json` holds the whole config, "
        "the versions of all packages and the sha256 of each file."
    )


def _classes(manifest: dict[str, Any]) -> Iterator[str]:
    labels = manifest["labels"]
    yield "## Intended use"
    yield "To tell which one of these classes a picture shows, for pictures like those it was trained on."
    yield "## Classes"
    more = f" … and {len(labels) - _LISTED_CLASSES} more in `manifest.json`" if len(labels) > _LISTED_CLASSES else ""
    yield f"{len(labels)}, in order: " + ", ".join(code(label) for label in labels[:_LISTED_CLASSES]) + more


def _metrics(manifest: dict[str, Any]) -> Iterator[str]:
    yield "## Metrics"
    if manifest["metrics"]:
        names = list(dict.fromkeys(name for values in manifest["metrics"].values() for name in values))
        rows = [["split", *names]] + [
            [split, *(_figure(values, name, ".4f") for name in names)] for split, values in manifest["metrics"].items()
        ]
        yield table(rows)
    yield "What these files answer, compared with the Keras model on the validation split before publication:"
    columns = {"images": ",", "accuracy": ".4f", "keras_accuracy": ".4f", "probabilities": ".1e", "logits": ".1e"}
    rows = [["format", "images", "accuracy", "Keras", "largest difference of a probability", "of a logit, relative"]]
    for form, found in manifest["parity"].items():
        rows.append([form, *(_figure(found, name, digits) for name, digits in columns.items())])
    yield table(rows)
    drops = {form: found.get("drop") for form, found in manifest["parity"].items()}
    yield from (f"`{form}`: {_drop(drop)}" for form, drop in drops.items() if drop)


def _drop(drop: dict[str, Any]) -> str:
    low, high = drop["interval"]
    text = (
        f"8-bit weights and activations; its accuracy is {drop['points']:.2f} percentage points below Keras' "
        f"(95 % interval {low:.2f} to {high:.2f}) on {drop['images']:,} images of {' and '.join(drop['splits'])}: "
        f"{drop['right_to_wrong']} right answers became wrong, {drop['wrong_to_right']} wrong ones right."
    )
    few = " **Not established**: published with `--force` on fewer than 1,000 held-out images."
    return text if drop["established"] else text + few


def _figure(values: Mapping[str, Any], name: str, digits: str) -> str:
    value = values.get(name)
    return "–" if value is None else format(value, digits)


def _mistakes(labels: list[str], confusions: Mapping[str, np.ndarray]) -> Iterator[str]:
    if not confusions:
        yield "There is no picture of its mistakes: the run did not finish, so no held-out image was predicted."
        return
    for split, counts in confusions.items():
        yield f"![Confusion matrix of the {split} split; rows are the true classes]({_picture(split)})"
        wrong = counts - np.diag(np.diag(counts))
        order = [divmod(int(place), len(labels)) for place in np.argsort(-wrong, axis=None, kind="stable")[:_WORST]]
        found = [
            f"{code(labels[true])} taken for {code(labels[said])}: {wrong[true, said]} of {counts[true].sum()}"
            for true, said in order
            if wrong[true, said]
        ]
        yield f"Most frequent mistakes, {split}: " + ("; ".join(found) if found else "none") + "."


def _limits(manifest: dict[str, Any]) -> Iterator[str]:
    yield "## Limits"
    yield (
        f"{' '.join(limits.sentences(manifest))} The metrics hold for images like those it was trained on; measure it "
        "on yours with `kerasnets evaluate MODEL-DIR --data FOLDER`."
    )


def _preprocessing(manifest: dict[str, Any], preprocessing: Preprocessing) -> Iterator[str]:
    inside = ", except that the client resizes: its input has a fixed size." if requests.static(manifest) else "."
    yield "## Preprocessing"
    yield (
        "EXIF orientation is applied, 16 bits become 8, palettes, greys and CMYK become RGB, of an animation the first "
        f"frame counts. Then: {preprocessing.describe()} All from the pixels on is inside the artefact{inside}"
    )


def _interface(manifest: dict[str, Any]) -> Iterator[str]:
    yield "## Inputs and outputs"
    rows = [["endpoint", "", "name", "type", "shape"]]
    for endpoint, inputs in manifest["inputs"].items():
        for kind, tensors in (("input", inputs), ("output", manifest["outputs"][endpoint])):
            for name, spec in tensors.items():
                shape = ", ".join("any" if size is None else str(size) for size in spec["shape"])
                rows.append([endpoint, kind, code(name), spec["dtype"], f"[{shape}]"])
    yield table(rows)
    yield (
        "`image`: raw pixels 0..255, `[N, H, W, C]`. `bytes` (SavedModel): encoded JPEG, PNG, … files; `classes` and "
        "`scores` are sorted, best first."
    )
