"""Temperature scaling: one number that logits are divided by, so that a probability is a share of right answers.

Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", sec. 4.2.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from kerasnets.console import progress
from kerasnets.data import sources
from kerasnets.data.raw import raw_batches
from kerasnets.measures.measure import calibration_error
from kerasnets.run import Run

BOUNDS = (0.05, 20.0)
"""Between which a temperature is looked for."""
FEWEST = 100
"""Images that a temperature is fitted to; see docs/verification.md."""
_NEAR = 1.01  # of a bound, as a factor: the minimum is not inside
_BATCH = 32


@dataclass(frozen=True)
class Calibration:
    """A temperature and what it does on the validation split, which it was fitted to."""

    temperature: float
    """1 where none could be fitted."""
    fitted: bool
    reason: str | None
    """Why none could be fitted."""
    images: int
    nll_before: float
    """Mean negative log-likelihood of the true class, in nats."""
    nll_after: float
    ece_before: float
    """Expected calibration error, 15 bins."""
    ece_after: float

    def words(self) -> str:
        """Return what was found, in a sentence without its full stop."""
        if not self.fitted:
            return f"none, the temperature stays 1: {self.reason}"
        return (
            f"temperature {self.temperature:.4g}, fitted to {self.images:,} validation images; calibration error "
            f"{self.ece_before:.4f} before and {self.ece_after:.4f} after, negative log-likelihood "
            f"{self.nll_before:.4f} and {self.nll_after:.4f}"
        )

    def document(self) -> dict[str, Any]:
        """Return it as it stands in a manifest."""
        return asdict(self)


def calibrate(run: Run) -> Calibration:
    """Fit a temperature to the run's best weights on its validation split.

    Raises:
        UserError: an image cannot be read.
    """
    from kerasnets.artifacts.reference import Reference

    reference = Reference(run)
    split, skip = sources.load(run.config.data, seed=run.config.seed).validation, run.skipped("validation")
    logits, targets = [], []
    with progress("calibrate", total=len(split) - len(skip)) as advance:
        for images, labels in raw_batches(split, reference.preprocessing.channels, _BATCH, skip):
            logits.append(reference.logits(images))
            targets.append(labels)
            advance(len(images))
    return fit(np.concatenate(logits), np.concatenate(targets))


def fit(logits: np.ndarray, targets: np.ndarray) -> Calibration:
    """Return the temperature at which the true classes int `[N]` are likeliest, given logits float `[N, K]`.

    The likelihood has one maximum (it is log-concave in 1 / T); where it lies at a bound, or the images are few, the
    validation split says nothing about how sure the model should be, and the temperature stays 1.
    """
    logits = logits.astype(np.float64)
    found = minimize_scalar(
        lambda log_t: _nll(logits / np.exp(log_t), targets), bounds=np.log(BOUNDS), method="bounded"
    )
    temperature = float(np.float32(np.exp(found.x)))  # as graphs hold it
    reason = _why_not(logits, targets, temperature)
    temperature = temperature if reason is None else 1.0
    scaled = logits / temperature
    return Calibration(
        temperature=temperature,
        fitted=reason is None,
        reason=reason,
        images=len(targets),
        nll_before=_nll(logits, targets),
        nll_after=_nll(scaled, targets),
        ece_before=calibration_error(softmax(logits, axis=1), targets),
        ece_after=calibration_error(softmax(scaled, axis=1), targets),
    )


def _why_not(logits: np.ndarray, targets: np.ndarray, temperature: float) -> str | None:
    if len(targets) < FEWEST:
        return f"the validation split has {len(targets)} images, and at least {FEWEST} are needed"
    if (logits.argmax(axis=1) == targets).all():
        return "every validation image is right, so they do not say how sure a wrong answer is"
    if temperature < BOUNDS[0] * _NEAR or temperature > BOUNDS[1] / _NEAR:
        return f"the likeliest temperature is not between {BOUNDS[0]:g} and {BOUNDS[1]:g}"
    return None


def _nll(logits: np.ndarray, targets: np.ndarray) -> float:
    return -float(log_softmax(logits, axis=1)[np.arange(len(targets)), targets].mean())
