"""What the card says a version's probabilities mean, and what it answers for a picture of something else."""

from collections.abc import Iterator
from typing import Any


def sentences(manifest: dict[str, Any]) -> Iterator[str]:
    """Yield the sentences of the card's section of limits on what the version that `manifest` describes answers."""
    yield _unknown(manifest["unknown_below"])
    yield _calibration(manifest["calibration"])


def _unknown(below: float | None) -> str:
    if below is None:
        return "It always answers with one of its classes, also for a picture of something else."
    return (
        f'It says "unknown" (output `unknown`) where its best class has a probability below {below:g}; a picture of '
        "something else may still get one of its classes with a higher one."
    )


def _calibration(found: dict[str, Any] | None) -> str:
    if found is None:
        return "Its probabilities are not calibrated."
    if not found["fitted"]:
        return f"Its probabilities are not calibrated: {found['reason']}."
    return (
        f"Its probabilities are calibrated: logits are divided by a temperature of {found['temperature']:.4g}, fitted "
        f"to the {found['images']:,} validation images (Guo et al. 2017). On those images, the expected calibration "
        f"error was {found['ece_before']:.4f} before and is {found['ece_after']:.4f} after, the negative "
        f"log-likelihood {found['nll_before']:.4f} and {found['nll_after']:.4f}; which class is best is the same."
    )
