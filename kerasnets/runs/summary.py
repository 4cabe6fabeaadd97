"""One line about each run of a folder."""

import contextlib
import math
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kerasnets.config import Config
from kerasnets.errors import UserError, nearest
from kerasnets.run import LOCK, Run


@dataclass(frozen=True)
class Summary:
    """What `runs list` shows of a run; None where it is unknown.

    Attributes:
        name: Of its directory.
        path: Of its directory.
        model: Name of the model.
        data: Source, and the name of what it is read from.
        epochs: Epochs that were trained.
        validation: Best validation accuracy.
        test: Accuracy on the test split.
        loss: Validation loss of the best weights; of an unfinished run, the last one.
        seconds: Time of the run; of an unfinished one, of its training so far.
        findings: Number of the doctor's findings.
        state: "finished", "training" while a process is at it, "unfinished", or why it cannot be read.
        changed: When anything in the directory was last written, in seconds since 1970.
    """

    name: str
    path: str
    state: str
    changed: float
    model: str | None = None
    data: str | None = None
    epochs: int | None = None
    validation: float | None = None
    test: float | None = None
    loss: float | None = None
    seconds: float | None = None
    findings: int | None = None

    def document(self) -> dict[str, Any]:
        """Return the JSON form; a number that is not finite becomes null."""
        values = asdict(self)
        return {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in values.items()}


def directories(root: Path) -> list[Path]:
    """Return the run directories right below `root`, by name and number; links are not followed.

    Raises:
        UserError: there is no such folder, or it is a run itself.
    """
    if not root.is_dir():
        siblings = [path.name for path in root.parent.iterdir() if path.is_dir()] if root.parent.is_dir() else []
        raise UserError(f"no folder {root}{nearest(root.name, siblings)}")
    if is_run(root):
        raise UserError(f"{root} is a run itself; name the folder that holds runs, such as {root.parent}")
    return sorted((path for path in root.iterdir() if is_run(path)), key=_numbered)


def is_run(path: Path) -> bool:
    """Say whether `path` is a directory, not a link to one, with a run's config in it."""
    return not path.is_symlink() and path.is_dir() and (path / "config.yaml").is_file()


def _numbered(path: Path) -> tuple[str, int]:
    name, _, number = path.name.rpartition("-")
    return (name, int(number)) if number.isdecimal() else (path.name, 0)


def summaries(root: Path) -> Iterator[Summary]:
    """Yield a line for each run below `root`, also for one that cannot be read."""
    for path in directories(root):
        try:
            yield of(Run.open(path))
        except UserError as error:
            reason = str(error).splitlines()[0]
            yield Summary(path.name, str(path), f"unreadable: {reason}", changed(path))


def of(run: Run) -> Summary:
    """Return the line about one run."""
    history = run.read_numbers("history.csv")
    epochs = len(next(iter(history.values()), ()))
    metrics = run.read_json("metrics.json") if run.finished else {}
    best = [value for value in history.get("val_accuracy", ()) if not math.isnan(value)]
    validation, test = metrics.get("validation", {}), metrics.get("test", {})
    trained = sum(value for value in history.get("seconds", ()) if not math.isnan(value))
    return Summary(
        name=run.path.resolve().name,
        path=str(run.path),
        state="training" if run.in_use else "finished" if run.finished else "unfinished",
        changed=changed(run.path),
        model=run.config.model.name,
        data=_data(run.config),
        epochs=epochs,
        validation=validation.get("accuracy", max(best, default=None)),
        test=test.get("accuracy"),
        loss=validation.get("loss", history["val_loss"][-1] if history.get("val_loss") else None),
        seconds=metrics.get("seconds", trained if epochs else None),
        findings=_findings(run),
    )


def _data(config: Config) -> str:
    path = config.data.path
    return config.data.source if path is None else f"{path.name} ({config.data.source})"


def _findings(run: Run) -> int | None:
    there = (run.path / "diagnosis.json").is_file()
    return len(run.read_json("diagnosis.json")["findings"]) if there else None


def changed(path: Path) -> float:
    """Return when a file of a run was last written, in seconds since 1970."""
    return max((found.st_mtime for found in _files(path)), default=path.stat().st_mtime)


def size(path: Path) -> int:
    """Return the bytes of a directory's files; links count for themselves alone."""
    return sum(found.st_size for found in _files(path))


def _files(path: Path) -> Iterator[os.stat_result]:
    for folder, _, names in os.walk(path):
        for name in names:
            if name == LOCK:  # looking whether somebody holds it touches it
                continue
            with contextlib.suppress(FileNotFoundError):  # a run in progress renames what it wrote aside
                yield (Path(folder) / name).lstat()


def days_ago(moment: float) -> float:
    """Return how many days have passed since `moment`, in seconds since 1970."""
    return (time.time() - moment) / 86400
