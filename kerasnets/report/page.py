"""`write(run) -> Path`: the run on one page; `compare(runs, path)`: several side by side."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kerasnets import __version__
from kerasnets.config.differences import between, from_defaults
from kerasnets.data.decode import DecodeError
from kerasnets.errors import UserError
from kerasnets.report import answers, curves, depth, found_rate, headline, looked, mistakes
from kerasnets.report.material import Material
from kerasnets.report.picture import Picture
from kerasnets.run import Run, write_text

_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
_SHOWN_CLASSES = 36
_ROWS = 12
"""Of a table of classes, which stands beside figures."""
_COMPARED_CLASSES = 100


@dataclass(frozen=True)
class Section:
    """A chapter of the page: figures, and in words what could not be shown and why."""

    name: str
    short: str
    title: str
    pictures: Sequence[Picture] = ()
    missing: Sequence[str] = ()
    content: Mapping[str, Any] = field(default_factory=dict)


def write(run: Run, path: Path | None = None) -> Path:
    """Write what the run directory holds by now to `path`, default RUN/report.html, and return the path."""
    material = Material(run)
    sections = [_findings(material), _curves(material), _inside(material), *_answers(material), _settings(material)]
    if path is None or path.parent.resolve() == run.path.resolve():
        run.keep_inside()
    path = path or run.path / "report.html"
    _render(path, "run.html", title=run.path.resolve().name, headline=headline.of(material), sections=sections)
    return path


def compare(runs: Sequence[Run], path: Path) -> Path:
    """Write a page that shows runs side by side to `path`, and return it."""
    materials = {name: Material(run) for name, run in zip(names(runs), runs, strict=True)}
    configs = {name: material.run.config for name, material in materials.items()}
    context = {
        "rows": {name: headline.of(material) for name, material in materials.items()},
        "pictures": curves.compared(materials) + depth.compared(materials),
        "differences": between(list(configs.values())),
        "classes": _compared_classes(materials),
        "findings": {name: material.findings for name, material in materials.items()},
    }
    _render(path, "comparison.html", title=f"{len(runs)} runs compared", **context)
    return path


def names(runs: Sequence[Run]) -> list[str]:
    """Return a short name for each run: its directory's, or the whole path where two have the same."""
    short = [run.path.resolve().name for run in runs]
    return [name if short.count(name) == 1 else str(run.path) for name, run in zip(short, runs, strict=True)]


def _render(path: Path, template: str, **context: Any) -> None:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("kerasnets.report"),
        autoescape=True,  # class names, paths and file names are other people's words
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = headline.share
    environment.filters["sentence"] = lambda words: f"{words[:1].upper()}{words[1:].rstrip('.')}."
    page = environment.get_template(template).render(version=__version__, **context)
    # Names of files may hold bytes that are not UTF-8.
    write_text(path, page.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))


def _findings(material: Material) -> Section:
    title, run = "What the doctor says", material.run.path
    if material.findings is None:
        return Section(
            "diagnosis", "Diagnosis", title, missing=[f"The doctor has not looked at this run: kerasnets doctor {run}"]
        )
    rows = [{**finding, "plot": _plot(run, finding.get("plot"))} for finding in material.findings]
    return Section("diagnosis", "Diagnosis", title, content={"findings": rows})


def _plot(run: Path, name: str | None) -> str | None:
    """Return a finding's plot as a `data:` URI; None where there is none in the run directory."""
    if name is None:
        return None
    path = (run / name).resolve()
    if not path.is_relative_to(run.resolve()) or not path.is_file() or path.suffix not in _TYPES:
        return None
    return f"data:{_TYPES[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _curves(material: Material) -> Section:
    missing = []
    if not material.epochs:
        missing.append("No epoch has ended yet, so there are no curves by epoch (history.csv is not there).")
    if material.record is None:
        missing.append("Curves by step, and the loss in inference mode, need telemetry, which this run did not record.")
    return Section(
        "training", "Training", "Training", [*curves.all_of(material), *found_rate.all_of(material)], missing
    )


def _inside(material: Material) -> Section:
    if material.record is None:
        words = (
            "Gradient flow, update ratios, activations and dead units need what the probe records while training; "
            "this run has no telemetry directory, or nothing in it yet."
        )
        return Section("inside", "Layers", "Inside the network", missing=[words])
    missing = []
    if "activation" not in material.record.kinds:
        missing.append("Activations and dead units were not recorded (telemetry.activations=false).")
    return Section("inside", "Layers", "Inside the network", depth.all_of(material), missing)


def _answers(material: Material) -> list[Section]:
    found, labels = material.predictions, material.labels
    if found is None:
        words = (
            "Confusion matrix, calibration, worst mistakes and scores of each class are made of predictions.csv, which "
            "training writes at its end; this run has none."
        )
        return [Section("answers", "Answers", "Answers on held-out images", missing=[words])]
    title = f"Answers on the {len(found.ids):,} {found.split} images"
    rows = answers.per_class(found, labels)
    content = {
        "pictures": [answers.confusion(found, labels), answers.calibration(found)],
        # a matrix of all classes shows its mistakes by itself
        "pairs": answers.confusions(answers.counts(found, len(labels)), labels) if len(labels) > answers.MOST else [],
        "tables": [rows[start : start + _ROWS] for start in range(0, min(len(rows), _SHOWN_CLASSES), _ROWS)],
        "rest": rows[_SHOWN_CLASSES:],
    }
    return [Section("answers", "Answers", title, content=content), _mistakes(material), *_looked(material)]


def _looked(material: Material) -> list[Section]:
    """Return the chapter of Grad-CAM pictures; none for a run without, as those of networks that keep no places."""
    name, short, title = "looked", "Evidence", "Where it looked"
    if not material.looked:
        return []
    try:
        looks = looked.all_of(material)
    except UserError as error:
        return [Section(name, short, title, missing=[f"The pictures cannot be shown: {error}"])]
    return [Section(name, short, title, content={"looks": looks, "layer": material.looked["layer"]})]


def _mistakes(material: Material) -> Section:
    found = material.predictions
    if found is None:
        raise ValueError("mistakes need predictions")
    total = int((~found.right).sum())
    try:
        worst = mistakes.worst(material.run, found, material.labels)
    except (UserError, DecodeError) as error:
        return Section("mistakes", "Mistakes", "Worst mistakes", missing=[f"The pictures cannot be shown: {error}"])
    content = {"mistakes": worst, "total": total, "images": len(found.ids)}
    return Section("mistakes", "Mistakes", "Worst mistakes", content=content)


def _settings(material: Material) -> Section:
    config = material.run.config
    content = {"differences": from_defaults(config), "config": config.dump(), "environment": headline.machine(material)}
    missing = [] if material.environment else ["environment.json is missing: the run stopped before it was written."]
    return Section("settings", "Config", "Config and environment", missing=missing, content=content)


def _compared_classes(materials: Mapping[str, Material]) -> dict[str, list[float]]:
    """Return class -> f1 in each run, where all know the same classes; the classes that differ most first."""
    all_labels = {material.labels for material in materials.values()}
    found = [material.predictions for material in materials.values()]
    if len(all_labels) != 1 or any(predictions is None for predictions in found):
        return {}
    (labels,) = all_labels
    tables = [{row.label: row.f1 for row in answers.per_class(p, labels)} for p in found if p is not None]
    rows = {label: [table[label] for table in tables] for label in labels}
    order = sorted(rows, key=lambda label: min(rows[label]) - max(rows[label]))
    return {label: rows[label] for label in order[:_COMPARED_CLASSES]}
