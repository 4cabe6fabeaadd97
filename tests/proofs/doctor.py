"""`make proof-doctor`: sick and healthy runs, and what the doctor says of them; writes the table of docs/doctor.md.

Every run is trained in a process of its own below build/doctor-proof and kept there, so that the command goes on where
it was stopped. Fails unless each sick run's own rule comes first or second, and nothing is said of a healthy run, at
its end or while it trains.

    python tests/proofs/doctor.py [--suite first|second|third] [--only TEXT]
"""

import argparse
import datetime
import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import doctor_data
import yaml
from doctor_suites import RECORDED, SUITES, Case

from kerasnets.doctor.diagnose import compare, examine
from kerasnets.doctor.finding import Finding
from kerasnets.doctor.live import Watch
from kerasnets.doctor.reader import read
from kerasnets.environment import describe
from kerasnets.run import Run

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "doctor-proof"
KEPT = ROOT / "tests" / "doctor" / "recorded"
DOCS = ROOT / "docs" / "doctor.md"
BEGIN, END = "<!-- proof: written by make proof-doctor -->", "<!-- end of proof -->"
EPOCHS = {"digits": 10, "fashion": 8, "gratings": 10}
BATCH = {"digits": 32, "fashion": 64, "gratings": 64}


@dataclass(frozen=True)
class Result:
    """What the doctor said of a case."""

    case: Case
    findings: tuple[Finding, ...]
    warned: dict[str, int]
    """Rule -> epoch after which it was heard while training."""
    seconds: float

    @property
    def held(self) -> bool:
        rules = [finding.rule for finding in self.findings]
        if self.case.expects is None:
            return not rules and not self.warned
        return self.case.expects in rules[:2]


def config(case: Case, seed: int) -> dict[str, object]:
    """Return the config file of a case, before its own words."""
    family = case.data.split("-")[0]
    sgd = not any(word.startswith("training.optimizer=") for word in case.words)
    quiet = {key: False for key in ("histograms", "images", "pr_curves", "graph", "report")}
    return {
        "name": "proof",
        "seed": seed,
        "model": {"name": case.model},
        "data": {"source": "npz", "path": str(doctor_data.write(case.data, BUILD / "data"))},
        "training": {
            **{"epochs": EPOCHS[family], "batch_size": BATCH[family], "learning_rate": 0.05, "nesterov": sgd},
            "precision": "float32",  # on any machine, but for the case that names another
        },
        "telemetry": {**quiet, "embeddings": 0},
    }


def folder_of(case: Case, suite: str) -> Path:
    """Return where a case is trained."""
    return BUILD / suite / "".join(sign if sign.isalnum() else "-" for sign in case.name)


def train(case: Case, suite: str, seed: int) -> tuple[Path, float]:
    """Train a case in a process of its own, or find it trained; return its run directory and seconds."""
    folder = folder_of(case, suite)
    wanted = {"config": config(case, seed), "words": list(case.words)}
    note = folder / "case.json"
    if note.is_file():
        found = json.loads(note.read_text())
        if {key: found[key] for key in wanted} == wanted:
            return folder / "run", found["seconds"]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "proof.yaml").write_text(yaml.safe_dump(wanted["config"]))
    command = [sys.executable, "-m", "kerasnets", "train", str(folder / "proof.yaml"), *case.words]
    began = time.perf_counter()
    with (folder / "log").open("w") as log:
        done = subprocess.run([*command, "--out", str(folder / "run")], stdout=log, stderr=log, check=False)
    if done.returncode not in (0, 3):  # 3: stopped at NaN
        sys.exit(f"{case.name}: training ended with exit code {done.returncode}, see {folder / 'log'}")
    seconds = time.perf_counter() - began
    note.write_text(json.dumps({**wanted, "seconds": seconds}))
    return folder / "run", seconds


