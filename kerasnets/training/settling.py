"""What a config leaves open until the data are known and the machine is at hand: `auto` and `find` become numbers."""

from collections.abc import Mapping
from dataclasses import dataclass

from kerasnets import config as configs
from kerasnets.config import Config
from kerasnets.data.pipeline import steps_per_epoch
from kerasnets.data.preprocessing import Preprocessing
from kerasnets.errors import UserError
from kerasnets.run import Run
from kerasnets.training import batch_size, range_test
from kerasnets.training.batch_size import Choice
from kerasnets.training.range_test import Curve
from kerasnets.training.trials import Trials

_QUIET = {"every": 0, "images": False, "pr_curves": False}
_PLAIN = {"schedule": "constant", "warmup_epochs": 0, "step_epochs": [], "epochs": 1}
_HARMLESS_RATE = 1e-6


@dataclass(frozen=True)
class Found:
    """How numbers were found, where the config left them open."""

    batch_size: Choice | None = None
    learning_rate: Curve | None = None

    def write(self, run: Run) -> None:
        """Keep it in the run directory."""
        if self.batch_size is not None:
            run.write_json("batch_size.json", self.batch_size.document())
        if self.learning_rate is not None:
            run.write_rows("learning_rate.csv", range_test.COLUMNS, self.learning_rate.rows())


def settle(
    config: Config, images: int, skip: Mapping[str, frozenset[int]], preprocessing: Preprocessing
) -> tuple[Config, Found]:
    """Return the config with `training.batch_size=auto` and `training.learning_rate=find` replaced by numbers.

    Nothing is computed in this process: what follows is what it would be with these numbers given.

    Args:
        config: resolved otherwise.
        images: that are trained on.
        skip: of each split, examples that are left out.
        preprocessing: of the run.

    Raises:
        UserError: no batch fits, or no rate makes the loss fall.
    """
    training, sizes, curve = config.training, None, None
    if training.batch_size == "auto":
        first = batch_size.sizes(images, training.accumulate)[0]
        trial = configs.update(_for_trials(config, first, _HARMLESS_RATE), model={"freeze": "none"})  # needs the most
        with Trials(trial, skip, preprocessing) as trials:
            sizes = batch_size.find(trials, images, training.accumulate)
        config = configs.update(config, training={"batch_size": sizes.batch_size})
    if training.learning_rate == "find":
        batch = config.training.batch
        with Trials(_for_trials(config, batch, 1.0), skip, preprocessing) as trials:
            curve = range_test.find(trials, training.optimizer, steps_per_epoch(images, batch), batch)
        config = configs.update(config, training={"learning_rate": curve.chosen})
    return config, Found(sizes, curve)


def check_settled(config: Config) -> None:
    """See that nothing is left open.

    Raises:
        UserError: something is.
    """
    for key, word in (("batch_size", "auto"), ("learning_rate", "find")):
        if getattr(config.training, key) == word:
            raise UserError(
                f"training.{key}={word} is for one machine: with several workers give the number, such as the one that "
                f"`kerasnets train` finds with training.strategy=none"
            )


def _for_trials(config: Config, batch: int, rate: float) -> Config:
    """Return the config of a trial: no schedule, no thaw, a rate that can be set while training, no telemetry."""
    training = {**_PLAIN, "batch_size": batch, "learning_rate": rate, "on_nonfinite": "rollback"}
    return configs.update(config, training=training, telemetry=_QUIET, model={"thaw_after": None})
