"""`diagnose(run)`: every rule over the evidence of a run; root causes first, mere consequences left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kerasnets.doctor import reader
from kerasnets.doctor.evidence import LACKS, Evidence
from kerasnets.doctor.finding import Finding
from kerasnets.doctor.pairs import PAIR_RULES
from kerasnets.doctor.rule import Rule
from kerasnets.doctor.rules import RULES
from kerasnets.run import Run


@dataclass(frozen=True)
class Diagnosis:
    """What the rules said of a run.

    Attributes:
        findings: root causes first.
        explained: what was left out: rule of a consequence -> rule of the finding that explains it.
        skipped: rule that could not look -> what it lacked.
        waiting: rules that look at a run's end, which has not come.
    """

    findings: tuple[Finding, ...]
    explained: dict[str, str]
    skipped: dict[str, str]
    waiting: tuple[str, ...] = ()


def examine(evidence: Evidence, rules: Sequence[Rule] = RULES) -> Diagnosis:
    """Let the rules look at the evidence."""
    found: list[Finding] = []
    skipped: dict[str, str] = {}
    waiting: list[str] = []
    for rule in rules:
        lacking = [part for part in rule.needs if evidence.lacks(part)]
        if rule.at_end and not evidence.over:
            waiting.append(rule.name)
        elif lacking:
            skipped[rule.name] = LACKS[lacking[0]]
        else:
            finding = rule.check(evidence, rule.thresholds)
            if finding is not None:
                found.append(finding)
    table = {rule.name: rule for rule in rules}
    explained = {name: finding.rule for finding in reversed(found) for name in table[finding.rule].explains}
    kept = tuple(finding for finding in found if finding.rule not in explained)
    left_out = {finding.rule: explained[finding.rule] for finding in found if finding.rule in explained}
    return Diagnosis(kept, left_out, skipped, tuple(waiting))


def compare(first: Evidence, second: Evidence) -> tuple[Finding, ...]:
    """Let the rules that compare two runs look at them."""
    found = (rule.check(first, second, rule.thresholds) for rule in PAIR_RULES)
    return tuple(finding for finding in found if finding is not None)


def diagnose(run: Run | str | Path) -> list[Finding]:
    """Return what is wrong with a run, finished or not, root causes first; an empty list when nothing is.

    Raises:
        UserError: `run` is not a run directory, or a file of it is damaged.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    return list(examine(reader.read(run.path, run.config)).findings)
