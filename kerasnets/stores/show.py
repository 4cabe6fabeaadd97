"""A version's manifest in words."""

from collections.abc import Iterator
from typing import Any

from rich.table import Table

from kerasnets.artifacts import store
from kerasnets.artifacts.kit import beside, limits
from kerasnets.artifacts.manifest import Manifest
from kerasnets.errors import CheckFailed
from kerasnets.stores.summary import sizes

_CLASSES = 20


def document(manifest: Manifest) -> dict[str, Any]:
    """Return the JSON form: the manifest, the files' sizes, and what is wrong with the files."""
    return {"manifest": manifest.complete, "sizes": sizes(manifest.directory), "changed": _changed(manifest)}


def head(manifest: Manifest) -> Iterator[str]:
    """Yield lines about a version as a whole."""
    found = manifest.complete
    data, model = (_mapping(found["run"]["config"].get(key)) for key in ("data", "model"))
    yield f"{found['name']}, version {found['version']}: {manifest.directory}"
    yield f"{model.get('name')}, trained on {data.get('path') or data.get('source')}; published {found['created']}"
    if "rollback_of" in found:
        yield f"it is version {found['rollback_of']} again, after a rollback"
    yield f"run: {found['run'].get('path')}"
    labels = found["labels"]
    more = f" … and {len(labels) - _CLASSES} more" if len(labels) > _CLASSES else ""
    yield f"{len(labels)} classes: {', '.join(labels[:_CLASSES])}{more}"
    for split, values in found["metrics"].items():
        yield f"{split}: " + ", ".join(f"{name} {value:.4f}" for name, value in values.items())
    yield " ".join(limits.sentences({"unknown_below": None, "calibration": None, **found}))
    changed = _changed(manifest)
    yield "files: as they were published" if changed is None else f"files: {changed}"
    model_dir = manifest.directory.parent
    if store.is_name(model_dir.name) and (stale := beside.outdated(model_dir)):
        yield f"beside it: {', '.join(stale)} missing or out of date; the next export, prune or rollback mends that"


def _mapping(value: Any) -> dict[str, Any]:
    """Return a section of a config, which may be anybody's."""
    return value if isinstance(value, dict) else {}


def _changed(manifest: Manifest) -> str | None:
    try:
        manifest.check_files()
    except CheckFailed as error:
        return str(error)
    return None


def tables(manifest: Manifest) -> Iterator[Table]:
    """Yield tables: inputs and outputs, verification, what 8-bit formats lose, files."""
    yield _interface(manifest.complete)
    parity: dict[str, Any] = manifest.complete["parity"]
    drops = {form: found["drop"] for form, found in parity.items() if found.get("drop")}
    yield _figures({form: {k: v for k, v in found.items() if k != "drop"} for form, found in parity.items()})
    if drops:
        yield _figures(drops)
    yield _files(manifest)


def _interface(found: dict[str, Any]) -> Table:
    table = Table("endpoint", "", "name", "type", "shape", box=None, header_style="bold")
    for endpoint, inputs in found["inputs"].items():
        for kind, tensors in (("input", inputs), ("output", found["outputs"].get(endpoint, {}))):
            for name, spec in tensors.items():
                shape = ", ".join("any" if size is None else str(size) for size in spec["shape"])
                table.add_row(endpoint, kind, name, spec["dtype"], f"[{shape}]")
    return table


def _figures(found: dict[str, dict[str, Any]]) -> Table:
    """Return a row of figures a format; which there are depends on the format."""
    columns = list(dict.fromkeys(name for figures in found.values() for name in figures))
    table = Table("format", *(column.replace("_", " ") for column in columns), box=None, header_style="bold")
    for form, figures in found.items():
        table.add_row(form, *(_figure(figures.get(column)) for column in columns))
    return table


def _figure(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_figure, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _files(manifest: Manifest) -> Table:
    table = Table("file", box=None, header_style="bold")
    table.add_column("size", justify="right")
    for name, size in sizes(manifest.directory).items():
        table.add_row(name, f"{size:,}")
    return table
