"""What there is to tell about a run: everything the page shows, read from the run directory when asked for."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kerasnets.errors import UserError
from kerasnets.run import GRADCAM, Run
from kerasnets.telemetry.record import Record


@dataclass(frozen=True, eq=False)
class Predictions:
    """What the best weights said of one held-out split.

    Attributes:
        split: "test" or "validation".
        ids: Names of the N examples, as in splits.csv.
        labels: int `[N]`, indices into the class names.
        predicted: int `[N]`, likewise.
        confidence: float `[N]`, probability of the predicted class.
        probability: float `[N]`, probability of the true class.
    """

    split: str
    ids: tuple[str, ...]
    labels: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    probability: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """bool `[N]`."""
        return self.labels == self.predicted


@dataclass(frozen=True)
class Material:
    """A run, and what is known of it; None or empty where a file is missing, as in a run in progress."""

    run: Run

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Class names in order."""
        return self.run.labels if (self.run.path / "labels.txt").is_file() else ()

    @cached_property
    def history(self) -> dict[str, np.ndarray]:
        """Column of history.csv -> float64 `[epochs]`."""
        return {key: np.array(values) for key, values in self.run.read_numbers("history.csv").items()}

    @property
    def epochs(self) -> int:
        """Epochs that were trained."""
        return len(self.history.get("epoch", ()))

    @cached_property
    def heads(self) -> tuple[str, ...]:
        """Outputs with values of their own in the history, lowest first; none for a network with one output."""
        columns = (key.removesuffix("_loss") for key in self.history if key.endswith("_loss"))
        return tuple(sorted(name for name in columns if name != "val"))

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """metrics.json, empty for an unfinished run."""
        return self._document("metrics.json")

    @cached_property
    def environment(self) -> dict[str, Any]:
        """environment.json."""
        return self._document("environment.json")

    @cached_property
    def cost(self) -> dict[str, Any]:
        """What telemetry cost: `share` of the time and `megabytes`, where it was measured."""
        path = self.run.path / "telemetry" / "cost.json"
        return self._document("telemetry/cost.json") if path.is_file() else {}

    @cached_property
    def findings(self) -> list[dict[str, Any]] | None:
        """The doctor's findings; None where it has not looked."""
        found = self._document("diagnosis.json")
        return found["findings"] if found else None

    @cached_property
    def record(self) -> Record | None:
        """What the probe saw."""
        record = Record.open(self.run.path / "telemetry")
        return record if record is not None and record.kinds else None

    @cached_property
    def examples(self) -> dict[str, int]:
        """Split -> number of its examples that could be read."""
        found = Counter(row["split"] for row in self.run.read_rows("splits.csv", ("split",)))
        return {split: count - len(self.run.skipped(split)) for split, count in found.items()}

    @cached_property
    def predictions(self) -> Predictions | None:
        """Those of the test split, where there is one, else of the validation split."""
        columns = ("split", "id", "label", "predicted", "confidence", "probability_of_label")
        rows = self.run.read_rows("predictions.csv", columns)
        split = "test" if any(row["split"] == "test" for row in rows) else "validation"
        rows = [row for row in rows if row["split"] == split]
        if not rows:
            return None
        place = {name: index for index, name in enumerate(self.labels)}
        try:
            shares = np.array([[float(row[name]) for name in columns[4:]] for row in rows])
            classes = np.array([[place[row[name]] for name in columns[2:4]] for row in rows])
        except ValueError as error:
            raise UserError(f"{self.run.path / 'predictions.csv'} is damaged: {error}") from error
        except KeyError as error:
            raise UserError(f"{self.run.path / 'predictions.csv'} is damaged: there is no class {error}") from error
        if not ((shares >= 0) & (shares <= 1)).all():
            raise UserError(f"{self.run.path / 'predictions.csv'} is damaged: a probability is not within 0 and 1")
        return Predictions(split, tuple(row["id"] for row in rows), *classes.T, *shares.T)

    @cached_property
    def looked(self) -> dict[str, Any]:
        """What is said of the Grad-CAM pictures in the run; empty where there are none."""
        return self._document(f"{GRADCAM}/gradcam.json")

    def _document(self, name: str) -> dict[str, Any]:
        return self.run.read_json(name) if (self.run.path / name).is_file() else {}