def replay(run: Run, folder: Path) -> dict[str, int]:
    """Return what `Watch` says, epoch by epoch, on copies of the run's files as they were at the end of each."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "telemetry").mkdir(parents=True)
    for name in ("config.yaml", "labels.txt", "splits.csv", "telemetry/layers.json"):
        shutil.copy(run.path / name, folder / name)
    per_epoch = json.loads((run.path / "telemetry" / "layers.json").read_text())["steps_per_epoch"]
    watch, warned = Watch(folder, run.config), dict[str, int]()
    last_step = int((run.path / "telemetry" / "steps.csv").read_text().splitlines()[-1].split(",")[0])
    for epoch in range(1, -(-last_step // per_epoch) + 1):
        for name, last in (
            ("history", epoch),
            ("telemetry/statistics", epoch * per_epoch),
            ("telemetry/steps", epoch * per_epoch),
        ):
            source = run.path / f"{name}.csv"
            if source.is_file():
                header, *lines = source.read_text().splitlines(keepends=True)
                kept = [line for line in lines if int(line.split(",", 1)[0]) <= last]
                (folder / f"{name}.csv").write_text(header + "".join(kept))
        warned |= {finding.rule: epoch for finding in watch.check()}
    return warned


def judge(case: Case, suite: str, seed: int) -> Result:
    """Train a case and ask the doctor."""
    path, seconds = train(case, suite, seed)
    run = Run.open(path)
    evidence = read(run.path, run.config)
    findings = examine(evidence).findings
    if case.beside is not None:
        beside = next(other for other in SUITES[suite] if other.name == case.beside)
        other = Run.open(train(beside, suite, seed)[0])
        findings = (*compare(evidence, read(other.path, other.config)), *findings)
    return Result(case, findings, replay(run, path.parent / "replay"), seconds)


def cell(text: str) -> str:
    return text.replace("|", "/").replace("*", "\\*")


def table(results: list[Result]) -> list[str]:
    """Return a Markdown table of one suite."""
    lines = [
        "| | run | data, model, changes | own finding | said | while training | s |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in results:
        case = result.case
        made = " ".join(
            (case.data, case.model, *(word.removeprefix("model.").removeprefix("training.") for word in case.words))
        )
        said = ", ".join(finding.rule for finding in result.findings) or "no findings"
        warned = ", ".join(f"{rule} ({epoch})" for rule, epoch in result.warned.items())
        cells = ("holds" if result.held else "**fails**", case.name, f"`{made}`", case.expects or "none", said, warned)
        lines.append("| " + " | ".join(map(cell, cells)) + f" | {result.seconds:.0f} |")
    return lines


def counts(results: list[Result]) -> str:
    """Say how many of a suite hold."""
    sick = [result for result in results if result.case.expects is not None]
    first = sum(bool(r.findings) and r.findings[0].rule == r.case.expects for r in sick)
    healthy = [result for result in results if result.case.expects is None]
    return (
        f"{sum(r.held for r in sick)} of {len(sick)} sick runs have their own finding first or second ({first} first); "
        f"{sum(r.held for r in healthy)} of {len(healthy)} healthy runs have no finding, and no warning while training."
    )


def write_docs(results: dict[str, list[Result]]) -> None:
    """Put the tables between the marks of docs/doctor.md."""
    environment = describe()
    lines = [f"{datetime.date.today()}, {environment['cpu']['model']}, {environment['cores']} cores.", ""]
    for suite, found in results.items():
        lines += [f"### The {suite} suite", "", counts(found), "", *table(found), ""]
    text = DOCS.read_text(encoding="utf-8")
    before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    DOCS.write_text("\n".join([before, "", *lines, after]), encoding="utf-8")


def record() -> None:
    """Keep the numbers of a few finished runs of the first suite for the fast tests."""
    shutil.rmtree(KEPT, ignore_errors=True)
    for case in (case for case in SUITES["first"] if case.name in RECORDED):
        source = folder_of(case, "first") / "run"
        target = KEPT / (case.expects or "healthy") / source.parent.name
        (target / "telemetry").mkdir(parents=True)
        for name in ("labels.txt", "splits.csv", "history.csv", "metrics.json", "predictions.csv"):
            if (source / name).is_file():  # a run that was stopped at NaN lacks some
                shutil.copy(source / name, target / name)
        for path in (source / "telemetry").iterdir():
            shutil.copy(path, target / "telemetry" / path.name)
        config = (source / "config.yaml").read_text(encoding="utf-8").replace(f"{ROOT}/", "")
        (target / "config.yaml").write_text(config, encoding="utf-8")


def run_suite(suite: str, seed: int, only: str) -> list[Result]:
    """Judge the cases of a suite whose name has `only` in it, one after the other."""
    chosen = [case for case in SUITES[suite] if only in case.name]
    results = []
    for number, case in enumerate(chosen, start=1):
        result = judge(case, suite, seed)
        results.append(result)
        said = ", ".join(finding.rule for finding in result.findings) or "no findings"
        warned = ", ".join(f"{rule} after epoch {epoch}" for rule, epoch in result.warned.items()) or "nothing"
        mark = "holds" if result.held else "FAILS"
        print(
            f"{suite} {number}/{len(chosen)} {mark}: {case.name} ({case.expects or 'healthy'}), {result.seconds:.0f} s"
        )
        print(f"    said {said}; while training {warned}", flush=True)
    return results


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--suite", choices=SUITES, action="append", help="default: all")
    parser.add_argument("--only", default="", help="cases whose name has this in it; docs/doctor.md stays as it is")
    wanted = parser.parse_args()
    seeds = {suite: seed for seed, suite in enumerate(SUITES, start=1)}
    results = {name: run_suite(name, seeds[name], wanted.only) for name in wanted.suite or SUITES}
    if not wanted.only and set(results) == set(SUITES):
        write_docs(results)
        record()
    for suite, found in results.items():
        print(f"{suite}: {counts(found)}")
    sys.exit(0 if all(result.held for found in results.values() for result in found) else 1)


if __name__ == "__main__":
    main()
