"""diagnosis.json and a plot for each finding, in a run directory."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from kerasnets.doctor import plots
from kerasnets.doctor.evidence import Evidence
from kerasnets.doctor.finding import Finding
from kerasnets.doctor.pairs import PAIR_RULES
from kerasnets.doctor.rules import RULES
from kerasnets.run import Run


def write(run: Run, evidence: Evidence, findings: Iterable[Finding], other: Evidence | None = None) -> dict[str, Any]:
    """Write diagnosis.json and a plot for each finding into a run; return the document.

    Raises:
        UserError: a link leads out of the run.
    """
    run.keep_inside()
    draws = {rule.name: rule.draw for rule in RULES}
    if other is not None:
        draws |= {rule.name: rule.draw(other) for rule in PAIR_RULES}
    folder = run.path / "diagnosis"
    for old in folder.glob("*.svg"):
        old.unlink()
    drawn = []
    for finding in findings:
        plots.write(draws[finding.rule], evidence, finding, folder / f"{finding.rule}.svg")
        drawn.append(replace(finding, plot=f"diagnosis/{finding.rule}.svg"))
    document = {"findings": [finding.document() for finding in drawn]}
    run.write_json("diagnosis.json", document)
    return document
