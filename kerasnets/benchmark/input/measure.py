"""All of it, measured: the stages, and a training step."""

import tempfile
from pathlib import Path

from kerasnets import config as configs
from kerasnets.benchmark.input import step as steps
from kerasnets.benchmark.input.result import Input
from kerasnets.benchmark.input.stages import Stages
from kerasnets.config import Config
from kerasnets.training.job import assemble
from kerasnets.training.unreadable import naming_bad_files


def measure(config: Config, *, images: int, rounds: int, step: bool) -> Input:
    """Measure the pipeline of a config, as `train` runs it.

    Args:
        config: As loaded.
        images: The most of the training split that the stages read; all turns read the same ones.
        rounds: Turns of each stage, and pairs of steps.
        step: Measure a training step too.

    Raises:
        UserError: Config or data are wrong, or a file cannot be decoded.
    """
    quiet = configs.update(config, telemetry={"every": 0})  # samples would be counted as the pipeline's
    job, _ = assemble(quiet, check_files=config.data.skip_corrupt)
    with naming_bad_files(job.config.data, job.dataset), tempfile.TemporaryDirectory() as folder:
        bench = Stages(job, images, Path(folder))
        stages = bench.run(rounds)
        if step and job.distribution.strategy is not None:
            bench.left_out["training step"] = "it is timed on one replica; take training.strategy=none"
            step = False
        cost = steps.measure(job, rounds) if step else None
    return Input(
        images=len(bench.indices),
        kind="memory" if bench.split.files is None else "files",
        image_size=job.preprocessing.image_size,
        workers=bench.workers,
        rounds=rounds,
        stages=stages,
        left_out=bench.left_out,
        step=cost,
    )
