"""The run in a few words and numbers: what it was, how good it is, what it took."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasnets.report.material import Material

_DASH = "–"


@dataclass(frozen=True)
class Fact:
    """A number that matters, what it is, and a note in small print."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Headline:
    """The top of the page.

    Attributes:
        name: Of the run directory.
        config: The config's name.
        model: Its name.
        data: Source, number of classes, size of images.
        examples: Images in each split.
        state: How far training went, in words.
        finished: Whether it reached its end.
        facts: Scores and effort.
    """

    name: str
    config: str
    model: str
    data: str
    examples: str
    state: str
    finished: bool
    facts: tuple[Fact, ...]

    def value(self, label: str) -> str:
        """Return a number by its label, a dash where it is unknown."""
        return next((fact.value for fact in self.facts if fact.label == label), _DASH)


def of(material: Material) -> Headline:
    """Return the headline of a run."""
    return Headline(
        name=material.run.path.resolve().name,
        config=material.run.config.name,
        model=material.run.config.model.name,
        data=_data(material),
        examples=", ".join(f"{count:,} {name}" for name, count in material.examples.items()),
        state=_state(material),
        finished=material.run.finished,
        facts=(*_scores(material), *_effort(material)),
    )


def _data(material: Material) -> str:
    data = material.run.config.data
    name = data.source if data.path is None else f"{data.path.name} ({data.source})"
    size = "" if data.image_size is None else f", {data.image_size[0]} × {data.image_size[1]} px"
    return f"{name}{f', {len(material.labels)} classes' if material.labels else ''}{size}"


def _state(material: Material) -> str:
    wanted, done = material.run.config.training.epochs, material.epochs
    if not material.run.finished:
        return f"unfinished, {done} of {wanted} epochs so far"
    return f"{done} epoch{'s' if done != 1 else ''}{'' if done == wanted else f' of {wanted}, stopped early'}"


def share(value: float, digits: int = 2) -> str:
    """Return a share as people read it: 96.66 %."""
    return f"{value * 100:.{digits}f}\N{NO-BREAK SPACE}%"


def _scores(material: Material) -> list[Fact]:
    metrics = material.metrics
    if not metrics:
        return _so_far(material)
    splits = [split for split in ("validation", "test") if split in metrics]
    best = f"best weights: epoch {metrics['best_epoch']}"
    found = [Fact(f"{split.capitalize()} accuracy", share(metrics[split]["accuracy"]), best) for split in splits]
    if "top5" in metrics[splits[-1]]:
        found.append(Fact("Top-5", share(metrics[splits[-1]]["top5"]), f"of the {splits[-1]} images"))
    return [*found, Fact("Loss", f"{metrics[splits[-1]]['loss']:.4f}", f"of the {splits[-1]} images")]


def _so_far(material: Material) -> list[Fact]:
    values = material.history.get("val_accuracy")
    if values is None or not np.isfinite(values).any():
        return []
    best = int(np.nanargmax(values))
    epoch = int(material.history["epoch"][best])
    return [Fact("Validation accuracy", share(float(values[best])), f"best so far: epoch {epoch}")]


def _effort(material: Material) -> list[Fact]:
    found = []
    trained = material.history.get("seconds")
    if material.metrics:
        taken = duration(material.metrics["seconds"])
        found.append(Fact("Time", taken, f"{material.epochs} epochs and their validation"))
    elif trained is not None:
        found.append(Fact("Time", duration(float(trained.sum())), "of training so far"))
    speed = material.history.get("images_per_second")
    if speed is not None:
        found.append(Fact("Speed", f"{np.median(speed):,.0f}", "training images/s, median"))
    if material.cost:
        found.append(_cost(material.cost))
    return found


def _cost(cost: dict[str, Any]) -> Fact:
    taken = cost.get("share")
    return Fact("Telemetry", _DASH if taken is None else share(taken, 1), f"of the time; {cost['megabytes']:.1f} MB")


def duration(seconds: float) -> str:
    """Return a time as people say it: 43 s, 19 min, 3 h 5 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def machine(material: Material) -> dict[str, str]:
    """Return the environment as words, a line for each fact."""
    found = material.environment
    if not found:
        return {}
    cpu, memory = found.get("cpu", {}), found.get("memory_bytes")
    rows = {
        "command": found.get("command"),
        "directory": found.get("working_directory"),
        "code": found.get("git_commit"),
        "processor": f"{cpu.get('model', '')}, {found.get('cores')} cores".removeprefix(", "),
        "instruction sets": ", ".join(cpu.get("instruction_sets", ())),
        "memory": memory and f"{memory / 2**30:.1f} GiB",
        "platform": found.get("platform"),
        "versions": ", ".join(f"{name} {number}" for name, number in found.get("versions", {}).items() if number),
    }
    return {key: str(value) for key, value in rows.items() if value}
