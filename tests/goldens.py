"""Golden counts of every shipped config and every named model: parameters, trainable ones, MACs, activations.

goldens.json has an entry for each. Its `external` counts were made by others (FACTS of papers computed independently,
other libraries' published figures) and are never written by a command; its `self` counts are our own, and
`make goldens` (`python tests/goldens.py`) writes them again, adds entries that are missing, and writes
`kerasnets/models/complexity.json`. Each of the four exact counts stands in one of the two. All heads are counted.
"""

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FILE = HERE / "goldens.json"
CONFIGS = HERE.parent / "configs"
COUNTS = ("parameters", "trainable", "macs", "activations")
ROUNDED = {"giga_macs": 9, "mega_macs": 6}
"""External figures that are printed with so many digits: the power of ten."""

Golden = dict[str, Any]


def load() -> list[Golden]:
    """Return the entries."""
    goldens: list[Golden] = json.loads(FILE.read_text(encoding="utf-8"))["goldens"]
    return goldens


def label(golden: Golden) -> str:
    """Return what an entry is of: `config imagenet-resnet50`, or `resnet34 shortcut=A`."""
    if "config" in golden:
        return f"config {golden['config']}"
    return " ".join([golden["model"], *(f"{key}={value}" for key, value in golden["options"].items())])


def missing(goldens: list[Golden]) -> list[Golden]:
    """Return an entry, without counts, for each shipped config and named model that has none.

    A config's input and classes are its data's; they are to be filled in.
    """
    from kerasnets import models

    there = {label(golden) for golden in goldens}
    wanted: list[Golden] = [
        {"config": path.stem, "input": [], "classes": 0} for path in sorted(CONFIGS.rglob("*.yaml"))
    ]
    wanted += [{"model": name, "options": {}} for name in models.MODELS]
    return [golden | {"external": [], "self": {}} for golden in wanted if label(golden) not in there]


def outline(golden: Golden) -> Any:
    """Build what an entry is of, without weights."""
    from kerasnets import config as configs
    from kerasnets.models import complexity

    if "model" in golden:
        return complexity.outline(golden["model"], None, None, **golden["options"])
    section = configs.load(next(CONFIGS.rglob(f"{golden['config']}.yaml"))).model
    return complexity.outline(section.name, tuple(golden["input"]), golden["classes"], **section.options)


def counts(model: Any) -> dict[str, int]:
    """Return the four counts of a model."""
    from kerasnets.models import complexity

    return dataclasses.asdict(complexity.count(model))


def problems(golden: Golden, found: dict[str, int]) -> list[str]:
    """Return where counts differ from an entry's, with both numbers, and which the entry lacks or has twice."""
    return [*_differences(golden, found), *_gaps(golden)]


def _differences(golden: Golden, found: dict[str, int]) -> Iterator[str]:
    for mark, source, count, value in expected(golden):
        actual: float = found[count] if count in COUNTS else found["macs"] / 10 ** ROUNDED[count]
        digits = 0 if count in COUNTS else len(str(value).partition(".")[2])
        if round(actual, digits) != value:
            shown, golden_shown = (f"{number:,.{digits}f}" for number in (actual, value))
            told = f"{mark}, {source}" if source else mark
            yield f"{label(golden)}: {count} is {shown}, the golden ({told}) says {golden_shown}"


def expected(golden: Golden) -> Iterator[tuple[str, str, str, float]]:
    """Yield (mark, source, count, value) of all that an entry says."""
    for entry in golden["external"]:
        for count, value in entry.items():
            if count != "source":
                yield "external", entry["source"], count, value
    for count, value in golden["self"].items():
        yield "self", "", count, value


def _gaps(golden: Golden) -> Iterator[str]:
    external = [count for _, _, count, _ in expected(golden | {"self": {}})]
    for count in COUNTS:
        if count not in external and count not in golden["self"]:
            yield f"{label(golden)}: no golden for {count}; `make goldens` writes it"
        if count in external and count in golden["self"]:
            yield f"{label(golden)}: {count} is external and needs no golden of our own"


def renewed(golden: Golden, found: dict[str, int]) -> Golden:
    """Return an entry with our own counts for what nobody else has counted. What is external stays as it is."""
    external = {count for _, _, count, _ in expected(golden | {"self": {}})}
    return golden | {"self": {count: found[count] for count in COUNTS if count not in external}}


def dump(goldens: list[Golden]) -> str:
    """Return the file: an entry a line."""
    lines = ",\n".join(f"  {json.dumps(golden)}" for golden in goldens)
    return f'{{\n "schema": 1,\n "goldens": [\n{lines}\n ]\n}}\n'


def main() -> None:
    """Write our own counts, and say where those of others differ, and which configs have no entry."""
    from kerasnets.console import import_tensorflow
    from kerasnets.models import complexity

    import_tensorflow()
    goldens = load()
    new = missing(goldens)
    wrong = [
        f"{label(golden)}: add to {FILE.name} a line such as {json.dumps(golden)}"
        for golden in new
        if "config" in golden
    ]
    made = []
    for golden in goldens + [golden for golden in new if "model" in golden]:
        found = counts(outline(golden))
        made.append(renewed(golden, found))
        wrong += problems(made[-1], found)
    FILE.write_text(dump(made), encoding="utf-8")
    complexity.write_table()
    sys.exit("\n".join(wrong) if wrong else None)


if __name__ == "__main__":
    main()
