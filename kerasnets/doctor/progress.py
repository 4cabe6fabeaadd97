"""Rule on a run that has stopped to write."""

import numpy as np

from kerasnets.doctor import plots
from kerasnets.doctor.evidence import Evidence
from kerasnets.doctor.finding import Finding
from kerasnets.doctor.remedies import valid
from kerasnets.doctor.rule import Rule, Thresholds


def _stalled(evidence: Evidence, at: Thresholds) -> Finding | None:
    slowest = float(np.nanmax(evidence.history.get("seconds", np.zeros(1)), initial=0.0))
    limit = max(at["seconds"], at["epochs"] * slowest)
    if evidence.over or evidence.idle_seconds < limit:
        return None
    wanted = evidence.config.training.epochs
    return Finding(
        "stalled_training",
        f"{evidence.epochs} of {wanted} epochs are there, and nothing was written for {evidence.idle_seconds / 60:.0f} "
        f"minutes; the slowest epoch took {slowest:.0f} s",
        "The process was killed, waits for data, or hangs. If it still runs, look at what its workers read.",
        {"idle_seconds": evidence.idle_seconds, "epochs": evidence.epochs, "slowest_epoch_seconds": slowest},
        valid(evidence.config, "data.workers=1"),
        "error",
        (),
        None,
    )


def _draw(axes: "plots.Axes", evidence: Evidence, finding: Finding) -> None:
    history = evidence.history
    if "seconds" in history:
        axes.plot(history["epoch"], history["seconds"], marker=".", label="seconds an epoch")
    axes.axhline(evidence.idle_seconds, color="grey", linestyle=":", label="since the last number")
    axes.set(xlabel="epoch", ylabel="seconds")
    axes.legend(fontsize="small")


STALLED = Rule(
    "stalled_training",
    "time since the run last wrote a number, where it is not over",
    {"seconds": 1800.0, "epochs": 10.0},
    "A run writes at least once an epoch; ten times the slowest one, and half an hour, is no slow epoch.",
    (),
    _stalled,
    _draw,
)
