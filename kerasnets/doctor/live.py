"""`Watch`: the rules that mean something while training goes on, each heard once. No Keras: a callback calls it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from kerasnets.config import Config
from kerasnets.doctor.diagnose import examine
from kerasnets.doctor.finding import Finding
from kerasnets.doctor.reader import Reader
from kerasnets.doctor.rules import RULES

LIVE = tuple(rule for rule in RULES if rule.live)
_LIVE_FROM = {rule.name: rule.live_from for rule in LIVE}


class Watch:
    """Watches the run directory at `run_path` as it grows.

    A finding is reported once it stands in two looks running, so that the noise of a single epoch raises no alarm;
    values that are not finite are reported at once, and what may pass while rates are high not before they fall.
    """

    def __init__(self, run_path: Path, config: Config) -> None:
        self._reader = Reader(run_path, config)
        self._suspected: frozenset[str] = frozenset()
        self._told: set[str] = set()

    def get_state(self) -> dict[str, list[str]]:
        """Return what was suspected and told, for a run that is resumed."""
        return {"suspected": sorted(self._suspected), "told": sorted(self._told)}

    def set_state(self, state: Mapping[str, Sequence[str]]) -> None:
        """Take back what `get_state` returned."""
        self._suspected, self._told = frozenset(state["suspected"]), set(state["told"])

    def check(self) -> list[Finding]:
        """Return findings that were not returned before; to be called at the end of each epoch."""
        evidence = self._reader.read()
        found = examine(evidence, LIVE).findings
        sure = [f for f in found if f.rule in self._suspected or f.rule == "nonfinite_values"]
        self._suspected = frozenset(finding.rule for finding in found)
        over = evidence.epochs / evidence.config.training.epochs
        new = [f for f in sure if f.rule not in self._told and over >= _LIVE_FROM[f.rule]]
        self._told |= {finding.rule for finding in new}
        return new
