"""`export(run)`: write every format aside, verify it, publish the version."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kerasnets import config as configs
from kerasnets.artifacts import manifest, store
from kerasnets.artifacts.formats import FORMATS, check_installed, savedmodel
from kerasnets.artifacts.kit import beside, card, tensorflow_serving
from kerasnets.artifacts.kit.confusions import confusions
from kerasnets.console import err, import_tensorflow
from kerasnets.errors import UserError, nearest
from kerasnets.run import Run

DEFAULT_STORE = Path("export/models")


@dataclass(frozen=True)
class Published:
    """A version in the store."""

    path: Path
    files: dict[str, str]
    """sha256 of each file, by its path in the version."""
    parity: dict[str, Any]
    """Format -> figures of its comparison with the Keras model."""


def export(
    run: Run | str | Path,
    *,
    name: str | None = None,
    to: str | Path = DEFAULT_STORE,
    version: int | None = None,
    formats: Sequence[str] | None = None,
    settings: Sequence[str] = (),
    force: bool = False,
) -> Published:
    """Publish a run's best weights as `<to>/<name>/<version>`.

    Args:
        run: The run, or its directory.
        name: Name in the store; default: the config's.
        to: The model store.
        version: Default: the highest there + 1.
        formats: Default: the config's `export.formats`.
        settings: Words such as `export.calibrate=true`, laid over the config's `export` section.
        force: Publish an int8 format also where there are too few held-out images to say how far its accuracy falls.

    Raises:
        UserError: an argument is wrong, or the version would not fit those that are there.
        CheckFailed: an artefact is not what was trained; nothing was published.
    """
    run = _with(run if isinstance(run, Run) else Run.open(run), settings)
    name, wanted = name or run.config.name, check_formats(formats or run.config.export.formats)
    with store.incoming(Path(to), name, version) as incoming:
        import_tensorflow()  # not before the cheap checks
        from kerasnets.artifacts.graph import serving_graph
        from kerasnets.artifacts.temperature import calibrate
        from kerasnets.artifacts.verify import figures, verify

        graph, directory = serving_graph(run), incoming.directory
        manifest.check_compatible(incoming.target.parent, run.labels, graph.interface, wanted)
        calibration = calibrate(run) if run.config.export.calibrate else None
        if calibration is not None:
            err.print(f"calibration: {calibration.words()}")
            graph = replace(graph, temperature=calibration.temperature)
        for form in wanted:
            err.print(f"write {form}")
            FORMATS[form].write(graph, directory)
        graph.preprocessing.save(directory)
        checked = verify(run, directory, wanted, graph.interface, temperature=graph.temperature, force=force)
        parity = figures(checked)
        document = manifest.describe(run, name, int(incoming.target.name), graph.interface, parity, calibration)
        if savedmodel.NAME in wanted:
            tensorflow_serving.write_warmup(directory, name, document["inputs"], graph.preprocessing.image_size)
        card.write(directory, document, graph.preprocessing, confusions(run))
        files = manifest.write(directory, document)
        beside.write_before(incoming.target.parent, document)
        path = incoming.publish()
        beside.refresh(path.parent)
    return Published(path, files, parity)


def _with(run: Run, settings: Sequence[str]) -> Run:
    """Return the run with words laid over its config, which may be of the export section alone."""
    for word in settings:
        if not word.startswith("export."):
            raise UserError(f"'{word}': export takes settings of its own section, such as export.calibrate=true")
    return Run(run.path, configs.override(run.config, settings)) if settings else run


def check_formats(formats: Sequence[str]) -> tuple[str, ...]:
    """Return the formats, each known and named once, in the order in which they are written.

    Raises:
        UserError: one is unknown, its package is not installed, or none is given.
    """
    for form in formats:
        if form not in FORMATS:
            hint = nearest(form, FORMATS) or f"; there are {', '.join(FORMATS)}"
            raise UserError(f"--formats: no format '{form}'{hint}")
    if not formats:
        raise UserError(f"--formats: name at least one of {', '.join(FORMATS)}")
    wanted = tuple(form for form in FORMATS if form in formats)
    for form in wanted:
        check_installed(FORMATS[form])
    return wanted
