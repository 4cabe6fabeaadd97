"""`kerasnets train`."""

import time
from pathlib import Path
from typing import Any

import click

from kerasnets import config as configs
from kerasnets import documents
from kerasnets.console import emit_json, import_tensorflow, out
from kerasnets.errors import UserError
from kerasnets.run import Run
from kerasnets.training.cluster import Cluster, cluster


@click.command()
@click.argument("words", metavar="CONFIG [key=value …]", nargs=-1)
@click.option("--out", "directory", type=click.Path(path_type=Path), help="Run directory; default runs/<name>-<n>.")
@click.option("--resume", "interrupted", metavar="RUN", type=click.Path(path_type=Path), help="Go on with this run.")
@click.option("--dry-run", is_flag=True, help="Check config and data, time a few steps; train and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def train(
    words: tuple[str, ...], directory: Path | None, interrupted: Path | None, dry_run: bool, as_json: bool
) -> None:
    """Train CONFIG (a YAML file, or a name of `kerasnets config`) and write a run directory.

    \b
    kerasnets train digits-resnet20
    kerasnets train digits-resnet20 training.epochs=3 model.shortcut=B
    kerasnets train --resume runs/digits-resnet20-1
    """
    began = time.perf_counter()
    if interrupted is not None:
        run = _resume(interrupted, words, directory, dry_run)
    else:
        if not words:
            raise UserError("which CONFIG? `kerasnets config` lists those that come with kerasnets")
        loaded = configs.load(words[0], words[1:])
        import_tensorflow()
        if dry_run:
            _dry_run(loaded, as_json)
            return
        from kerasnets.training.train import train as run_training

        run = run_training(loaded, directory)
    workers = cluster() if run.config.training.strategy == "multi_worker" else Cluster()
    if not workers.chief:
        _follower_summary(run.path, workers, as_json)
        return
    metrics = run.read_json("metrics.json")
    if as_json:
        emit_json({"schema": 1, "run": str(run.path), "metrics": metrics, **_weights(run)})
    else:
        _summary(run.path, metrics, time.perf_counter() - began)


def _weights(run: Run) -> dict[str, Any]:
    """Return the summary of the weights that a run began with, if it began with any."""
    path = run.path / "pretrained.json"
    found = documents.read(path) if path.is_file() else {}
    keys = ("path", "sha256", "family", "loaded", "adapted", "initial", "unused")
    return {"pretrained": {key: found[key] for key in keys}} if found else {}


def _follower_summary(run: Path, workers: Cluster, as_json: bool) -> None:
    """Say what a worker that writes nothing has to say."""
    if as_json:
        emit_json({"schema": 1, "run": str(run), "worker": workers.index})
    else:
        out.print(f"worker {workers.index} of {len(workers)} is done; worker 0 writes the run {run}")


def _resume(interrupted: Path, words: tuple[str, ...], directory: Path | None, dry_run: bool) -> Run:
    if directory is not None or dry_run:
        raise UserError(f"--resume goes on in {interrupted} itself; it does not go with --out or --dry-run")
    if words and "=" not in words[0]:
        raise UserError(f"--resume takes the config from {interrupted}, not '{words[0]}'; give key=value words alone")
    import_tensorflow()
    from kerasnets.training.resume import resume

    return resume(interrupted, words)


def _summary(run: Path, metrics: dict[str, Any], seconds: float) -> None:
    for split in ("validation", "test"):
        if split in metrics:
            values = metrics[split]
            top5 = f", top-5 {values['top5']:.2%}" if "top5" in values else ""
            out.print(f"{split:<11} accuracy {values['accuracy']:.2%}{top5}, loss {values['loss']:.4f}")
    out.print(f"{'best epoch':<11} {metrics['best_epoch']} of {metrics['epochs']}")
    out.print(f"{'time':<11} {seconds:.0f} s; the run's {metrics['epochs']} epochs {metrics['seconds']:.0f} s")
    out.print(f"{'run':<11} {run}")
    _inside(run)
    out.print(f"{'weights':<11} {run / 'model.keras'} (best), {run / 'last.keras'} (last)")
    out.print("\nnext:")
    out.print(f"  tensorboard --logdir {run / 'tensorboard'}")
    out.print(f"  kerasnets evaluate {run}")
    out.print(f"  kerasnets export {run}")


def _inside(run: Path) -> None:
    """Say what telemetry cost and what the doctor found."""
    costs = run / "telemetry" / "cost.json"
    if costs.is_file():
        cost = documents.read(costs)
        share = "" if cost["share"] is None else f"{cost['share']:.1%} of the time, "
        out.print(f"{'telemetry':<11} {share}{cost['megabytes']:.1f} MB")
    findings = documents.read(run / "diagnosis.json")["findings"]
    names = ", ".join(finding["rule"] for finding in findings)
    out.print(f"{'doctor':<11} {f'{names}; see kerasnets doctor {run}' if findings else 'no findings'}")
    if (run / "report.html").is_file():
        out.print(f"{'report':<11} {run / 'report.html'}")


def _dry_run(config: configs.Config, as_json: bool) -> None:
    from kerasnets.training.dry_run import plan

    found = plan(config)
    if as_json:
        emit_json({"schema": 1, "plan": found.document()})
        return
    images = ", ".join(f"{count:,} {name}" for name, count in found.images.items())
    height, width, channels = found.input_shape
    steps = found.steps_per_epoch
    rows = {
        "config": "valid",
        "images": f"{images}; {found.classes} classes; {found.unreadable} unreadable",
        "input": f"{height} x {width} px, {channels} channel{'s' if channels > 1 else ''}",
        "parameters": f"{found.parameters:,}",
        "MACs": f"{found.macs / 1e6:,.1f} M an image",
        "batch": f"{found.batch_size:,} images{_measured(config)}",
        "steps": f"{steps:,} an epoch, {steps * found.epochs:,} in {found.epochs} epochs",
        "memory": f"{_sizes(found.memory_bytes)}; predicted for the network: {_size(found.predicted_bytes)}",
        "time": f"about {_duration(found.seconds)} ({found.seconds_per_step * 1000:.0f} ms a step, measured here)",
    }
    if found.pretrained is not None:
        seen = found.pretrained
        rows["weights"] = (
            f"{seen['loaded']} tensors, {seen['adapted']} adapted, {seen['initial']} new, of {seen['path']}"
        )
    if found.range_test_steps is not None:
        rows["rate"] = f"is found as training starts, in {found.range_test_steps} steps at most"
    for name, words in rows.items():
        out.print(f"{name:<11} {words}")


def _sizes(sizes: dict[str, int]) -> str:
    return ", ".join(f"{_size(size)} ({where})" for where, size in sizes.items())


def _size(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"


def _measured(config: configs.Config) -> str:
    return ", as measured here" if config.training.batch_size == "auto" else ""


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    return f"{seconds:.0f} s" if seconds < 120 else f"{minutes:.0f} min" if minutes < 120 else f"{hours:.1f} h"
