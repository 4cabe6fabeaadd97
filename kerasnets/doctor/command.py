"""`kerasnets doctor`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from kerasnets.console import emit_json, err, out
from kerasnets.doctor.diagnose import Diagnosis, compare, examine
from kerasnets.doctor.evidence import Evidence
from kerasnets.doctor.finding import Finding
from kerasnets.doctor.reader import read
from kerasnets.doctor.writing import write
from kerasnets.errors import CheckFailed, UserError
from kerasnets.run import Run


@click.command()
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("other", metavar="[RUN2]", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--strict", is_flag=True, help="Exit with 3 if there are findings.")
def doctor(run: Path, other: Path | None, as_json: bool, strict: bool) -> None:
    """Say what is wrong with RUN, finished or still training, why, and what to try.

    Root causes come first. With RUN2, a run that differs in depth alone, also whether the deeper one trains worse.
    Writes diagnosis.json and a plot for each finding into RUN.
    """
    opened = Run.open(run)
    evidence = read(opened.path, opened.config)
    second = _second(run, other)
    diagnosis = examine(evidence)
    paired = compare(evidence, second) if second else ()
    findings = [*paired, *diagnosis.findings]
    document = _kept(opened, evidence, findings, second)
    if as_json:
        emit_json({"schema": 1, **document})
    else:
        out.print("\n".join(_text(opened, evidence, findings, diagnosis)), markup=False)
    if strict and findings:
        count = "1 finding" if len(findings) == 1 else f"{len(findings)} findings"
        raise CheckFailed(f"{count} in {opened.path}: {', '.join(finding.rule for finding in findings)}")


def _kept(run: Run, evidence: Evidence, findings: list[Finding], second: Evidence | None) -> dict[str, Any]:
    """Write the findings into the run, and return them as a document."""
    try:
        return write(run, evidence, findings, second)
    except OSError as error:
        err.print(f"not kept: {error}", markup=False)
        return {"findings": [finding.document() for finding in findings]}


def _second(run: Path, other: Path | None) -> Evidence | None:
    if other is None:
        return None
    if other.resolve() == run.resolve():
        raise UserError(f"{other} is the same run; name another one to compare it with")
    opened = Run.open(other)
    return read(opened.path, opened.config)


def _text(run: Run, evidence: Evidence, findings: list[Finding], diagnosis: Diagnosis) -> Iterable[str]:
    state = "finished" if evidence.finished else "not finished"
    yield f"{run.path}: {state}, {evidence.epochs} of {evidence.config.training.epochs} epochs"
    if not findings:
        yield "no findings"
    for number, finding in enumerate(findings, start=1):
        where = f", step {finding.step}" if finding.step is not None else ""
        yield f"\n{number}. {finding.rule} ({finding.severity}{where})"
        yield f"   {finding.summary}"
        if finding.layers:
            yield f"   where:    {_shortened(finding.layers)}"
        yield f"   evidence: {', '.join(f'{key} {value:.4g}' for key, value in finding.evidence.items())}"
        yield f"   cause:    {finding.cause}"
        if finding.remedy:
            yield f"   try:      {' '.join(_quoted(word) for word in finding.remedy)}"
        yield f"   plot:     {run.path / 'diagnosis' / finding.rule}.svg"
    yield from _unseen(evidence, diagnosis)


def _unseen(evidence: Evidence, diagnosis: Diagnosis) -> Iterable[str]:
    """Say what was left out, what could not be looked at and why."""
    if diagnosis.explained:
        yield "\nleft out, as the findings above explain them: " + ", ".join(
            f"{name} ({cause})" for name, cause in diagnosis.explained.items()
        )
    reasons: dict[str, list[str]] = {}
    for name, reason in diagnosis.skipped.items():
        reasons.setdefault(reason, []).append(name)
    if reasons:
        yield "\nnot looked at:"
    for reason, names in reasons.items():
        yield f"  without {reason}: {', '.join(names)}"
    if diagnosis.waiting:
        yield f"\nonly when training has ended: {', '.join(diagnosis.waiting)}"
    if evidence.damaged:
        yield f"\n{evidence.damaged} damaged lines of telemetry files were left out"


def _shortened(names: tuple[str, ...], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f", … ({len(names)} in all)" if len(names) > most else "")


def _quoted(word: str) -> str:
    return f"'{word}'" if any(sign in word for sign in "[ *") else word
