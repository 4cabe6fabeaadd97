"""`kerasnets benchmark`."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kerasnets import config as configs
from kerasnets import environment
from kerasnets.benchmark.growth.command import growth
from kerasnets.commands import Group
from kerasnets.console import emit_json, import_tensorflow, out
from kerasnets.errors import UserError

if TYPE_CHECKING:
    from kerasnets.benchmark.input.result import Input
    from kerasnets.benchmark.model import Result

_SIZE = re.compile(r"([1-9]\d{0,4})(?:x([1-9]\d{0,4}))?")
_LARGEST_BATCH = 4096
_FOLDERS_LIKE = "imagenet-resnet50"


@click.group(cls=Group)
def benchmark() -> None:
    """Measure, in pairs: what is compared runs in turns."""


benchmark.add_command(growth)


@benchmark.command()
@click.argument("config", metavar="CONFIG")
@click.argument("overrides", metavar="[key=value …]", nargs=-1)
@click.option("--rounds", default=20, show_default=True, type=click.IntRange(1), help="Steps of each kind.")
@click.option(
    "--steps", default=39_100, show_default=True, type=click.IntRange(1), help="Of the run whose size is told."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def telemetry(config: str, overrides: tuple[str, ...], rounds: int, steps: int, as_json: bool) -> None:
    """Measure what telemetry costs in CONFIG's training step, on images of noise; its data are not needed.

    \b
    kerasnets benchmark telemetry cifar10-resnet20
    kerasnets benchmark telemetry imagenet-resnet50 training.batch_size=32 --rounds 5
    """
    loaded = configs.load(config, overrides)
    import_tensorflow()
    from kerasnets.benchmark.telemetry import measure

    found = measure(loaded, rounds=rounds, steps=steps)
    if as_json:
        emit_json({"schema": 1, "telemetry": asdict(found)})
        return
    out.print(f"{'without':<18} {found.without * 1000:.1f} ms a step")
    kinds = {"with, not sampled": found.ordinary, "sampled": found.sampled, "with passes": found.passes}
    for name, ratio in kinds.items():
        out.print(f"{name:<18} {ratio - 1:+.1%}")
    every, passes = loaded.telemetry.every, loaded.telemetry.passes_every
    out.print(f"{'share':<18} {found.share:.2%} of the time at one sample in {every} steps, with passes in {passes}")
    out.print(f"{'setup':<18} {found.setup:.1f} s more, once")
    samples = f"{found.samples} samples of {found.sample_bytes / 1e3:.0f} kB"
    most = f"at most {loaded.telemetry.max_megabytes:g} MB"
    out.print(f"{'event files':<18} {found.megabytes:.1f} MB in {found.steps:,} steps ({samples}; {most})")


@benchmark.command("input")
@click.argument("config", metavar="CONFIG|FOLDER")
@click.argument("overrides", metavar="[key=value …]", nargs=-1)
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1), help="Turns of each stage and step.")
@click.option("--images", default=256, show_default=True, type=click.IntRange(1), help="The most that a stage reads.")
@click.option("--step/--no-step", default=True, help="Measure what the pipeline takes from a training step, too.")
@click.option("--chart", type=click.Path(path_type=Path, dir_okay=False), help="Draw it: a .png or .svg file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def input_(
    config: str, overrides: tuple[str, ...], rounds: int, images: int, step: bool, chart: Path | None, as_json: bool
) -> None:
    """Measure the input pipeline of CONFIG stage by stage, and what it takes from a training step.

    A FOLDER of images, in folders of their classes, is read as imagenet-resnet50 reads ImageNet, in batches of 32.

    \b
    kerasnets benchmark input photos/
    kerasnets benchmark input imagenet-resnet50 data.path=photos data.augment.color_jitter=none --rounds 10
    """
    folder = Path(config)
    defaults = ("data.path=.", "training.batch_size=32") if folder.is_dir() else ()
    loaded = configs.load(_FOLDERS_LIKE if defaults else config, (*defaults, *overrides))
    if defaults:
        loaded = configs.update(loaded, data={"path": str(folder)})
    import_tensorflow()
    from kerasnets.benchmark import chart as charts
    from kerasnets.benchmark.input.chart import write
    from kerasnets.benchmark.input.measure import measure

    if chart is not None:
        charts.check(chart)
    found = measure(loaded, images=images, rounds=rounds, step=step)
    title = _title_of_input(found, config)
    if chart is not None:
        write(found, chart, title)
    if as_json:
        emit_json({"schema": 1, "subject": config, **asdict(found), "machine": environment.machine()})
    else:
        _report_input(found, title)


@benchmark.command()
@click.argument("path", metavar="MODEL-DIR", type=click.Path(path_type=Path))
@click.option("--batch", default="1,8,32", show_default=True, metavar="N,N,…", help="Images of a call.")
@click.option("--image-size", metavar="N|HxW", help="Of the images; default: what the model was trained on.")
@click.option("--rounds", default=100, show_default=True, type=click.IntRange(1), help="Calls of each at batch 1.")
@click.option("--accuracy", is_flag=True, help="Measure accuracy on the validation split; default: as it was exported.")
@click.option(
    "--data", multiple=True, metavar="FOLDER|key=value", help="Measure accuracy on these data, as `evaluate` does."
)
@click.option("--chart", type=click.Path(path_type=Path, dir_okay=False), help="Draw it: a .png or .svg file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def model(
    path: Path,
    batch: str,
    image_size: str | None,
    rounds: int,
    accuracy: bool,
    data: tuple[str, ...],
    chart: Path | None,
    as_json: bool,
) -> None:
    """Measure how fast every file of MODEL-DIR answers, and Keras' own `predict`, in turns.

    Each runs in a process of its own, so that the memory is its own too. Images are noise, handed over as NumPy arrays
    of raw pixels; what is timed is the call from them to probabilities. Larger batches have fewer rounds.

    \b
    kerasnets benchmark model export/models/digits-resnet20
    kerasnets benchmark model export/models/photos --batch 1,64 --chart photos.svg
    """
    batches, size = _batches(batch), _size(image_size)
    from kerasnets.artifacts import store
    from kerasnets.artifacts.manifest import Manifest
    from kerasnets.benchmark import chart as charts
    from kerasnets.benchmark.model import measure

    if chart is not None:
        charts.check(chart)
    manifest = Manifest.read(store.resolve(path))
    found = measure(manifest, batches=batches, rounds=rounds, image_size=size, accuracy=accuracy, data=data)
    height, width = found.image_size
    title = f"{manifest.document['name']}, version {manifest.document['version']}, {height}x{width}"
    if chart is not None:
        charts.write(found, chart, title)
    if as_json:
        emit_json({"schema": 1, **found.document(), "machine": environment.machine()})
    else:
        _report(found, title)


def _batches(words: str) -> list[int]:
    """Return the numbers in a list such as 1,8,32."""
    parts = [part.strip() for part in words.split(",")]
    if not all(part.isascii() and part.isdecimal() and 1 <= int(part) <= _LARGEST_BATCH for part in parts):
        raise UserError(f"--batch {words}: give whole numbers from 1 to {_LARGEST_BATCH}, such as 1,8,32")
    return [int(part) for part in parts]


def _size(words: str | None) -> tuple[int, int] | None:
    """Return height and width from a word such as 224 or 224x320."""
    if words is None:
        return None
    found = _SIZE.fullmatch(words)
    if found is None:
        raise UserError(f"--image-size {words}: give pixels, such as 224, or height x width, such as 224x320")
    return int(found[1]), int(found[2] or found[1])


def _title_of_input(found: "Input", name: str) -> str:
    height, width = found.image_size
    return f"{name}: {found.images:,} images, {found.kind}, to {height}x{width}; {found.workers} at a time"


def _report_input(found: "Input", title: str) -> None:
    out.print(title)
    out.print(f"{'':<26} {'images/s':>9} {'CPU ms an image':>16}")
    for stage in found.stages:
        out.print(f"{stage.name:<26} {stage.images_per_second:>9,.1f} {stage.cpu * 1000:>16.3f}")
    for stage_name, reason in found.left_out.items():
        out.print(f"{stage_name} is left out: {reason}")
    if (step := found.step) is None:
        return
    rate = step.batch / step.seconds
    out.print(f"{'training step':<26} {rate:>9,.1f} {step.cpu * 1000:>16.3f}  on a batch of {step.batch} that is there")
    out.print(f"{'fed by the pipeline':<26} {step.share:>+9.1%} {step.cpu_share:>+16.1%}  more time")


def _report(found: "Result", title: str) -> None:
    from kerasnets.benchmark import tables

    numbers = ("batch", "p50 ms", "p99 ms", "images/s", "to Keras", "peak MB", "MB on disk", "accuracy", "rounds")
    table = tables.empty(title, ("format",), numbers)
    for place, row in enumerate(found.rows):
        known = found.artefacts[row.form]
        ratio = "" if row.ratio is None else f"{row.ratio:.2f} x"
        share = "–" if known.accuracy is None else f"{known.accuracy:.2%}"
        cells = [f"{row.p50 * 1e3:.2f}", f"{row.p99 * 1e3:.2f}", f"{row.images_per_second:,.1f}", ratio]
        cells += [f"{row.peak / 1e6:,.0f}", f"{known.bytes / 1e6:,.2f}", share, str(row.rounds)]
        last = place + 1 == len(found.rows) or found.rows[place + 1].batch != row.batch
        table.add_row(row.form, str(row.batch), *cells, end_section=last)
    tables.show(table)
    for name, reason in found.left_out.items():
        out.print(f"{name} is left out: {reason}")


@benchmark.command()
@click.option("--models", default="resnet20,resnet50,googlenet", show_default=True, metavar="NAME,…", help="Networks.")
@click.option("--against", default="keras,keras-applications,torch", show_default=True, metavar="NAME,…")
@click.option(
    "--batch", type=click.IntRange(1, _LARGEST_BATCH), help="Images of a step; default: 128 up to 64 pixels, else 32."
)
@click.option("--rounds", type=click.IntRange(1), help="Turns of each; default: those of about half a minute, 3 to 15.")
@click.option(
    "--precision",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
    help="What ours compute in, and the others beside float32; auto: as in training.",
)
@click.option("--chart", type=click.Path(path_type=Path, dir_okay=False), help="Draw it: a .png or .svg file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def train(
    models: str, against: str, batch: int | None, rounds: int | None, precision: str, chart: Path | None, as_json: bool
) -> None:
    """Measure how fast networks train, beside stock Keras, keras.applications and PyTorch, in turns.

    Ours is what `kerasnets train` does, without telemetry. Each runs in a process of its own, so that memory and the
    time to the first step are its own too; all train on the same batch of noise.

    \b
    kerasnets benchmark train
    kerasnets benchmark train --models resnet20 --against keras --rounds 5
    kerasnets benchmark train --models resnet50,googlenet --batch 16 --chart train.svg
    """
    from kerasnets.benchmark import chart as charts
    from kerasnets.benchmark.train import arms, report
    from kerasnets.benchmark.train import chart as train_charts
    from kerasnets.benchmark.train.measure import measure

    compared = _words(against)
    arms.check_against(compared)
    networks = [arms.Network.of(name, batch) for name in _words(models)]
    if not networks:
        raise UserError("--models names none")
    if chart is not None:
        charts.check(chart)
    found = measure(networks, against=compared, rounds=rounds, precision=precision)
    about = report.about()
    if chart is not None:
        train_charts.write(found, chart, report.heading(about))
    if as_json:
        emit_json({"schema": 1, **about, **found.document()})
    else:
        report.show(found, about)


def _words(listed: str) -> list[str]:
    """Return the words of a list such as a,b: each once."""
    return list(dict.fromkeys(word.strip() for word in listed.split(",") if word.strip()))
