"""The confusion matrices of a run's best weights on its held-out splits, from its predictions.csv."""

import numpy as np

from kerasnets.errors import UserError
from kerasnets.run import Run

_FILE = "predictions.csv"


def confusions(run: Run) -> dict[str, np.ndarray]:
    """Return split -> counts, int64 `[K, K]`: rows are the true classes; nothing of a run that did not finish.

    Raises:
        UserError: predictions.csv names a class that the run has not.
    """
    place = {label: number for number, label in enumerate(run.labels)}
    found: dict[str, np.ndarray] = {}
    for row in run.read_rows(_FILE, ("split", "label", "predicted")):
        unknown = next((row[key] for key in ("label", "predicted") if row[key] not in place), None)
        if unknown is not None:
            raise UserError(f"{run.path / _FILE} is damaged: there is no class '{unknown}'")
        counts = found.setdefault(row["split"], np.zeros((len(place), len(place)), np.int64))
        counts[place[row["label"]], place[row["predicted"]]] += 1
    return found
