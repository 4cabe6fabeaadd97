"""`kerasnets benchmark`."""

from dataclasses import asdict

import click

from kerasnets import config as configs
from kerasnets.console import emit_json, import_tensorflow, out


@click.group()
def benchmark() -> None:
    """Measure, in pairs: what is compared runs in turns in one process."""


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
