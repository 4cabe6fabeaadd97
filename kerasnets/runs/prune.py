"""Which runs are in the way, and their removal."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kerasnets.errors import UserError
from kerasnets.runs.summary import Summary, days_ago, is_run, size

BUSY_MINUTES = 30
"""An unfinished run that wrote something so recently may still be training."""


@dataclass(frozen=True)
class Doomed:
    """A run to delete, why, and how much room that makes."""

    path: Path
    reason: str
    bytes: int


def choose(
    runs: Sequence[Summary], *, keep: int | None = None, unfinished: bool = False, older_than: float | None = None
) -> list[Doomed]:
    """Return the runs to delete: those that any of the rules names, and that can be read.

    Args:
        runs: All there are.
        keep: Keep so many runs, those of the best validation accuracy; delete the other finished ones.
        unfinished: Delete those that did not finish, but for those that wrote something in the last half hour.
        older_than: Delete those in which nothing was written for so many days.
    """
    reasons: dict[str, str] = {}
    runs = [run for run in runs if run.state in ("finished", "unfinished") and _began(Path(run.path))]
    finished = [run for run in runs if run.state == "finished"]
    if keep is not None:
        ranked = sorted(finished, key=lambda run: (-(run.validation or 0.0), -run.changed))
        reasons |= {run.path: f"not among the best {keep}" for run in ranked[keep:]}
    if unfinished:
        idle = [run for run in runs if run.state == "unfinished" and not busy(run)]
        reasons |= {run.path: "unfinished" for run in idle}
    if older_than is not None:
        old = [run for run in runs if days_ago(run.changed) > older_than and not busy(run)]
        reasons |= {run.path: f"unchanged for {days_ago(run.changed):.0f} days" for run in old}
    return [Doomed(Path(run.path), reasons[run.path], size(Path(run.path))) for run in runs if run.path in reasons]


def _began(path: Path) -> bool:
    """Say whether training wrote this directory: others may hold a config.yaml too, such as one with photographs."""
    return is_run(path) and (path / "environment.json").is_file() and (path / "labels.txt").is_file()


def busy(run: Summary) -> bool:
    """Say whether a run may still be training."""
    return run.state != "finished" and days_ago(run.changed) * 24 * 60 < BUSY_MINUTES


def delete(doomed: Sequence[Doomed]) -> None:
    """Delete runs; links in them are removed, what they point to is not touched.

    Raises:
        UserError: one of them is not a run any more, or cannot be deleted.
    """
    for run in doomed:
        if not _began(run.path):
            raise UserError(f"{run.path} is not a run any more; nothing of it was deleted")
        try:
            shutil.rmtree(run.path)
        except OSError as error:
            raise UserError(f"{error.filename or run.path}: {error.strerror}") from error
